"""Widen images on each side, by a constant or by their own pixels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from augserve_pipelines.errors import InvalidInput
from augserve_pipelines.frames import Frames, IntArray
from augserve_pipelines.lanes import Lanes
from augserve_pipelines.ops import Op, each_row
from augserve_pipelines.parameters import Fill, Padding, PaddingMode
from augserve_pipelines.transforms.base import Transform
from augserve_pipelines.transforms.fill import Color, check_fill, image_color, values_of

__all__ = ["Pad", "PadEdges", "edges", "pad_image"]

Sides = tuple[int, int, int, int]  # left, top, right, bottom


def edges(padding: int | Sequence[int]) -> Sides:
    """(left, top, right, bottom) of a padding given as one number, [horizontal, vertical], or all four."""
    given = [padding] if isinstance(padding, int) else list(padding)
    left, top, right, bottom = given * (4 // len(given))
    return left, top, right, bottom


def pad_image(
    image: Tensor, padding: int | Sequence[int], fill: Color = None, padding_mode: str = "constant"
) -> Tensor:
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
    sides = edges(padding)
    channels, height, width = image.shape[-3:]
    _check(sides, height, width, padding_mode)
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


def _check(sides: Sides, height: int, width: int, mode: str) -> None:
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


@dataclass(frozen=True, slots=True)
class PadEdges(Op):
    """Pad each sample by its own number of pixels; negative ones crop."""

    left: IntArray  # [N]
    top: IntArray
    right: IntArray
    bottom: IntArray
    fill: Color
    padding_mode: str

    def any(self) -> bool:
        """Whether some sample changes."""
        return bool(self._sides().any())

    def frames(self, frames: Frames) -> Frames:
        """The padded sizes.

        Raises:
            InvalidInput: a sample is too small for its padding, or the fill does not suit it.
        """
        sides = self._sides()
        for own, height, width in zip(sides.tolist(), frames.heights.tolist(), frames.widths.tolist(), strict=True):
            _check(own, height, width, self.padding_mode)
        widened = frames[sides.max(axis=1) > 0]
        for channels, dtype in set(zip(widened.channels.tolist(), widened.dtypes.tolist(), strict=True)):
            check_fill(self.fill, channels, dtype)
        return frames.resized(frames.heights + self.top + self.bottom, frames.widths + self.left + self.right)

    def image(self, x: Tensor) -> Tensor:
        sides = self._sides()
        if (sides == sides[0]).all():
            return pad_image(x, sides[0].tolist(), self.fill, self.padding_mode)
        return each_row(lambda image, own: pad_image(image, own, self.fill, self.padding_mode), x, sides)

    def _sides(self) -> IntArray:
        return np.stack([self.left, self.top, self.right, self.bottom], axis=1)  # [N, 4]


class Pad(Transform):
    """Pad the sample on each side.

    Draws: nothing.

    Args:
        padding: pixels on all sides, [horizontal, vertical], or [left, top, right, bottom]; negative ones crop.
        fill: value of the new pixels, or a list with one for each channel, in the value range of the image at this
            step; null is 0. For the mode ``constant`` only.
        padding_mode: ``constant``; ``edge`` repeats the last pixel; ``reflect`` mirrors the image without repeating
            the last pixel; ``symmetric`` mirrors it with the last pixel.
    """

    def __init__(self, padding: Padding, fill: Fill = 0, padding_mode: PaddingMode = "constant") -> None:
        super().__init__()
        self.padding = padding
        self.fill = fill
        self.padding_mode = padding_mode
        self._color = image_color(fill)
        if padding_mode != "constant" and len(values_of(self._color)) > 1:
            raise ValueError(f"fill has one value for each channel: padding_mode {padding_mode!r} does not take that")

    def draw(self, lanes: Lanes, frames: Frames) -> Op:
        left, top, right, bottom = (np.full(len(frames), side) for side in edges(self.padding))
        op = PadEdges(left, top, right, bottom, self._color, self.padding_mode)
        op.frames(frames)  # raises where a sample cannot be padded so
        return op
