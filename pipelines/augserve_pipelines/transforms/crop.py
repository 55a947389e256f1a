"""Cut windows out of images, and out of what lies beside them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import PIL.Image
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from augserve_pipelines.dispatch import Call, functional
from augserve_pipelines.frames import Frames, IntArray
from augserve_pipelines.kernels.boxes import clamp_bounding_boxes
from augserve_pipelines.kernels.rotated_boxes import parallelograms_to_rectangles
from augserve_pipelines.ops import Op, each_row
from augserve_pipelines.tv_tensors import BoundingBoxFormat, ClampingMode

__all__ = [
    "Crop",
    "crop",
    "crop_bounding_boxes",
    "crop_image",
    "crop_keypoints",
    "crop_mask",
    "crop_picture",
    "offsets",
    "translation",
]

Size = tuple[int, int]  # height, width


def crop_image(image: Tensor, top: int, left: int, height: int, width: int) -> Tensor:
    """The window of ``[..., C, H, W]`` from ``top``, ``left`` on, in pixels; zeros where it leaves the image."""
    bottom, right = top + height, left + width
    inside = image[..., max(top, 0) : max(bottom, 0), max(left, 0) : max(right, 0)]
    if top >= 0 and left >= 0 and bottom <= image.shape[-2] and right <= image.shape[-1]:
        return inside
    above, before = min(max(-top, 0), height), min(max(-left, 0), width)
    return F.pad(inside, [before, width - before - inside.shape[-1], above, height - above - inside.shape[-2]])


def crop_mask(mask: Tensor, top: int, left: int, height: int, width: int) -> Tensor:
    """``crop_image`` for ``[..., H, W]``."""
    return crop_image(mask, top, left, height, width)


def crop_bounding_boxes(
    bounding_boxes: Tensor,
    format: BoundingBoxFormat | str,
    top: int,
    left: int,
    height: int,
    width: int,
    clamping_mode: ClampingMode = "soft",
) -> tuple[Tensor, Size]:
    """Where boxes ``[..., K]`` lie in a window, clamped to it, and the window's size."""
    format = BoundingBoxFormat(format)
    moved = bounding_boxes - offsets(bounding_boxes, format, left, top)
    if format is BoundingBoxFormat.XYXYXYXY:
        moved = parallelograms_to_rectangles(moved)
    return clamp_bounding_boxes(moved, format, (height, width), clamping_mode), (height, width)


def crop_keypoints(keypoints: Tensor, top: int, left: int, height: int, width: int) -> tuple[Tensor, Size]:
    """Where points ``[..., 2]`` lie in a window, also those outside it, and the window's size."""
    return keypoints - keypoints.new_tensor([left, top]), (height, width)


def crop_picture(picture: PIL.Image.Image, top: int, left: int, height: int, width: int) -> PIL.Image.Image:
    """``crop_image`` for PIL images."""
    return picture.crop((left, top, left + width, top + height))


def offsets(boxes: Tensor, format: BoundingBoxFormat, x: int, y: int) -> Tensor:
    """What moves boxes of a format by ``x`` and ``y``, ``[K]``."""
    match format:
        case BoundingBoxFormat.XYXYXYXY:
            values = [x, y] * 4
        case BoundingBoxFormat.XYXY:
            values = [x, y] * 2
        case BoundingBoxFormat.XYWHR | BoundingBoxFormat.CXCYWHR:
            values = [x, y, 0, 0, 0]
        case _:
            values = [x, y, 0, 0]
    return boxes.new_tensor(values)


def translation(x: float, y: float) -> NDArray[np.float64]:
    """The matrix that moves points."""
    return np.array([[1.0, 0.0, x], [0.0, 1.0, y], [0.0, 0.0, 1.0]])


def _window(
    _height: int, _width: int, top: int, left: int, height: int, width: int
) -> tuple[NDArray[np.float64], Size]:
    return translation(-left, -top), (height, width)


@functional(
    image=crop_image,
    mask=crop_mask,
    boxes=crop_bounding_boxes,
    keypoints=crop_keypoints,
    picture=crop_picture,
    geometry=_window,
)
def crop(inpt: Any, top: int, left: int, height: int, width: int) -> Any:
    """Cut a window out; where it leaves the image there are zeros.

    Args:
        inpt: what to cut it from.
        top: the first row, in pixels; may be negative.
        left: the first column.
        height: of the window, in pixels.
        width: of the window.
    """


@dataclass(frozen=True, slots=True)
class Crop(Op):
    """Cut a window, in pixels; it may leave the image."""

    top: IntArray
    left: IntArray
    height: IntArray
    width: IntArray

    def frames(self, frames: Frames) -> Frames:
        beyond = (self.top < 0) | (self.top + self.height > frames.heights)
        beyond |= (self.left < 0) | (self.left + self.width > frames.widths)
        return frames.resized(self.height, self.width).planar(beyond)

    def launches(self, frames: Frames, *, alone: bool = False) -> int:
        return len(set(self.frames(frames).keys()))  # windows are views; those of one size are laid together

    def image(self, x: Tensor) -> Tensor:
        return each_row(crop_image, x, self.top, self.left, self.height, self.width)

    def calls(self) -> Iterator[Call]:
        yield Call(crop, self.row("top", "left", "height", "width"))
