"""The middle against torchvision."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from leaves import assert_parity_of_leaves
from parity import assert_parity, make_images
from targets import assert_target_parity, make_boxes

from augserve_pipelines import transforms
from augserve_pipelines.transforms.center_crop import (
    center_crop,
    center_crop_bounding_boxes,
    center_crop_image,
    center_crop_keypoints,
)
from factories import make_noise
from oracle import tv_functional, tv_tensors, v2

sides = st.integers(1, 14)


@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32])
@pytest.mark.parametrize("size", [50, [61], (224, 31), (1, 1), (7, 400)])
def test_center_crop(dtype: torch.dtype, size: Any) -> None:
    assert_parity(transforms.CenterCrop(size), v2.CenterCrop(size), make_images(dtype), seeds=[0])


@pytest.mark.parametrize("size", [20, (63, 50), (48, 67)])
def test_center_crops_of_every_kind(size: Any) -> None:
    assert_target_parity(transforms.CenterCrop(size), v2.CenterCrop(size), seeds=(0,))


@pytest.mark.parametrize("output_size", [9, [11], [8, 13], [23, 34], [26, 20], [25, 37], [40, 50]], ids=str)
def test_the_middle_of_every_kind(output_size: Any) -> None:
    assert_parity_of_leaves(center_crop, {"output_size": output_size})


@given(st.tuples(sides, sides), st.tuples(sides, sides))
@settings(max_examples=100)
def test_boxes_and_points_follow_a_rule_of_their_own(size: tuple[int, int], output_size: tuple[int, int]) -> None:
    image, boxes = make_noise(size), make_boxes(size, count=2).as_subclass(torch.Tensor)
    height_and_width = [*output_size]
    assert torch.equal(center_crop_image(image, output_size), tv_functional.center_crop_image(image, height_and_width))
    ours = center_crop_bounding_boxes(boxes, "XYXY", size, output_size)
    theirs = tv_functional.center_crop_bounding_boxes(boxes, tv_tensors.BoundingBoxFormat.XYXY, size, height_and_width)
    assert_same_move(ours, theirs)
    points = boxes.view(2, 2, 2)
    theirs = tv_functional.center_crop_keypoints(points, size, height_and_width)
    assert_same_move(center_crop_keypoints(points, size, output_size), theirs)


def assert_same_move(ours: Any, theirs: Any) -> None:
    assert torch.equal(ours[0], theirs[0])
    assert ours[1] == theirs[1]
