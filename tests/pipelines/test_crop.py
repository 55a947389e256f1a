"""Crops against torchvision."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from parity import assert_parity, make_images

from augserve_pipelines import InvalidInput, Pipeline, transforms
from augserve_pipelines.transforms.crop import crop_image
from factories import make_image, make_noise
from oracle import tv_functional, v2

DTYPES = (torch.uint8, torch.float32)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("size", [50, [61], (224, 31), (1, 1), (7, 400)])
def test_center_crop(dtype: torch.dtype, size: Any) -> None:
    assert_parity(transforms.CenterCrop(size), v2.CenterCrop(size), make_images(dtype), seeds=[0])


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    "kwargs",
    [
        {"size": 40, "pad_if_needed": True},
        {"size": (13, 70), "padding": 40, "fill": 7},
        {"size": (30, 20), "padding": [3, 5], "pad_if_needed": True, "fill": [1, 2, 3]},
        {"size": (20, 20), "padding": [1, 2, 3, 4], "pad_if_needed": True, "padding_mode": "edge"},
        {"size": 1},
        {"size": 1, "padding": 0},
    ],
)
def test_random_crop(dtype: torch.dtype, kwargs: dict[str, Any]) -> None:
    assert_parity(transforms.RandomCrop(**kwargs), v2.RandomCrop(**kwargs), make_images(dtype))


@pytest.mark.parametrize("padding_mode", ["reflect", "symmetric"])
def test_random_crop_of_a_mirrored_image(padding_mode: Any) -> None:
    images = make_images(smallest=20)
    ours = transforms.RandomCrop(64, padding=9, pad_if_needed=False, padding_mode=padding_mode)
    theirs = v2.RandomCrop(64, padding=9, pad_if_needed=False, padding_mode=padding_mode)
    assert_parity(ours, theirs, images)


def test_an_image_smaller_than_the_crop_is_refused_with_its_size() -> None:
    with pytest.raises(InvalidInput, match=r"300 x 300 pixels .* the image has 100 x 400"):
        Pipeline([transforms.RandomCrop(300)])([make_image((100, 400))], [0])


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    "kwargs",
    [
        {"size": 64},
        {"size": (48, 80), "scale": (0.5, 0.9), "ratio": (0.5, 2.0), "interpolation": "bicubic"},
        {"size": [32], "interpolation": "nearest"},
        {"size": 40, "antialias": False},
        {"size": 40, "ratio": (3.0, 4.0), "interpolation": "nearest-exact"},  # mostly falls back to the centre
        {"size": 33, "scale": (0.9, 1.4)},
    ],
)
def test_random_resized_crop(dtype: torch.dtype, kwargs: dict[str, Any]) -> None:
    assert_parity(transforms.RandomResizedCrop(**kwargs), v2.RandomResizedCrop(**kwargs), make_images(dtype))


@given(
    size=st.tuples(st.integers(1, 60), st.integers(1, 60)),
    scale=st.tuples(st.floats(0.01, 2), st.floats(0.01, 2)).map(sorted),
    ratio=st.tuples(st.floats(0.1, 9), st.floats(0.1, 9)).map(sorted),
    seed=st.integers(0, 2**63 - 1),
)
@settings(max_examples=150)
def test_random_resized_crop_draws_as_torchvision(
    size: tuple[int, int], scale: list[float], ratio: list[float], seed: int
) -> None:
    ours = transforms.RandomResizedCrop(8, tuple(scale), tuple(ratio))
    theirs = v2.RandomResizedCrop(8, tuple(scale), tuple(ratio))
    assert_parity(ours, theirs, [make_noise(size)], seeds=[seed])


@given(st.data())
@settings(max_examples=100)
def test_windows_may_leave_the_image(data: st.DataObject) -> None:
    image = make_noise((6, 9))
    height, width = data.draw(st.integers(1, 12)), data.draw(st.integers(1, 12))
    top, left = data.draw(st.integers(-5, 5)), data.draw(st.integers(-8, 8))
    ours = crop_image(image, top, left, height, width)
    assert ours.shape == (3, height, width)
    if top + height > 0 and left + width > 0:  # elsewhere upstream's slices wrap around
        assert torch.equal(ours, tv_functional.crop_image(image, top, left, height, width))
    else:
        assert not ours.any()
