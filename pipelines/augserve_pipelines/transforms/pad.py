"""Widen images on each side, by a constant or by their own pixels, and what lies beside them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import PIL.Image
import PIL.ImageOps
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from augserve_pipelines.dispatch import functional
from augserve_pipelines.errors import InvalidInput
from augserve_pipelines.frames import is_interleaved
from augserve_pipelines.kernels.boxes import clamp_bounding_boxes
from augserve_pipelines.transforms.crop import offsets, translation
from augserve_pipelines.transforms.fill import Color, check_fill, picture_color, values_of
from augserve_pipelines.tv_tensors import BoundingBoxFormat, ClampingMode

__all__ = [
    "Sides",
    "check_mode",
    "check_sides",
    "edges",
    "pad",
    "pad_bounding_boxes",
    "pad_image",
    "pad_keypoints",
    "pad_mask",
    "pad_picture",
    "widened_image",
]

Sides = tuple[int, int, int, int]  # left, top, right, bottom
Size = tuple[int, int]  # height, width
Padding = int | Sequence[int]
Mode = Literal["constant", "edge", "reflect", "symmetric"]


def edges(padding: Padding) -> Sides:
    """(left, top, right, bottom) of a padding given as one number, [horizontal, vertical], or all four.

    Raises:
        ValueError: it has another number of values.
    """
    given = [padding] if isinstance(padding, int) else list(padding)
    if len(given) not in (1, 2, 4):
        raise ValueError(f"padding {given} has {len(given)} values; it takes one, two or four")
    left, top, right, bottom = given * (4 // len(given))
    return left, top, right, bottom


def pad_image(image: Tensor, padding: Padding, fill: Color = None, padding_mode: Mode = "constant") -> Tensor:
    """Pad ``[..., C, H, W]``.

    Args:
        image: images of any dtype.
        padding: pixels on all sides, [horizontal, vertical], or [left, top, right, bottom]; negative ones crop.
        fill: value of the new pixels, or one for each channel; None is 0. For the mode ``constant`` only.
        padding_mode: ``constant``, ``edge`` (repeat the last pixel), ``reflect`` (mirror without the last pixel) or
            ``symmetric`` (mirror with it).

    Raises:
        InvalidInput: the image is too small for the padding, or the fill does not suit it.
    """
    padded = widened_image(image, padding, fill, padding_mode)
    if not is_interleaved(padded) or not (any(edges(padding)) or padding_mode != "constant"):
        return padded
    one = padding_mode == "symmetric" or image.shape[:-3].numel() == 1
    return padded.contiguous() if one else padded  # as torchvision's, which noise drawn for it follows


def widened_image(image: Tensor, padding: Padding, fill: Color = None, padding_mode: Mode = "constant") -> Tensor:
    """``pad_image``, laid out as the image is."""
    if image.ndim < 3:
        raise InvalidInput(f"an image has at least 3 dimensions, [..., C, H, W]; this has the shape {[*image.shape]}")
    sides = edges(padding)
    channels, height, width = image.shape[-3:]
    check_sides(sides, height, width, padding_mode)
    check_mode(fill, padding_mode)
    if max(sides) > 0:
        check_fill(fill, channels, image.dtype)
    added = left, top, right, bottom = max(0, sides[0]), max(0, sides[1]), max(0, sides[2]), max(0, sides[3])
    if padding_mode == "constant":
        padded = _filled(image, added, fill)
    else:
        padded = _widened(image, added)
        _mirror(padded, -1, left, right, padding_mode)
        _mirror(padded, -2, top, bottom, padding_mode)
    return _cropped(padded, sides)


def pad_mask(mask: Tensor, padding: Padding, fill: Color = None, padding_mode: Mode = "constant") -> Tensor:
    """``pad_image`` for ``[..., H, W]``.

    Raises:
        InvalidInput: the mask is too small for the padding, or the fill is not one number that suits it.
    """
    if isinstance(fill, Sequence):
        raise InvalidInput(f"fill {[*fill]} is a list, and masks take one number: give a fill for each kind of input")
    if mask.ndim < 3:
        return pad_image(mask.unsqueeze(0), padding, fill, padding_mode).squeeze(0)
    return pad_image(mask, padding, fill, padding_mode)


def pad_bounding_boxes(
    bounding_boxes: Tensor,
    format: BoundingBoxFormat | str,
    canvas_size: Size,
    padding: Padding,
    padding_mode: Mode = "constant",
    clamping_mode: ClampingMode = "soft",
) -> tuple[Tensor, Size]:
    """Where boxes ``[..., K]`` lie on the padded canvas, clamped to it, and its size.

    Raises:
        InvalidInput: the padding is no constant.
    """
    size = _padded_size(canvas_size, padding, padding_mode, "bounding boxes")
    format, (left, top, _, _) = BoundingBoxFormat(format), edges(padding)
    moved = bounding_boxes + offsets(bounding_boxes, format, left, top)
    return clamp_bounding_boxes(moved, format, size, clamping_mode), size


def pad_keypoints(
    keypoints: Tensor, canvas_size: Size, padding: Padding, padding_mode: Mode = "constant"
) -> tuple[Tensor, Size]:
    """Where points ``[..., 2]`` lie on the padded canvas, and its size.

    Raises:
        InvalidInput: the padding is no constant.
    """
    size = _padded_size(canvas_size, padding, padding_mode, "key points")
    left, top, _, _ = edges(padding)
    return keypoints + keypoints.new_tensor([left, top]), size


def pad_picture(
    picture: PIL.Image.Image, padding: Padding, fill: Color = None, padding_mode: Mode = "constant"
) -> PIL.Image.Image:
    """``pad_image`` for PIL images; the values of a fill are made whole, but for mode F.

    Raises:
        InvalidInput: the image is too small for the padding, or the fill does not suit it.
    """
    sides = edges(padding)
    check_sides(sides, picture.height, picture.width)
    if padding_mode == "constant":
        padded = PIL.ImageOps.expand(picture, sides, picture_color(fill, picture))  # type: ignore[arg-type]  # or 4 sides
    else:
        padded = _mirrored_picture(picture, sides, padding_mode)
    if picture.mode == "P":
        padded.putpalette(picture.getpalette() or [])
    return padded


def _geometry(height: int, width: int, padding: Padding, **_others: Any) -> tuple[NDArray[np.float64], Size]:
    left, top, right, bottom = edges(padding)
    return translation(left, top), (height + top + bottom, width + left + right)


@functional(
    image=pad_image,
    mask=pad_mask,
    boxes=pad_bounding_boxes,
    keypoints=pad_keypoints,
    picture=pad_picture,
    geometry=_geometry,
)
def pad(inpt: Any, padding: Padding, fill: Color = None, padding_mode: Mode = "constant") -> Any:
    """Pad on each side.

    Args:
        inpt: what to pad; boxes and key points take constant padding only.
        padding: pixels on all sides, [horizontal, vertical], or [left, top, right, bottom]; negative ones crop.
        fill: value of the new pixels, or one for each channel; None is 0. For the mode ``constant`` only.
        padding_mode: ``constant``; ``edge`` repeats the last pixel; ``reflect`` mirrors without repeating the last
            pixel; ``symmetric`` mirrors with it.
    """


def check_sides(sides: Sides, height: int, width: int, mode: str = "constant") -> None:
    """Check that an image of this size can be padded so; mirrored PIL images may be padded by more than their size.

    Raises:
        InvalidInput: it is too small.
    """
    left, top, right, bottom = sides
    for name, size, before, after in (("width", width, left, right), ("height", height, top, bottom)):
        kept = size + min(before, 0) + min(after, 0)
        if kept < 1:
            raise InvalidInput(f"padding {[*sides]} leaves nothing of an image of {name} {size}")
        most = {"reflect": size - 1, "symmetric": kept}.get(mode)
        if most is not None and max(before, after) > most:
            raise InvalidInput(
                f"padding {[*sides]} is too wide for an image of {name} {size}: "
                f"{mode} padding adds at most {most} pixels to a side of it"
            )


def check_mode(fill: Color, mode: str) -> None:
    """Check that only constant padding has a value for each channel.

    Raises:
        InvalidInput: another has.
    """
    if mode != "constant" and len(values_of(fill)) > 1:
        raise InvalidInput(f"fill has one value for each channel: padding_mode {mode!r} does not take that")


def _widened(image: Tensor, sides: Sides, value: float = 0.0) -> Tensor:
    left, top, right, bottom = sides
    if image.stride(-3) == 1:  # channels last, as decoders lay images: so it stays, and copies rows, not bytes
        return F.pad(image.movedim(-3, -1), [0, 0, left, right, top, bottom], value=value).movedim(-1, -3)
    return F.pad(image, [left, right, top, bottom], value=value)


def _filled(image: Tensor, sides: Sides, fill: Color) -> Tensor:
    left, top, right, bottom = sides
    values = values_of(fill)
    if len(values) == 1 or not any(sides):
        return _widened(image, sides, values[0])
    padded = _widened(image, sides)
    height, width = padded.shape[-2:]
    color = torch.tensor(values, device=image.device).to(image.dtype).reshape(-1, 1, 1)
    above, below = padded[..., :top, :], padded[..., height - bottom :, :]
    before, after = padded[..., :left], padded[..., width - right :]
    for border in (above, below, before, after):
        border.copy_(color.expand_as(border))
    return padded


def _mirror(padded: Tensor, dim: int, before: int, after: int, mode: str) -> None:
    """Fill the borders of one dimension, in place, from what lies between them."""
    first, last = before, padded.shape[dim] - after - 1  # of the image
    if mode == "edge":
        head, tail = [first] * before, [last] * after
    else:
        skipped = 1 if mode == "reflect" else 0
        head = [first + skipped + step for step in reversed(range(before))]
        tail = [last - skipped - step for step in range(after)]
    for start, source in ((0, head), (last + 1, tail)):
        pixels = padded.index_select(dim, torch.tensor(source, dtype=torch.long, device=padded.device))
        padded.narrow(dim, start, len(source)).copy_(pixels)


def _cropped(padded: Tensor, sides: Sides) -> Tensor:
    left, top, right, bottom = (max(0, -side) for side in sides)
    height, width = padded.shape[-2:]
    return padded[..., top : height - bottom, left : width - right]


def _mirrored_picture(picture: PIL.Image.Image, sides: Sides, mode: Mode) -> PIL.Image.Image:
    left, top, right, bottom = (max(0, -side) for side in sides)
    kept = picture.crop((left, top, picture.width - right, picture.height - bottom))
    left, top, right, bottom = (max(0, side) for side in sides)
    pixels = np.asarray(kept)
    widths = [(top, bottom), (left, right), (0, 0)][: pixels.ndim]
    return PIL.Image.fromarray(np.pad(pixels, widths, mode))


def _padded_size(canvas_size: Size, padding: Padding, mode: str, what: str) -> Size:
    if mode != "constant":
        raise InvalidInput(f"padding_mode {mode!r} does not act on {what}: 'constant' does")
    left, top, right, bottom = edges(padding)
    return canvas_size[0] + top + bottom, canvas_size[1] + left + right
