"""Crop: at the centre, at random, at random and resized."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from augserve_pipelines.errors import InvalidInput
from augserve_pipelines.frames import Frames, IntArray
from augserve_pipelines.interpolation import InterpolationMode
from augserve_pipelines.lanes import Lanes
from augserve_pipelines.ops import BoolArray, Chain, Op, each_row
from augserve_pipelines.parameters import (
    AreaRange,
    Fill,
    Flag,
    OptionalFlag,
    OptionalPadding,
    PaddingMode,
    Ratio,
    ResizeInterpolation,
    Size,
)
from augserve_pipelines.transforms.base import Transform
from augserve_pipelines.transforms.fill import image_color
from augserve_pipelines.transforms.pad import PadEdges, edges
from augserve_pipelines.transforms.resize import ResizeTo, height_and_width

_ATTEMPTS = 10  # of RandomResizedCrop, as in torchvision


def crop_image(image: Tensor, top: int, left: int, height: int, width: int) -> Tensor:
    """The window of ``[..., C, H, W]`` from ``top``, ``left`` on, in pixels; zeros where it leaves the image."""
    bottom, right = top + height, left + width
    inside = image[..., max(top, 0) : max(bottom, 0), max(left, 0) : max(right, 0)]
    if top >= 0 and left >= 0 and bottom <= image.shape[-2] and right <= image.shape[-1]:
        return inside
    above, before = min(max(-top, 0), height), min(max(-left, 0), width)
    return F.pad(inside, [before, width - before - inside.shape[-1], above, height - above - inside.shape[-2]])


@dataclass(frozen=True, slots=True)
class Crop(Op):
    """Cut a window, in pixels; it may leave the image."""

    top: IntArray
    left: IntArray
    height: IntArray
    width: IntArray

    def frames(self, frames: Frames) -> Frames:
        return frames.resized(self.height, self.width)

    def image(self, x: Tensor) -> Tensor:
        return each_row(crop_image, x, self.top, self.left, self.height, self.width)


class CenterCrop(Transform):
    """Cut the middle out; an image that is smaller is padded with zeros first.

    Args:
        size: height and width of the result in pixels; one number gives a square.
    """

    def __init__(self, size: Size) -> None:
        super().__init__()
        self.size = height_and_width(size)

    def draw(self, lanes: Lanes, frames: Frames) -> Op:
        height, width = (np.full(len(frames), side) for side in self.size)
        return Crop(_middle(frames.heights, height), _middle(frames.widths, width), height, width)


class RandomCrop(Transform):
    """Cut a window of the given size at a random place.

    Draws: the top, unless there is but one; then the left, likewise.

    Args:
        size: height and width of the result in pixels; one number gives a square.
        padding: what to add at the edges first, in pixels: for all edges, for [left and right, top and bottom], or for
            [left, top, right, bottom].
        pad_if_needed: where the image is smaller than ``size``, add what is missing, to both sides.
        fill: the value of added pixels where ``padding_mode`` is constant.
        padding_mode: what added pixels hold: a constant, the edge, the image mirrored without or with its edge.

    Raises:
        InvalidInput: the image, padded, is smaller than ``size``.
    """

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
        padded = self._padding(frames)
        sizes = padded.frames(frames)
        height, width = self.size
        self._check_size(sizes)
        top = _place(lanes, sizes.heights, height)
        left = _place(lanes, sizes.widths, width)
        crop = Crop(top, left, np.full(len(frames), height), np.full(len(frames), width))
        return Chain((padded, crop)) if padded.any() else crop

    def _padding(self, frames: Frames) -> PadEdges:
        left, top, right, bottom = (np.full(len(frames), side) for side in self.padding or (0, 0, 0, 0))
        if self.pad_if_needed:
            missing_rows = np.maximum(self.size[0] - (frames.heights + top + bottom), 0)
            missing_columns = np.maximum(self.size[1] - (frames.widths + left + right), 0)
            top, bottom = top + missing_rows, bottom + missing_rows
            left, right = left + missing_columns, right + missing_columns
        return PadEdges(left, top, right, bottom, image_color(self.fill), self.padding_mode)

    def _check_size(self, frames: Frames) -> None:
        small = np.flatnonzero((frames.heights < self.size[0]) | (frames.widths < self.size[1]))
        if len(small):
            height, width = frames.heights[small[0]], frames.widths[small[0]]
            padded = "padded image" if self.padding else "image"
            raise InvalidInput(
                f"RandomCrop takes a window of {self.size[0]} x {self.size[1]} pixels (height x width), and the "
                f"{padded} has {height} x {width}; a larger image, padding or pad_if_needed is needed"
            )


class RandomResizedCrop(Transform):
    """Cut a window of random area and aspect ratio, and resize it.

    Draws: up to ten times an area and an aspect ratio, until the window fits into the image; then its top and its left.
    Where none fits, the largest window at the centre whose ratio is in range, and no further draw.

    Args:
        size: height and width of the result in pixels; one number gives a square.
        scale: the least and the greatest area of the window, as a share of the image's.
        ratio: the least and the greatest width / height of the window.
        interpolation: how to resize.
        antialias: whether to average over what a pixel covers when the window shrinks (bilinear and bicubic only).

    Raises:
        InvalidInput: no window of a ratio in range has pixels, as in an image one pixel wide.
    """

    def __init__(
        self,
        size: Size,
        scale: AreaRange = (0.08, 1.0),
        ratio: Ratio = (3.0 / 4.0, 4.0 / 3.0),
        interpolation: ResizeInterpolation = "bilinear",
        antialias: OptionalFlag = True,
    ) -> None:
        super().__init__()
        self.size = height_and_width(size)
        self.scale = scale
        self.ratio = ratio
        self._log_ratio = torch.log(torch.tensor(ratio)).tolist()
        self.interpolation = InterpolationMode(interpolation)
        self.antialias = antialias

    def draw(self, lanes: Lanes, frames: Frames) -> Op:
        rows, columns = (np.full(len(frames), side) for side in self.size)
        resize = ResizeTo(rows, columns, self.interpolation, bool(self.antialias))
        return Chain((Crop(*self._windows(lanes, frames)), resize))

    def _windows(self, lanes: Lanes, frames: Frames) -> tuple[IntArray, IntArray, IntArray, IntArray]:
        top, left, height, width = self._fallback(frames)
        waiting = np.arange(len(frames))
        for _ in range(_ATTEMPTS):
            candidates = self._candidates(lanes[waiting], frames[waiting])
            fits = _fits(candidates, frames[waiting])
            accepted = waiting[fits]
            height[accepted], width[accepted] = candidates[0][fits], candidates[1][fits]
            top[accepted] = lanes[accepted].integers(0, frames.heights[accepted] - height[accepted] + 1)
            left[accepted] = lanes[accepted].integers(0, frames.widths[accepted] - width[accepted] + 1)
            waiting = waiting[~fits]
            if not len(waiting):
                break
        _check_windows(height, width, frames)
        return top, left, height, width

    def _candidates(self, lanes: Lanes, frames: Frames) -> tuple[IntArray, IntArray]:
        area = (frames.heights * frames.widths) * lanes.uniform(*self.scale).astype(np.float64)
        # torch's exp, for its bits: numpy's differs in the last place
        ratio = torch.exp(torch.from_numpy(lanes.uniform(*self._log_ratio))).double().numpy()
        return _rounded(np.sqrt(area / ratio)), _rounded(np.sqrt(area * ratio))

    def _fallback(self, frames: Frames) -> tuple[IntArray, IntArray, IntArray, IntArray]:
        least, greatest = min(self.ratio), max(self.ratio)
        height, width = frames.heights.copy(), frames.widths.copy()
        ratio = frames.widths / frames.heights
        tall, wide = ratio < least, ratio > greatest
        height[tall] = _rounded(width[tall] / least)
        width[wide] = _rounded(height[wide] * greatest)
        return (frames.heights - height) // 2, (frames.widths - width) // 2, height, width


def _check_windows(height: IntArray, width: IntArray, frames: Frames) -> None:
    empty = np.flatnonzero((height < 1) | (width < 1))
    if len(empty):
        size = f"{frames.heights[empty[0]]} x {frames.widths[empty[0]]}"
        raise InvalidInput(f"RandomResizedCrop finds no window of its ratio in {size} pixels (height x width)")


def _fits(size: tuple[IntArray, IntArray], frames: Frames) -> BoolArray:
    height, width = size
    return (width > 0) & (width <= frames.widths) & (height > 0) & (height <= frames.heights)


def _rounded(values: NDArray[np.floating[Any]]) -> IntArray:
    rounded: IntArray = np.rint(values).astype(np.int64)  # half to even, as Python's round
    return rounded


def _middle(outer: IntArray, inner: IntArray) -> IntArray:
    """Where a window begins that lies in the middle; negative where the image must be padded before it."""
    starts: IntArray = np.where(inner > outer, -((inner - outer) // 2), _rounded((outer - inner) / 2))
    return starts


def _place(lanes: Lanes, outer: IntArray, inner: int) -> IntArray:
    place = np.zeros(len(outer), np.int64)
    free = outer > inner
    if free.any():
        place[free] = lanes[free].integers(0, outer[free] - inner + 1)
    return place
