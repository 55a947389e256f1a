"""Cut windows of a given size at random places."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from augserve_pipelines.dispatch import ALL_KINDS, Call
from augserve_pipelines.errors import InvalidInput
from augserve_pipelines.frames import Frames, IntArray
from augserve_pipelines.lanes import GlobalLane, Lanes
from augserve_pipelines.ops import BoolArray, Chain, Op
from augserve_pipelines.parameters import Fill, Flag, OptionalPadding, PaddingMode, Size
from augserve_pipelines.samples import size_of
from augserve_pipelines.transforms.base import Transform
from augserve_pipelines.transforms.crop import Crop
from augserve_pipelines.transforms.pad import edges
from augserve_pipelines.transforms.pad_edges import Edges, PadEdges
from augserve_pipelines.transforms.resize import height_and_width

__all__ = ["RandomCrop"]


@dataclass(frozen=True, slots=True)
class PadIfAny(PadEdges):
    """Pad samples; those without padding stay as they are, where padding by nothing would clamp boxes."""

    def calls(self) -> Iterator[Call]:
        return PadEdges.calls(self) if self._sides().any() else iter(())

    def _relaid(self) -> BoolArray:
        padded: BoolArray = np.any(self._sides() != 0, axis=1)
        return padded


@dataclass(frozen=True, slots=True)
class CropIfSmaller(Crop):
    """Cut windows; samples of the window's size stay as they are, where cutting all of it would clamp boxes."""

    smaller: BoolArray  # [N]

    def calls(self) -> Iterator[Call]:
        return Crop.calls(self) if self.smaller[0] else iter(())


class RandomCrop(Transform):
    """Cut a window of the given size at a random place.

    Draws: the top, unless there is but one; then the left, likewise.

    Args:
        size: height and width of the result in pixels; one number gives a square.
        padding: what to add at the edges first, in pixels: for all edges, for [left and right, top and bottom], or for
            [left, top, right, bottom].
        pad_if_needed: where the image is smaller than ``size``, add what is missing, to both sides.
        fill: the value of added pixels where ``padding_mode`` is constant, or a list with one for each channel, or a
            mapping from kinds of input to these; masks take one number.
        padding_mode: what added pixels hold: a constant, the edge, the image mirrored without or with its edge. Boxes
            and key points take a constant only.

    Raises:
        InvalidInput: the image, padded, is smaller than ``size``.
    """

    acts_on = ALL_KINDS
    one_size = True

    def __init__(
        self,
        size: Size,
        padding: OptionalPadding = None,
        pad_if_needed: Flag = False,
        fill: Fill = 0,
        padding_mode: PaddingMode = "constant",
    ) -> None:
        super().__init__()
        self.size = height_and_width(size)
        self.padding = edges(padding) if padding else None
        self.pad_if_needed = pad_if_needed
        self.fill = fill
        self.padding_mode = padding_mode

    def draw(self, lanes: Lanes, frames: Frames) -> Op:
        sides = self._edges(frames)
        padded = PadIfAny.drawn(sides, self.fill, self.padding_mode, frames)
        sizes = padded.frames(frames)
        height, width = self.size
        self._check_size(sizes)
        top = _place(lanes, sizes.heights, height)
        left = _place(lanes, sizes.widths, width)
        smaller = (sizes.heights > height) | (sizes.widths > width)
        crop = CropIfSmaller(top, left, np.full(len(frames), height), np.full(len(frames), width), smaller)
        return Chain((padded, crop)) if np.any(sides) else crop

    @staticmethod
    def get_params(img: Any, output_size: Sequence[int]) -> tuple[int, int, int, int]:
        """Draw a window, from torch's global generator.

        Args:
            img: the image.
            output_size: height and width of the window.

        Returns:
            Top, left, height and width in pixels.

        Raises:
            InvalidInput: the window is larger than the image.
        """
        (height, width), lane = size_of(img) or (0, 0), GlobalLane()
        rows, columns = height - output_size[0], width - output_size[1]
        if rows < 0 or columns < 0:
            raise InvalidInput(f"a window of {[*output_size]} is larger than the image of {[height, width]}")
        if rows == columns == 0:
            return 0, 0, height, width
        top, left = (int(lane.integers(0, free + 1)[0]) for free in (rows, columns))
        return top, left, output_size[0], output_size[1]

    def _edges(self, frames: Frames) -> Edges:
        left, top, right, bottom = (np.full(len(frames), side) for side in self.padding or (0, 0, 0, 0))
        if self.pad_if_needed:
            missing_rows = np.maximum(self.size[0] - (frames.heights + top + bottom), 0)
            missing_columns = np.maximum(self.size[1] - (frames.widths + left + right), 0)
            top, bottom = top + missing_rows, bottom + missing_rows
            left, right = left + missing_columns, right + missing_columns
        return left, top, right, bottom

    def _check_size(self, frames: Frames) -> None:
        small = np.flatnonzero((frames.heights < self.size[0]) | (frames.widths < self.size[1]))
        if len(small):
            height, width = frames.heights[small[0]], frames.widths[small[0]]
            padded = "padded image" if self.padding else "image"
            raise InvalidInput(
                f"RandomCrop takes a window of {self.size[0]} x {self.size[1]} pixels (height x width), and the "
                f"{padded} has {height} x {width}; a larger image, padding or pad_if_needed is needed"
            )


def _place(lanes: Lanes, outer: IntArray, inner: int) -> IntArray:
    place = np.zeros(len(outer), np.int64)
    free = outer > inner
    if free.any():
        place[free] = lanes[free].integers(0, outer[free] - inner + 1)
    return place
