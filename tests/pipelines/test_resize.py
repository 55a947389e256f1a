"""Resize against torchvision."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from parity import assert_parity, channels_last, make_images

from augserve_pipelines import InvalidInput, Pipeline, transforms
from factories import make_image
from oracle import v2


@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32])
@pytest.mark.parametrize("interpolation", ["nearest", "nearest-exact", "bilinear", "bicubic"])
@pytest.mark.parametrize("antialias", [True, False, None])
def test_modes(dtype: torch.dtype, interpolation: str, antialias: bool | None) -> None:
    kwargs: dict[str, Any] = {"size": (48, 65), "interpolation": interpolation, "antialias": antialias}
    assert_parity(transforms.Resize(**kwargs), v2.Resize(**kwargs), make_images(dtype), seeds=[0])


@pytest.mark.parametrize(
    "kwargs",
    [
        {"size": 32},
        {"size": [32]},
        {"size": 32, "max_size": 40},
        {"size": None, "max_size": 70},
        {"size": (64, 64)},
        {"size": (300, 7), "interpolation": 3},
        {"size": (1, 2), "interpolation": transforms.InterpolationMode.BICUBIC},
    ],
)
def test_sizes(kwargs: dict[str, Any]) -> None:
    theirs = {key: getattr(value, "value", value) for key, value in kwargs.items()}
    assert_parity(transforms.Resize(**kwargs), v2.Resize(**theirs), seeds=[0])


def test_one_pixel_of_planes_is_one_pixel_of_pixels() -> None:
    """torch fails an internal check on planes here, and not where the channels of a pixel lie side by side."""
    image = make_image((40, 60))
    with pytest.raises(RuntimeError, match="INTERNAL ASSERT"):
        v2.Resize((1, 1))(image)
    expected = v2.Resize((1, 1))(channels_last(image))
    assert torch.equal(transforms.Resize((1, 1))(image), expected)


def test_positional_arguments_are_torchvisions() -> None:
    assert_parity(transforms.Resize(20, "bicubic", 30, False), v2.Resize(20, "bicubic", 30, False), seeds=[0])


@pytest.mark.parametrize("channels", [1, 2, 4, 5])
def test_any_number_of_channels(channels: int) -> None:
    image = make_image((40, 60)).repeat(2, 1, 1)[:channels]
    assert_parity(transforms.Resize((33, 31)), v2.Resize((33, 31)), [image], seeds=[0])


def test_a_batch_dimension_is_kept_eagerly() -> None:
    images = torch.stack([make_image((40, 60)), make_image((40, 60), name="coffee")])
    assert torch.equal(transforms.Resize(24)(images), v2.Resize(24)(images))


def test_a_result_without_pixels_is_refused() -> None:
    with pytest.raises(InvalidInput, match=r"1 x 0 pixels of 500 x 2 .* at least 1 x 1"):
        Pipeline([transforms.Resize(None, max_size=1)])([make_image((500, 2))], [0])


@pytest.mark.parametrize(
    ("args", "message"),
    [
        ((None,), "one of them is needed"),
        ((30, "bilinear", 30), "must be greater than size, which is 30"),
        (((30, 40), "bilinear", 50), "size is one number or null"),
        ((0,), "size"),
    ],
)
def test_bad_arguments_are_refused(args: tuple[Any, ...], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        transforms.Resize(*args)
