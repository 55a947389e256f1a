"""Cut the middle out of images, and out of what lies beside them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import PIL.Image
from numpy.typing import NDArray
from torch import Tensor

from augserve_pipelines.dispatch import ALL_KINDS, Call, functional
from augserve_pipelines.frames import Frames, IntArray
from augserve_pipelines.lanes import Lanes
from augserve_pipelines.ops import Op
from augserve_pipelines.parameters import Size
from augserve_pipelines.transforms.base import Transform
from augserve_pipelines.transforms.crop import (
    Crop,
    crop_bounding_boxes,
    crop_image,
    crop_keypoints,
    crop_picture,
    translation,
)
from augserve_pipelines.transforms.pad import pad_picture
from augserve_pipelines.transforms.resize import height_and_width
from augserve_pipelines.tv_tensors import BoundingBoxFormat, ClampingMode

__all__ = [
    "CenterCrop",
    "MiddleCrop",
    "center_crop",
    "center_crop_bounding_boxes",
    "center_crop_image",
    "center_crop_keypoints",
    "center_crop_mask",
    "center_crop_picture",
]

Sides = int | Sequence[int]


def center_crop_image(image: Tensor, output_size: Sides) -> Tensor:
    """The middle of ``[..., C, H, W]``; zeros where the image is smaller."""
    height, width = height_and_width(output_size)
    top, left = _middle(image.shape[-2], height), _middle(image.shape[-1], width)
    return crop_image(image, int(top), int(left), height, width)


def center_crop_mask(mask: Tensor, output_size: Sides) -> Tensor:
    """``center_crop_image`` for ``[..., H, W]``."""
    return center_crop_image(mask, output_size)


def center_crop_bounding_boxes(
    bounding_boxes: Tensor,
    format: BoundingBoxFormat | str,
    canvas_size: tuple[int, int],
    output_size: Sides,
    clamping_mode: ClampingMode = "soft",
) -> tuple[Tensor, tuple[int, int]]:
    """Where boxes ``[..., K]`` lie in the middle, clamped to it, and its size.

    As in torchvision, where 3, 7, 11 ... rows or columns are missing, they lie one pixel before those of the image.
    """
    window = _target_window(canvas_size, output_size)
    return crop_bounding_boxes(bounding_boxes, format, *window, clamping_mode=clamping_mode)


def center_crop_keypoints(
    inpt: Tensor, canvas_size: tuple[int, int], output_size: Sides
) -> tuple[Tensor, tuple[int, int]]:
    """Where points ``[..., 2]`` lie in the middle, by the rule of boxes, and its size."""
    return crop_keypoints(inpt, *_target_window(canvas_size, output_size))


def center_crop_picture(picture: PIL.Image.Image, output_size: Sides) -> PIL.Image.Image:
    """``center_crop_image`` for PIL images."""
    height, width = height_and_width(output_size)
    rows, columns = max(height - picture.height, 0), max(width - picture.width, 0)
    if rows or columns:
        sides = [columns // 2, rows // 2, columns - columns // 2, rows - rows // 2]
        picture = pad_picture(picture, sides, fill=0)
    top, left = _middle(picture.height, height), _middle(picture.width, width)
    return crop_picture(picture, int(top), int(left), height, width)


def _target_window(canvas_size: tuple[int, int], output_size: Sides) -> tuple[int, int, int, int]:
    height, width = height_and_width(output_size)
    top, left = (round((outer - inner) / 2) for outer, inner in zip(canvas_size, (height, width), strict=True))
    return top, left, height, width


def _middle(outer: IntArray | int, inner: IntArray | int) -> IntArray:
    """Where a window begins that lies in the middle; negative where the image must be padded before it."""
    rounded = np.rint(np.subtract(outer, inner) / 2).astype(np.int64)  # half to even, as Python's round
    starts: IntArray = np.where(np.greater(inner, outer), -(np.subtract(inner, outer) // 2), rounded)
    return starts


def _geometry(height: int, width: int, output_size: Sides) -> tuple[NDArray[np.float64], tuple[int, int]]:
    top, left, *size = _target_window((height, width), output_size)
    return translation(-left, -top), (size[0], size[1])


@functional(
    image=center_crop_image,
    mask=center_crop_mask,
    boxes=center_crop_bounding_boxes,
    keypoints=center_crop_keypoints,
    picture=center_crop_picture,
    geometry=_geometry,
)
def center_crop(inpt: Any, output_size: Sides) -> Any:
    """Cut the middle out; what is smaller is padded with zeros.

    Args:
        inpt: what to cut it from.
        output_size: height and width of the result in pixels; one number gives a square.
    """


@dataclass(frozen=True, slots=True)
class MiddleCrop(Crop):
    """Cut the middle out; boxes and key points follow a rule of their own where there is more to cut than image."""

    def calls(self) -> Iterator[Call]:
        yield Call(center_crop, {"output_size": [int(self.height[0]), int(self.width[0])]})


class CenterCrop(Transform):
    """Cut the middle out; an image that is smaller is padded with zeros first.

    Draws: nothing.

    Args:
        size: height and width of the result in pixels; one number gives a square.
    """

    acts_on = ALL_KINDS

    def __init__(self, size: Size) -> None:
        super().__init__()
        self.size = height_and_width(size)

    def draw(self, lanes: Lanes, frames: Frames) -> Op:
        height, width = (np.full(len(frames), side) for side in self.size)
        return MiddleCrop(_middle(frames.heights, height), _middle(frames.widths, width), height, width)
