"""Resize images, and what lies beside them."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
import PIL.Image
import torch
from numpy.typing import NDArray
from torch import Tensor

from augserve_pipelines.dispatch import functional
from augserve_pipelines.errors import InvalidInput
from augserve_pipelines.frames import IntArray, is_interleaved
from augserve_pipelines.interpolation import InterpolationMode
from augserve_pipelines.kernels.boxes import clamp_bounding_boxes, convert_bounding_box_format
from augserve_pipelines.kernels.resample import Parity, resample_image
from augserve_pipelines.kernels.rotated_boxes import parallelograms_to_rectangles
from augserve_pipelines.tv_tensors import BoundingBoxFormat, ClampingMode, is_rotated_bounding_format

__all__ = [
    "Sides",
    "check_max_size",
    "height_and_width",
    "pillow_resize",
    "pillow_resize_image",
    "resize",
    "resize_bounding_boxes",
    "resize_image",
    "resize_keypoints",
    "resize_mask",
    "resize_picture",
    "resized_size",
    "resized_sizes",
    "resizing",
    "scaling",
]

Size = tuple[int, int]  # height, width
Sides = int | Sequence[int] | None
Mode = InterpolationMode | str | int


def resize_image(
    image: Tensor,
    size: Sides,
    interpolation: Mode = InterpolationMode.BILINEAR,
    max_size: int | None = None,
    antialias: bool | None = True,
) -> Tensor:
    """Resize ``[..., C, H, W]``; the parameters are those of ``resize``.

    Raises:
        InvalidInput: tensors cannot be resized so, or a side would have no pixel.
        ValueError: ``size`` and ``max_size`` do not say a size.
    """
    return _resized(image, size, interpolation, max_size, antialias, "torchvision")


def resize_mask(
    mask: Tensor, size: Sides, interpolation: Mode = InterpolationMode.BILINEAR, max_size: int | None = None
) -> Tensor:
    """``resize_image`` for ``[..., H, W]``, never blended: all modes but nearest-exact are nearest."""
    mode = InterpolationMode(interpolation)
    mode = mode if mode is InterpolationMode.NEAREST_EXACT else InterpolationMode.NEAREST
    if mask.ndim < 3:
        return resize_image(mask.unsqueeze(0), size, mode, max_size).squeeze(0)
    return resize_image(mask, size, mode, max_size)


def resize_bounding_boxes(
    bounding_boxes: Tensor,
    canvas_size: Size,
    size: Sides,
    max_size: int | None = None,
    format: BoundingBoxFormat | str = BoundingBoxFormat.XYXY,
    clamping_mode: ClampingMode = "soft",
) -> tuple[Tensor, Size]:
    """Where boxes ``[..., K]`` lie on the resized canvas, rotated ones clamped to it, and its size."""
    format, new_size = BoundingBoxFormat(format), resized_size(canvas_size, size, max_size)
    if new_size == tuple(canvas_size):
        return bounding_boxes, canvas_size
    ratios = _ratios(bounding_boxes, canvas_size, new_size)
    if not is_rotated_bounding_format(format):
        return bounding_boxes.mul(ratios.repeat(2)).to(bounding_boxes.dtype), new_size
    corners = convert_bounding_box_format(bounding_boxes, format, BoundingBoxFormat.XYXYXYXY).reshape(-1, 8)
    around = parallelograms_to_rectangles(corners.mul(ratios.repeat(4)))
    clamped = clamp_bounding_boxes(around, BoundingBoxFormat.XYXYXYXY, new_size, clamping_mode)
    converted = convert_bounding_box_format(clamped, BoundingBoxFormat.XYXYXYXY, format)
    return converted.to(bounding_boxes.dtype).reshape(bounding_boxes.shape), new_size


def resize_keypoints(
    keypoints: Tensor, size: Sides, canvas_size: Size, max_size: int | None = None
) -> tuple[Tensor, Size]:
    """Where points ``[..., 2]`` lie on the resized canvas, and its size."""
    new_size = resized_size(canvas_size, size, max_size)
    if new_size == tuple(canvas_size):
        return keypoints, canvas_size
    return keypoints.mul(_ratios(keypoints, canvas_size, new_size)).to(keypoints.dtype), new_size


def resize_picture(
    picture: PIL.Image.Image,
    size: Sides,
    interpolation: Mode = InterpolationMode.BILINEAR,
    max_size: int | None = None,
    antialias: bool | None = True,
) -> PIL.Image.Image:
    """``resize_image`` for PIL images, which Pillow always antialiases; False is warned about."""
    if antialias is False:
        warnings.warn("PIL images are resized with antialias always: False is ignored", stacklevel=2)
    height, width = resized_size((picture.height, picture.width), size, max_size)
    if (picture.height, picture.width) == (height, width):
        return picture
    if min(height, width) < 1:
        raise InvalidInput(f"a PIL image cannot be resized to {height} x {width}; at least 1 x 1 is needed")
    return picture.resize((width, height), InterpolationMode(interpolation).pillow)


def pillow_resize_image(
    image: Tensor,
    size: Sides,
    interpolation: Mode = InterpolationMode.BILINEAR,
    max_size: int | None = None,
    antialias: bool | None = True,
) -> Tensor:
    """``resize_image`` with Pillow's bytes."""
    return _resized(image, size, interpolation, max_size, antialias, "pillow")


def resizing(
    height: int, width: int, size: Sides, max_size: int | None = None, **_others: Any
) -> tuple[NDArray[np.float64], Size]:
    """Where points go, and the new size; the parameters are those of ``resize``."""
    new_size = resized_size((height, width), size, max_size)
    return scaling(new_size[1] / width, new_size[0] / height), new_size


def scaling(x: float, y: float) -> NDArray[np.float64]:
    """The matrix that scales points."""
    return np.diag([x, y, 1.0])


@functional(
    image=resize_image,
    mask=resize_mask,
    boxes=resize_bounding_boxes,
    keypoints=resize_keypoints,
    picture=resize_picture,
    geometry=resizing,
)
def resize(
    inpt: Any,
    size: Sides,
    interpolation: Mode = InterpolationMode.BILINEAR,
    max_size: int | None = None,
    antialias: bool | None = True,
) -> Any:
    """Resize.

    Args:
        inpt: what to resize.
        size: height and width of the result in pixels. One number is the length of the shorter side; the other follows
            from the aspect ratio. None: the longer side gets ``max_size``.
        interpolation: how to resize; box and hamming are for PIL images, lanczos is not for floats on a GPU.
        max_size: the most that the longer side may get where ``size`` is one number, which must be less than it.
        antialias: whether to average over what a pixel covers when the image shrinks (bilinear, bicubic and lanczos;
            PIL images always).
    """


@functional(
    image=pillow_resize_image,
    mask=resize_mask,
    boxes=resize_bounding_boxes,
    keypoints=resize_keypoints,
    picture=resize_picture,
    geometry=resizing,
)
def pillow_resize(
    inpt: Any,
    size: Sides,
    interpolation: Mode = InterpolationMode.BILINEAR,
    max_size: int | None = None,
    antialias: bool | None = True,
) -> Any:
    """``resize`` with Pillow's bytes for tensors too: what pipelines with parity ``pillow`` call."""


def height_and_width(size: int | Sequence[int]) -> Size:
    """A square for one number."""
    sides = (size,) if isinstance(size, int) else size
    return sides[0], sides[-1]


def resized_size(before: Size, size: Sides, max_size: int | None = None) -> Size:
    """Height and width of what is resized; see ``resize``.

    Raises:
        ValueError: ``size`` and ``max_size`` do not say a size.
    """
    sides = (size,) if isinstance(size, int) else size
    check_max_size(sides, max_size)
    if min(before) < 1:
        raise InvalidInput(f"{before[0]} x {before[1]} pixels (height x width) cannot be resized")
    height, width = resized_sizes(np.array(before[:1]), np.array(before[1:]), sides, max_size)
    return int(height[0]), int(width[0])


def resized_sizes(
    heights: IntArray, widths: IntArray, size: Sequence[int | IntArray] | None, max_size: int | None = None
) -> tuple[IntArray, IntArray]:
    """Heights and widths ``[N]`` of what is resized; ``size`` may hold a number for each."""
    if size is not None and len(size) == 2:
        return np.full(len(heights), size[0]), np.full(len(heights), size[1])
    short, long = _short_and_long(
        np.minimum(heights, widths), np.maximum(heights, widths), None if size is None else size[0], max_size
    )
    upright = widths <= heights
    return np.where(upright, long, short), np.where(upright, short, long)


def check_max_size(size: Sequence[int] | None, max_size: int | None) -> None:
    """Check that the two of them say a size.

    Raises:
        ValueError: they do not.
    """
    if size is None:
        if max_size is None:
            raise ValueError("size is null and so is max_size; one of them is needed")
        return
    if len(size) not in (1, 2):
        raise ValueError(f"size is {[*size]}; it is one number or two")
    if max_size is None:
        return
    if len(size) == 2:
        raise ValueError(f"max_size is {max_size} and size is {[*size]}; with max_size, size is one number or null")
    if max_size <= size[0]:
        raise ValueError(f"max_size is {max_size}; it must be greater than size, which is {size[0]}")


def _resized(
    image: Tensor, size: Sides, interpolation: Mode, max_size: int | None, antialias: bool | None, parity: Parity
) -> Tensor:
    if image.ndim < 3:
        raise InvalidInput(f"an image has at least 3 dimensions, [..., C, H, W]; this has the shape {[*image.shape]}")
    new_size = resized_size((image.shape[-2], image.shape[-1]), size, max_size)
    resized = resample_image(image, new_size, InterpolationMode(interpolation), bool(antialias), parity)
    return _laid_out(resized, image) if image.numel() else resized


def _laid_out(resized: Tensor, image: Tensor) -> Tensor:
    """The result laid out as torchvision's, which noise drawn for it follows."""
    if resized is image:
        return image
    flat = image.reshape(-1, *image.shape[-3:])
    dense = flat.is_contiguous(memory_format=torch.channels_last) and not flat.is_contiguous()
    interleaved = dense or (len(flat) > 1 and is_interleaved(flat))
    if interleaved is is_interleaved(resized):
        return resized
    return resized.movedim(-3, -1).contiguous().movedim(-1, -3) if interleaved else resized.contiguous()


def _short_and_long(
    short: IntArray, long: IntArray, wanted: int | IntArray | None, max_size: int | None
) -> tuple[IntArray, IntArray]:
    if wanted is None:
        assert max_size is not None  # see check_max_size
        return _truncated(max_size * short / long), np.full(len(short), max_size)
    new_long = _truncated(wanted * long / short)
    new_short = np.full(len(short), wanted)
    if max_size is None:
        return new_short, new_long
    over = new_long > max_size
    return np.where(over, _truncated(max_size * new_short / new_long), new_short), np.minimum(new_long, max_size)


def _truncated(values: NDArray[np.float64]) -> IntArray:
    return values.astype(np.int64)


def _ratios(coordinates: Tensor, before: Size, after: Size) -> Tensor:
    """What to multiply x and y with, ``[2]``, in the default dtype, as torchvision's."""
    return torch.tensor([after[1] / before[1], after[0] / before[0]], device=coordinates.device)
