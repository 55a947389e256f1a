"""Pad samples, each by its own number of pixels."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import PIL.Image
from torch import Tensor

from augserve_pipelines.dispatch import ALL_KINDS, Call
from augserve_pipelines.frames import Frames, IntArray
from augserve_pipelines.lanes import Lanes
from augserve_pipelines.ops import BoolArray, Kernels, Op, each_row
from augserve_pipelines.parameters import Fill, Padding, PaddingMode, for_kind
from augserve_pipelines.transforms.base import Transform
from augserve_pipelines.transforms.fill import Color, ColorArray, Fills, check_fill, colors, pixel_kinds
from augserve_pipelines.transforms.pad import check_mode, check_sides, edges, pad, widened_image

Edges = tuple[IntArray, IntArray, IntArray, IntArray]  # left, top, right, bottom

__all__ = ["Pad", "PadEdges"]


@dataclass(frozen=True, slots=True)
class PadEdges(Op):
    """Pad each sample by its own number of pixels; negative ones crop."""

    kernels: ClassVar[Kernels] = Kernels(2, 0)
    left: IntArray  # [N]
    top: IntArray
    right: IntArray
    bottom: IntArray
    fill: Fills
    padding_mode: Any
    color: ColorArray  # [N], what the fill says for the pixels

    @classmethod
    def drawn(cls, sides: Edges, fill: Fills, padding_mode: str, frames: Frames) -> PadEdges:
        """The op for samples of these frames; ``sides`` are those of each.

        Raises:
            InvalidInput: a sample is too small for its padding, or the fill does not suit it.
        """
        kinds = pixel_kinds(frames)
        color = np.fromiter((for_kind(fill, kind) for kind in kinds), object, len(frames))
        op = cls(*sides, fill, padding_mode, color)
        op.check(frames, np.array([kind is PIL.Image.Image for kind in kinds], bool))
        return op

    def check(self, frames: Frames, pictures: BoolArray) -> None:
        """Check that the samples can be padded so; ``pictures`` are the PIL images among them.

        Raises:
            InvalidInput: one is too small for its padding, or the fill does not suit it.
        """
        rows = zip(self._sides().tolist(), frames.heights.tolist(), frames.widths.tolist(), strict=True)
        tensors = (frames.channels > 0) & ~pictures
        for (own, height, width), tensor in zip(rows, tensors.tolist(), strict=True):
            check_sides(own, height, width, self.padding_mode if tensor else "constant")
        widened = tensors & (self._sides().max(axis=1, initial=0) > 0)
        columns = (self.color[widened], frames.channels[widened].tolist(), frames.dtypes[widened])
        for color, channels, dtype in {(_hashable(color), *rest) for color, *rest in zip(*columns, strict=True)}:
            check_mode(color, self.padding_mode)
            check_fill(color, channels, dtype)

    def frames(self, frames: Frames) -> Frames:
        rows, columns = frames.heights + self.top + self.bottom, frames.widths + self.left + self.right
        return frames.resized(rows, columns).planar(self._relaid())

    def image(self, x: Tensor) -> Tensor:
        sides, color = self._sides(), self.color
        if (sides == sides[0]).all() and all(own == color[0] for own in color[1:]):
            return widened_image(x, sides[0].tolist(), color[0], self.padding_mode)
        return each_row(self._padded, x, sides, color)

    def _padded(self, image: Tensor, sides: list[int], color: Color) -> Tensor:
        return widened_image(image, sides, color, self.padding_mode)

    def calls(self) -> Iterator[Call]:
        padding = self._sides()[0].tolist()
        for kinds, color in colors(self.fill):
            yield Call(pad, {"padding": padding, "fill": color, "padding_mode": self.padding_mode}, kinds)

    def _relaid(self) -> BoolArray:
        """Which samples torchvision lays out channel by channel."""
        relaid: BoolArray = np.any(self._sides() != 0, axis=1) | (self.padding_mode != "constant")
        return relaid

    def _sides(self) -> IntArray:
        return np.stack([self.left, self.top, self.right, self.bottom], axis=1)  # [N, 4]


class Pad(Transform):
    """Pad the sample on each side.

    Draws: nothing.

    Args:
        padding: pixels on all sides, [horizontal, vertical], or [left, top, right, bottom]; negative ones crop.
        fill: value of the new pixels, or a list with one for each channel, in the value range of the image at this
            step; null is 0. Or a mapping from kinds of input to these; masks take one number. For the mode
            ``constant`` only.
        padding_mode: ``constant``; ``edge`` repeats the last pixel; ``reflect`` mirrors the image without repeating
            the last pixel; ``symmetric`` mirrors it with the last pixel. Boxes and key points take ``constant`` only.

    Raises:
        InvalidInput: the sample is too small for the padding, or the fill or the mode does not suit it.
    """

    acts_on = ALL_KINDS

    def __init__(self, padding: Padding, fill: Fill = 0, padding_mode: PaddingMode = "constant") -> None:
        super().__init__()
        self.padding = padding
        self.fill = fill
        self.padding_mode = padding_mode
        for _, color in colors(fill):
            check_mode(color, padding_mode)

    def draw(self, lanes: Lanes, frames: Frames) -> Op:
        left, top, right, bottom = (np.full(len(frames), side) for side in edges(self.padding))
        return PadEdges.drawn((left, top, right, bottom), self.fill, self.padding_mode, frames)


def _hashable(color: Color) -> Color:
    return tuple(color) if isinstance(color, Sequence) else color
