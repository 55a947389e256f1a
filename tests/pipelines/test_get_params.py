"""What v1 draws by ``get_params``, which v2 keeps: from torch's global generator, as torchvision does."""

from __future__ import annotations

import inspect
from typing import Any

import pytest
import torch
from torch import Tensor

from augserve_pipelines import transforms
from factories import make_image, make_picture
from oracle import v2

IMAGES = (make_image((40, 60)), make_image((1, 300)), make_picture(size=(31, 40)))
WITH_PARAMS = [name for name in transforms.__all__ if hasattr(getattr(v2, name, None), "get_params")]
CALLS: dict[str, list[tuple[Any, ...]]] = {
    "AutoAugment": [(25,), (3,)],
    "ColorJitter": [([0.5, 1.5], None, [0.1, 0.2], [-0.1, 0.1]), (None, None, None, None)],
    "ElasticTransform": [([50.0, 20.0], [2.0, 1.0], [40, 60])],
    "GaussianBlur": [(0.1, 2.0)],
    "RandomAffine": [([-10.0, 20.0], [0.1, 0.2], [0.9, 1.1], [-3.0, 3.0, -1.0, 2.0], [60, 40])],
    "RandomCrop": [(image, size) for image in IMAGES[::2] for size in ((20, 30), (31, 40), (31, 5))],
    "RandomErasing": [(IMAGES[0], (0.02, 0.33), (0.3, 3.3), [0.5])],
    "RandomPerspective": [(60, 40, 0.5)],
    "RandomResizedCrop": [(image, [0.1, 0.4], [0.7, 1.4]) for image in IMAGES],
    "RandomRotation": [([-10.0, 20.0],)],
}


@pytest.mark.parametrize("name", WITH_PARAMS)
def test_draws(name: str) -> None:
    ours, theirs = getattr(transforms, name).get_params, getattr(v2, name).get_params
    assert [*inspect.signature(ours).parameters] == [*inspect.signature(theirs).parameters]
    for arguments in CALLS[name]:
        for seed in range(5):
            torch.manual_seed(seed)
            expected = theirs(*arguments)
            state = torch.get_rng_state()
            torch.manual_seed(seed)
            assert_same_values(ours(*arguments), expected)
            assert torch.equal(torch.get_rng_state(), state)


def test_all_of_torchvision_are_there() -> None:
    assert sorted(WITH_PARAMS) == sorted(CALLS)


def test_a_window_larger_than_the_image_is_refused() -> None:
    with pytest.raises(ValueError, match=r"a window of \[41, 5\] is larger than the image of \[40, 60\]"):
        transforms.RandomCrop.get_params(IMAGES[0], (41, 5))


def assert_same_values(actual: Any, expected: Any) -> None:
    if isinstance(expected, tuple):
        assert len(actual) == len(expected)
        for own, other in zip(actual, expected, strict=True):
            assert_same_values(own, other)
    elif isinstance(expected, Tensor):
        # v1 smooths displacements by another kernel than v2, which rounds otherwise in the last places
        torch.testing.assert_close(actual, expected, rtol=0, atol=3e-7 if actual.ndim == 4 else 0)
    else:
        assert (type(actual), actual) == (type(expected), expected)
