"""Crops against torchvision."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from leaves import assert_parity_of_leaves
from parity import assert_parity, make_images
from targets import assert_target_parity, make_boxes, make_structure

from augserve_pipelines import InvalidInput, Pipeline, transforms
from augserve_pipelines.transforms.crop import crop, crop_bounding_boxes, crop_image
from factories import make_image, make_noise
from oracle import tv_functional, tv_tensors, v2

DTYPES = (torch.uint8, torch.float32)


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


@pytest.mark.parametrize(
    "window",
    [(3, 4, 11, 9), (0, 0, 23, 34), (-2, 5, 9, 40), (10, -3, 30, 8), (-3, -4, 40, 50), (22, 33, 1, 1)],
    ids=str,
)
def test_windows_of_every_kind(window: tuple[int, int, int, int]) -> None:
    assert_parity_of_leaves(crop, dict(zip(("top", "left", "height", "width"), window, strict=True)))


@given(st.sampled_from([(0, 0, 30, 47), (5, -6, 20, 70), (-3, 11, 22, 9)]), st.integers(0, 99), st.data())
@settings(max_examples=40)
def test_boxes_in_windows(window: tuple[int, int, int, int], seed: int, data: st.DataObject) -> None:
    format = data.draw(st.sampled_from(list(tv_tensors.BoundingBoxFormat)))
    mode = data.draw(st.sampled_from(["soft", "hard", None]))
    boxes = make_boxes((30, 47), format, seed=seed).as_subclass(torch.Tensor).expand(2, -1, -1)
    ours, size = crop_bounding_boxes(boxes, format, *window, clamping_mode=mode)
    theirs, expected_size = tv_functional.crop_bounding_boxes(boxes, format, *window, clamping_mode=mode)
    assert torch.equal(ours, theirs)
    assert size == expected_size


@pytest.mark.parametrize(
    "kwargs",
    [
        {"size": 20},
        {"size": (33, 33)},  # nothing is cut from images of that size, and boxes are not clamped
        {"size": (70, 33), "pad_if_needed": True, "fill": 3},
        {"size": (30, 30), "padding": [5, -2], "fill": {tv_tensors.Image: 7, tv_tensors.Mask: 2, "others": 1}},
    ],
    ids=str,
)
def test_random_crops_of_every_kind(kwargs: dict[str, Any]) -> None:
    theirs = {**kwargs, "fill": dict(kwargs["fill"])} if isinstance(kwargs.get("fill"), dict) else kwargs
    assert_target_parity(transforms.RandomCrop(**kwargs), v2.RandomCrop(**theirs), seeds=(0, 1))


def test_fills_for_each_channel_are_not_for_masks() -> None:
    ours, theirs = (one.RandomCrop(50, pad_if_needed=True, fill=[1, 2, 3]) for one in (transforms, v2))
    structure = make_structure()
    assert_target_parity(ours, theirs, [structure, {"image": structure["image"], "boxes": structure["XYXY"]}], (0,))


def test_mirrored_padding_is_not_for_boxes() -> None:
    ours, theirs = (one.RandomCrop(20, padding=3, padding_mode="reflect") for one in (transforms, v2))
    structure = make_structure()
    assert_target_parity(ours, theirs, [structure, {"image": structure["image"]}], (0,))


def test_samples_that_need_no_padding_are_left_beside_those_that_do() -> None:
    """Padding by nothing would clamp boxes."""
    structures = [make_structure(size) for size in ((20, 50), (40, 60))]
    ours, theirs = (one.RandomCrop((30, 40), pad_if_needed=True) for one in (transforms, v2))
    assert_target_parity(ours, theirs, structures, seeds=(0, 1))
