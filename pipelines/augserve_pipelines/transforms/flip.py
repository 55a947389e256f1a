"""Mirror images, and what lies beside them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import PIL.Image
import torch
from numpy.typing import NDArray
from torch import Tensor

from augserve_pipelines.dispatch import ALL_KINDS, Call, functional
from augserve_pipelines.frames import Frames
from augserve_pipelines.lanes import Lanes
from augserve_pipelines.ops import Op
from augserve_pipelines.parameters import Probability
from augserve_pipelines.transforms.base import RandomTransform
from augserve_pipelines.tv_tensors import BoundingBoxFormat

__all__ = [
    "FlipX",
    "FlipY",
    "RandomHorizontalFlip",
    "RandomVerticalFlip",
    "hflip",
    "horizontal_flip",
    "horizontal_flip_bounding_boxes",
    "horizontal_flip_image",
    "horizontal_flip_keypoints",
    "horizontal_flip_mask",
    "vertical_flip",
    "vertical_flip_bounding_boxes",
    "vertical_flip_image",
    "vertical_flip_keypoints",
    "vertical_flip_mask",
    "vflip",
]

Size = tuple[int, int]  # height, width
Geometry = tuple[NDArray[np.float64], Size]

X, Y = 0, 1  # places in a point


def horizontal_flip_image(image: Tensor) -> Tensor:
    """Mirror ``[..., C, H, W]`` left to right."""
    return image.flip(-1)


def horizontal_flip_mask(mask: Tensor) -> Tensor:
    """Mirror ``[..., H, W]`` left to right."""
    return horizontal_flip_image(mask)


def horizontal_flip_bounding_boxes(
    bounding_boxes: Tensor, format: BoundingBoxFormat | str, canvas_size: Size
) -> Tensor:
    """Mirror boxes ``[..., K]`` left to right; they are not clamped."""
    return _mirrored_boxes(bounding_boxes, BoundingBoxFormat(format), X, canvas_size[1])


def horizontal_flip_keypoints(keypoints: Tensor, canvas_size: Size) -> Tensor:
    """Mirror points ``[..., 2]`` left to right: x becomes ``width - 1 - x``, as of a pixel."""
    return _mirrored_points(keypoints, X, canvas_size[1])


def vertical_flip_image(image: Tensor) -> Tensor:
    """Mirror ``[..., C, H, W]`` top to bottom."""
    return image.flip(-2)


def vertical_flip_mask(mask: Tensor) -> Tensor:
    """Mirror ``[..., H, W]`` top to bottom."""
    return vertical_flip_image(mask)


def vertical_flip_bounding_boxes(bounding_boxes: Tensor, format: BoundingBoxFormat | str, canvas_size: Size) -> Tensor:
    """Mirror boxes ``[..., K]`` top to bottom; they are not clamped."""
    return _mirrored_boxes(bounding_boxes, BoundingBoxFormat(format), Y, canvas_size[0])


def vertical_flip_keypoints(keypoints: Tensor, canvas_size: Size) -> Tensor:
    """Mirror points ``[..., 2]`` top to bottom: y becomes ``height - 1 - y``, as of a pixel."""
    return _mirrored_points(keypoints, Y, canvas_size[0])


def _mirrored_boxes(boxes: Tensor, format: BoundingBoxFormat, axis: int, extent: int) -> Tensor:
    mirrored = boxes.clone()
    match format:
        case BoundingBoxFormat.XYXY:
            mirrored[..., axis::2] = _mirrored(boxes[..., axis::2], extent).flip(-1)
        case BoundingBoxFormat.XYWH:
            mirrored[..., axis] = _mirrored(boxes[..., axis] + boxes[..., 2 + axis], extent)
        case BoundingBoxFormat.CXCYWH:
            mirrored[..., axis] = _mirrored(boxes[..., axis], extent)
        case BoundingBoxFormat.XYXYXYXY:
            mirrored[..., axis::2] = _mirrored(boxes[..., axis::2], extent)
            return mirrored[..., [2, 3, 0, 1, 6, 7, 4, 5]]  # the first corner is the upper left one still
        case BoundingBoxFormat.XYWHR:
            mirrored[..., :2] = _second_corner(boxes)
            mirrored[..., axis] = _mirrored(mirrored[..., axis], extent)
            mirrored[..., 4] = _mirrored_angle(boxes[..., 4], axis)
        case BoundingBoxFormat.CXCYWHR:
            mirrored[..., axis] = _mirrored(boxes[..., axis], extent)
            mirrored[..., 4] = _mirrored_angle(boxes[..., 4], axis)
    return mirrored


def _mirrored_points(points: Tensor, axis: int, extent: int) -> Tensor:
    mirrored = points.clone()
    mirrored[..., axis] = _mirrored(points[..., axis], extent - 1)
    return mirrored


def _mirrored(positions: Tensor, extent: int) -> Tensor:
    return positions.sub(extent).neg()  # not extent - positions, which gives another sign of zero


def _mirrored_angle(degrees: Tensor, axis: int) -> Tensor:
    return degrees.neg() if axis == X else degrees.neg().add(180)


def _second_corner(boxes: Tensor) -> Tensor:
    """Where the corner lies that was the upper right one before the rotation: ``[..., 2]`` of XYWHR ``[..., 5]``."""
    x, y, width, _, degrees = boxes.unbind(-1)
    radians = degrees.mul(torch.pi).div(180)
    return torch.stack([x + width * radians.cos(), y - width * radians.sin()], -1)


def _horizontal_flip_picture(picture: PIL.Image.Image) -> PIL.Image.Image:
    return picture.transpose(PIL.Image.Transpose.FLIP_LEFT_RIGHT)


def _vertical_flip_picture(picture: PIL.Image.Image) -> PIL.Image.Image:
    return picture.transpose(PIL.Image.Transpose.FLIP_TOP_BOTTOM)


def _across(height: int, width: int) -> Geometry:
    return np.array([[-1.0, 0.0, width], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]]), (height, width)


def _across_by_index(height: int, width: int) -> Geometry:
    return np.array([[-1.0, 0.0, width - 1], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]]), (height, width)


def _down(height: int, width: int) -> Geometry:
    return np.array([[1.0, 0.0, 0.0], [0.0, -1.0, height], [0.0, 0.0, 1.0]]), (height, width)


def _down_by_index(height: int, width: int) -> Geometry:
    return np.array([[1.0, 0.0, 0.0], [0.0, -1.0, height - 1], [0.0, 0.0, 1.0]]), (height, width)


@functional(
    image=horizontal_flip_image,
    mask=horizontal_flip_mask,
    boxes=horizontal_flip_bounding_boxes,
    keypoints=horizontal_flip_keypoints,
    picture=_horizontal_flip_picture,
    geometry=_across,
    index_geometry=_across_by_index,
)
def horizontal_flip(inpt: Any) -> Any:
    """Mirror left to right."""


@functional(
    image=vertical_flip_image,
    mask=vertical_flip_mask,
    boxes=vertical_flip_bounding_boxes,
    keypoints=vertical_flip_keypoints,
    picture=_vertical_flip_picture,
    geometry=_down,
    index_geometry=_down_by_index,
)
def vertical_flip(inpt: Any) -> Any:
    """Mirror top to bottom."""


hflip = horizontal_flip
vflip = vertical_flip


@dataclass(frozen=True, slots=True)
class FlipX(Op):
    """Mirror left to right."""

    def image(self, x: Tensor) -> Tensor:
        return horizontal_flip_image(x)

    def calls(self) -> Iterator[Call]:
        yield Call(horizontal_flip)


@dataclass(frozen=True, slots=True)
class FlipY(Op):
    """Mirror top to bottom."""

    def image(self, x: Tensor) -> Tensor:
        return vertical_flip_image(x)

    def calls(self) -> Iterator[Call]:
        yield Call(vertical_flip)


class RandomHorizontalFlip(RandomTransform):
    """Mirror the sample left to right with probability ``p``.

    Draws: one number for ``p``.

    Args:
        p: probability of mirroring.
    """

    acts_on = ALL_KINDS

    def __init__(self, p: Probability = 0.5) -> None:
        super().__init__()
        self.p = p

    def draw_fired(self, lanes: Lanes, frames: Frames) -> Op:
        return FlipX()


class RandomVerticalFlip(RandomTransform):
    """Mirror the sample top to bottom with probability ``p``.

    Draws: one number for ``p``.

    Args:
        p: probability of mirroring.
    """

    acts_on = ALL_KINDS

    def __init__(self, p: Probability = 0.5) -> None:
        super().__init__()
        self.p = p

    def draw_fired(self, lanes: Lanes, frames: Frames) -> Op:
        return FlipY()
