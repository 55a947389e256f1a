"""Cut windows of random area and aspect ratio, and resize them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from augserve_pipelines.batch import Batch, Block
from augserve_pipelines.dispatch import ALL_KINDS, Call
from augserve_pipelines.errors import InvalidInput
from augserve_pipelines.frames import Frames, IntArray
from augserve_pipelines.interpolation import InterpolationMode
from augserve_pipelines.kernels.crop_windows import CropWindows
from augserve_pipelines.kernels.resample import Parity
from augserve_pipelines.lanes import GlobalLane, Lanes
from augserve_pipelines.ops import Chain, Op
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
        return ResizedCrop(self.crop, self.resize.with_parity(parity))

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
        self._crop_windows = CropWindows(scale, ratio)
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
        top, left, rows, columns = RandomResizedCrop(1, scale, ratio)._windows(GlobalLane(), frames)[:, 0].tolist()
        return top, left, rows, columns

    def _windows(self, lanes: Lanes, frames: Frames) -> IntArray:
        """Top, left, height and width of each, ``[4, N]``."""
        words = lanes.peek(2 * _ATTEMPTS + 2)  # an area and a ratio for each attempt; a row and a column after the last
        windows, taken = self._crop_windows.draw(words, frames.heights, frames.widths)
        lanes.skip(taken)
        _check_windows(windows, frames)
        return windows


def _check_windows(windows: IntArray, frames: Frames) -> None:
    sides = windows[2:]
    if np.count_nonzero(sides) < sides.size:
        row = int(sides.min(0).argmin())
        size = f"{frames.heights[row]} x {frames.widths[row]}"
        raise InvalidInput(f"RandomResizedCrop finds no window of its ratio in {size} pixels (height x width)")
