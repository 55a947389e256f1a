"""Flips against torchvision."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from parity import assert_parity, assert_same, make_images
from targets import FORMATS, assert_same_leaf, assert_target_parity, make_boxes, make_picture_structure

from augserve_pipelines import transforms
from augserve_pipelines.transforms import flip
from factories import make_picture
from oracle import tv_functional, v2

NAMES = ("RandomHorizontalFlip", "RandomVerticalFlip")


@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32])
@pytest.mark.parametrize("p", [0.0, 0.3, 0.5, 1.0])
@pytest.mark.parametrize("name", NAMES)
def test_flips(name: str, p: float, dtype: torch.dtype) -> None:
    assert_parity(getattr(transforms, name)(p), getattr(v2, name)(p), make_images(dtype))


@pytest.mark.parametrize("p", [0.5, 1.0])
@pytest.mark.parametrize("name", NAMES)
def test_flips_of_every_kind(name: str, p: float) -> None:
    assert_target_parity(getattr(transforms, name)(p), getattr(v2, name)(p))


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGBA", "I;16", "F"])
@pytest.mark.parametrize("name", NAMES)
def test_pictures_of_every_mode(name: str, mode: str) -> None:
    structure = make_picture_structure() | {"image": make_picture(size=(20, 31)).convert(mode)}
    assert_target_parity(getattr(transforms, name)(1.0), getattr(v2, name)(1.0), [structure], seeds=(0,))


@pytest.mark.parametrize("name", ["horizontal_flip", "vertical_flip"])
@given(st.sampled_from(FORMATS), st.integers(0, 99), st.sampled_from([torch.float32, torch.float64, torch.float16]))
@settings(max_examples=40)
def test_boxes(name: str, format: object, seed: int, dtype: torch.dtype) -> None:
    boxes = make_boxes((30, 47), format, dtype=dtype, seed=seed)
    assert_same_leaf(getattr(flip, name)(boxes), getattr(tv_functional, name)(boxes), f"{format}")
    plain = boxes.as_subclass(torch.Tensor).expand(2, *boxes.shape)
    ours = getattr(flip, f"{name}_bounding_boxes")(plain, format, (30, 47))
    assert_same(ours, getattr(tv_functional, f"{name}_bounding_boxes")(plain, format, (30, 47)), "kernel")


@pytest.mark.parametrize("dtype", [torch.int32, torch.int64, torch.int16])
@pytest.mark.parametrize("format", FORMATS[:3])
def test_boxes_of_integers(format: object, dtype: torch.dtype) -> None:
    boxes = make_boxes((30, 47), format, dtype=dtype)
    for name in ("horizontal_flip", "vertical_flip"):
        assert_same_leaf(getattr(flip, name)(boxes), getattr(tv_functional, name)(boxes), name)


def test_the_input_stays_as_it_is() -> None:
    boxes = make_boxes((30, 47), "XYWHR")
    before = boxes.clone()
    flip.hflip(boxes)
    flip.vflip(boxes)
    assert torch.equal(boxes.as_subclass(torch.Tensor), before.as_subclass(torch.Tensor))
