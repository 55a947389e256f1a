"""Colours on CUDA have the bytes of the CPU: run with ``pytest -m gpu`` where there is a device."""

from __future__ import annotations

import pytest
import torch

from augserve_pipelines import Pipeline
from augserve_pipelines import transforms as T
from factories import SIZES, make_image, make_noise

pytestmark = pytest.mark.gpu

TRANSFORMS = [
    T.ColorJitter(0.8, 0.8, 0.8, 0.2),
    T.RandomApply([T.ColorJitter(0.8, 0.8, 0.8, 0.2)], 0.8),
    T.RandomPhotometricDistort(p=0.7),
    T.RandomGrayscale(0.5),
    T.RandomInvert(),
    T.RandomPosterize(3),
    T.RandomSolarize(90),
    T.RandomEqualize(),
    T.RandomAutocontrast(),
    T.RandomAdjustSharpness(1.9),
    T.RandomChannelPermutation(),
]


@pytest.mark.parametrize("transform", TRANSFORMS, ids=str)
@pytest.mark.parametrize("channels", [1, 3])
def test_no_byte_differs(transform: T.Transform, channels: int) -> None:
    images = [make(size, channels=channels) for make in (make_image, make_noise) for size in SIZES]
    images += [image.permute(1, 2, 0).contiguous().permute(2, 0, 1) for image in images]
    expected = Pipeline([transform])(images, range(len(images)))
    actual = Pipeline([transform])(images, range(len(images)), device="cuda")
    for i, image in enumerate(expected):
        assert torch.equal(actual[i].cpu(), image), f"image {i}, {[*image.shape]}"


def test_a_dense_batch_of_many_orders_differs_in_no_byte() -> None:
    images = [make_noise((224, 224), seed=i) for i in range(48)]
    pipeline = Pipeline([T.ColorJitter(0.8, 0.8, 0.8, 0.2), T.RandomEqualize(), T.RandomAdjustSharpness(1.7)])
    expected = pipeline(images, range(48)).stack()
    assert torch.equal(pipeline(images, range(48), device="cuda").stack().cpu(), expected)
