"""Cut windows out and resize them, and what lies beside the images."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import PIL.Image
from numpy.typing import NDArray
from torch import Tensor

from augserve_pipelines.dispatch import functional
from augserve_pipelines.interpolation import InterpolationMode
from augserve_pipelines.transforms.crop import (
    crop_bounding_boxes,
    crop_image,
    crop_keypoints,
    crop_mask,
    crop_picture,
    translation,
)
from augserve_pipelines.transforms.resize import (
    pillow_resize_image,
    resize_bounding_boxes,
    resize_image,
    resize_keypoints,
    resize_mask,
    resize_picture,
    resizing,
)
from augserve_pipelines.tv_tensors import BoundingBoxFormat, ClampingMode

__all__ = [
    "pillow_resized_crop",
    "pillow_resized_crop_image",
    "resized_crop",
    "resized_crop_bounding_boxes",
    "resized_crop_image",
    "resized_crop_keypoints",
    "resized_crop_mask",
    "resized_crop_picture",
]

Size = tuple[int, int]  # height, width
Sides = int | Sequence[int]
Mode = InterpolationMode | str | int


def resized_crop_image(
    image: Tensor,
    top: int,
    left: int,
    height: int,
    width: int,
    size: Sides,
    interpolation: Mode = InterpolationMode.BILINEAR,
    antialias: bool | None = True,
) -> Tensor:
    """A window of ``[..., C, H, W]``, resized; the parameters are those of ``resized_crop``."""
    return resize_image(crop_image(image, top, left, height, width), size, interpolation, antialias=antialias)


def resized_crop_mask(mask: Tensor, top: int, left: int, height: int, width: int, size: Sides) -> Tensor:
    """``resized_crop_image`` for ``[..., H, W]``, by nearest always."""
    return resize_mask(crop_mask(mask, top, left, height, width), size)


def resized_crop_bounding_boxes(
    bounding_boxes: Tensor,
    format: BoundingBoxFormat | str,
    top: int,
    left: int,
    height: int,
    width: int,
    size: Sides,
    clamping_mode: ClampingMode = "soft",
) -> tuple[Tensor, Size]:
    """Where boxes ``[..., K]`` lie in the resized window, clamped to the window before, and its size."""
    boxes, window = crop_bounding_boxes(bounding_boxes, format, top, left, height, width, clamping_mode)
    return resize_bounding_boxes(boxes, window, size, format=format, clamping_mode=clamping_mode)


def resized_crop_keypoints(
    keypoints: Tensor, top: int, left: int, height: int, width: int, size: Sides
) -> tuple[Tensor, Size]:
    """Where points ``[..., 2]`` lie in the resized window, and its size."""
    points, window = crop_keypoints(keypoints, top, left, height, width)
    return resize_keypoints(points, size, window)


def resized_crop_picture(
    picture: PIL.Image.Image,
    top: int,
    left: int,
    height: int,
    width: int,
    size: Sides,
    interpolation: Mode = InterpolationMode.BILINEAR,
    antialias: bool | None = True,
) -> PIL.Image.Image:
    """``resized_crop_image`` for PIL images."""
    window = crop_picture(picture, top, left, height, width)
    return resize_picture(window, size, interpolation, antialias=antialias)


def pillow_resized_crop_image(
    image: Tensor,
    top: int,
    left: int,
    height: int,
    width: int,
    size: Sides,
    interpolation: Mode = InterpolationMode.BILINEAR,
    antialias: bool | None = True,
) -> Tensor:
    """``resized_crop_image`` with Pillow's bytes."""
    return pillow_resize_image(crop_image(image, top, left, height, width), size, interpolation, antialias=antialias)


def _geometry(
    _height: int, _width: int, top: int, left: int, height: int, width: int, size: Sides, **_others: Any
) -> tuple[NDArray[np.float64], Size]:
    scale, new_size = resizing(height, width, size)
    return scale @ translation(-left, -top), new_size


@functional(
    image=resized_crop_image,
    mask=resized_crop_mask,
    boxes=resized_crop_bounding_boxes,
    keypoints=resized_crop_keypoints,
    picture=resized_crop_picture,
    geometry=_geometry,
)
def resized_crop(
    inpt: Any,
    top: int,
    left: int,
    height: int,
    width: int,
    size: Sides,
    interpolation: Mode = InterpolationMode.BILINEAR,
    antialias: bool | None = True,
) -> Any:
    """Cut a window out and resize it.

    Args:
        inpt: what to cut it from.
        top: the first row of the window, in pixels; may be negative.
        left: the first column.
        height: of the window, in pixels.
        width: of the window.
        size: height and width of the result in pixels; one number is the length of the shorter side.
        interpolation: how to resize; box and hamming are for PIL images. Masks are resized by nearest.
        antialias: whether to average over what a pixel covers when the window shrinks.
    """


@functional(
    image=pillow_resized_crop_image,
    mask=resized_crop_mask,
    boxes=resized_crop_bounding_boxes,
    keypoints=resized_crop_keypoints,
    picture=resized_crop_picture,
    geometry=_geometry,
)
def pillow_resized_crop(
    inpt: Any,
    top: int,
    left: int,
    height: int,
    width: int,
    size: Sides,
    interpolation: Mode = InterpolationMode.BILINEAR,
    antialias: bool | None = True,
) -> Any:
    """``resized_crop`` with Pillow's bytes for tensors too: what pipelines with parity ``pillow`` call."""
