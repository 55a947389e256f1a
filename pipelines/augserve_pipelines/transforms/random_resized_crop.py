"""Cut windows of random area and aspect ratio, and resize them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from augserve_pipelines.batch import Batch, Block
from augserve_pipelines.dispatch import ALL_KINDS, Call
from augserve_pipelines.errors import InvalidInput
from augserve_pipelines.frames import Frames, IntArray
from augserve_pipelines.interpolation import InterpolationMode
from augserve_pipelines.kernels.resample import Parity
from augserve_pipelines.lanes import GlobalLane, Lanes, uniform_of
from augserve_pipelines.ops import BoolArray, Chain, Op
from augserve_pipelines.parameters import AreaRange, OptionalFlag, Ratio, ResizeInterpolation, Size
from augserve_pipelines.samples import size_of
from augserve_pipelines.transforms.base import Transform
from augserve_pipelines.transforms.crop import Crop
from augserve_pipelines.transforms.resize import height_and_width
from augserve_pipelines.transforms.resize_to import ResizeTo, check_interpolation
from augserve_pipelines.transforms.resized_crop import pillow_resized_crop, resized_crop

__all__ = ["RandomResizedCrop", "ResizedCrop"]

_ATTEMPTS = 10  # as in torchvision


@dataclass(frozen=True, slots=True)
class ResizedCrop(Op):
    """Cut a window, then resize it; what lies beside the image goes through both at once."""

    crop: Crop
    resize: ResizeTo

    def __getitem__(self, rows: Any) -> ResizedCrop:
        return ResizedCrop(self.crop[rows], self.resize[rows])

    def with_parity(self, parity: Parity) -> ResizedCrop:
        return replace(self, resize=self.resize.with_parity(parity))

    def parts(self) -> Op:
        return Chain((self.crop, self.resize))

    def frames(self, frames: Frames) -> Frames:
        resized = (self.crop.height != self.resize.height) | (self.crop.width != self.resize.width)
        narrowed = self.crop.width < frames.widths  # whose rows have gaps between them; torch resizes these to planes
        return self.resize.frames(frames).planar(resized & narrowed)

    def image(self, x: Tensor) -> Tensor:
        return self.run(Batch([Block(np.arange(len(x)), x)])).stack()

    def run(self, batch: Batch) -> Batch:
        return self.parts().run(batch)

    def calls(self) -> Iterator[Call]:
        own = pillow_resized_crop if self.resize.parity == "pillow" else resized_crop
        (window,), (target,) = self.crop.calls(), self.resize.calls()
        yield Call(own, {**window.arguments, **target.arguments})


class RandomResizedCrop(Transform):
    """Cut a window of random area and aspect ratio, and resize it.

    Draws: up to ten times an area and an aspect ratio, until the window fits into the image; then its top and its left.
    Where none fits, the largest window at the centre whose ratio is in range, and no further draw.

    Args:
        size: height and width of the result in pixels; one number gives a square.
        scale: the least and the greatest area of the window, as a share of the image's.
        ratio: the least and the greatest width / height of the window.
        interpolation: how to resize; box and hamming are for PIL images, lanczos needs antialias. Masks are resized by
            nearest.
        antialias: whether to average over what a pixel covers when the window shrinks (bilinear, bicubic and lanczos
            only; PIL images always).

    Raises:
        InvalidInput: no window of a ratio in range has pixels, as in an image one pixel wide, or tensors are not
            interpolated so.
    """

    acts_on = ALL_KINDS
    one_size = True

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
        check_interpolation(self.interpolation, self.antialias, frames)
        rows, columns = (np.full(len(frames), side) for side in self.size)
        resize = ResizeTo(rows, columns, self.interpolation, self.antialias)
        return ResizedCrop(Crop(*self._windows(lanes, frames)), resize)

    @staticmethod
    def get_params(img: Any, scale: Sequence[float], ratio: Sequence[float]) -> tuple[int, int, int, int]:
        """Draw a window, from torch's global generator.

        Args:
            img: the image.
            scale: the least and the greatest area of the window, as a share of the image's.
            ratio: the least and the greatest width / height of the window.

        Returns:
            Top, left, height and width in pixels.
        """
        height, width = size_of(img) or (1, 1)
        frames = Frames.of([torch.empty(1, height, width, device="meta")])
        top, left, rows, columns = RandomResizedCrop(1, scale, ratio)._windows(GlobalLane(), frames)
        return int(top[0]), int(left[0]), int(rows[0]), int(columns[0])

    def _windows(self, lanes: Lanes, frames: Frames) -> tuple[IntArray, IntArray, IntArray, IntArray]:
        words = lanes.peek(2 * _ATTEMPTS + 2)  # an area and a ratio for each attempt; a row and a column after the last
        candidates = self._candidates(words[:, : 2 * _ATTEMPTS], frames)
        fits = _fits(candidates, frames)
        attempt, found, rows = fits.argmax(axis=1), fits.any(axis=1), np.arange(len(frames))
        place = 2 * attempt + 2
        lanes.skip(np.where(found, place + 2, 2 * _ATTEMPTS))
        sides = [candidate[rows, attempt] for candidate in candidates]
        starts = [
            words[rows, place + axis] % np.where(found, size - side + 1, 1)
            for axis, (size, side) in enumerate(zip((frames.heights, frames.widths), sides, strict=True))
        ]
        fallback = self._fallback(frames)
        top, left, height, width = (np.where(found, *pair) for pair in zip((*starts, *sides), fallback, strict=True))
        _check_windows(height, width, frames)
        return top, left, height, width

    def _candidates(self, words: NDArray[np.uint32], frames: Frames) -> tuple[IntArray, IntArray]:
        """The heights and widths of all attempts, ``[N, 10]`` each."""
        area = (frames.heights * frames.widths)[:, None] * uniform_of(words[:, ::2], *self.scale).astype(np.float64)
        # torch's exp, for its bits: numpy's differs in the last place
        ratio = torch.exp(torch.from_numpy(uniform_of(words[:, 1::2], *self._log_ratio))).double().numpy()
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
    within = (width <= frames.widths[:, None]) & (height <= frames.heights[:, None])
    return (width > 0) & (height > 0) & within


def _rounded(values: NDArray[np.floating[Any]]) -> IntArray:
    rounded: IntArray = np.rint(values).astype(np.int64)  # half to even, as Python's round
    return rounded
