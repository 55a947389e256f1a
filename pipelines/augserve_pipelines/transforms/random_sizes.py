"""Resize to sizes that are drawn."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import numpy as np

from augserve_pipelines.arguments import Words
from augserve_pipelines.constraints import Items
from augserve_pipelines.dispatch import ALL_KINDS
from augserve_pipelines.frames import Frames
from augserve_pipelines.interpolation import InterpolationMode
from augserve_pipelines.lanes import Lanes
from augserve_pipelines.ops import Op
from augserve_pipelines.parameters import MaxSize, OptionalFlag, Pixels, PositiveRange, ResizeInterpolation
from augserve_pipelines.transforms.base import Transform
from augserve_pipelines.transforms.resize import resized_sizes
from augserve_pipelines.transforms.resize_to import ResizeSides, ResizeTo, check_resize
from augserve_pipelines.transforms.shares import between, share_of

__all__ = ["RandomResize", "RandomShortestSize", "ScaleJitter"]

Side = Annotated[Pixels, Words("an integer", example=256)]
LongerSide = Annotated[Pixels, Words("an integer", example=480)]
Sides = Annotated[
    Pixels | Annotated[Sequence[Pixels], Items()], Words("an integer or a list of integers", example=[480, 512, 544])
]
TargetSize = Annotated[
    Annotated[Sequence[Pixels], Items((2,))], Words("two integers [width, height]", example=[1024, 1024])
]
JitterRange = Annotated[PositiveRange, Words("two numbers [low, high]")]


class RandomResize(Transform):
    """Resize the sample so that its shorter side gets a random length; the aspect ratio stays.

    Draws: the length.

    Args:
        min_size: the least length in pixels.
        max_size: the length that is not reached: the greatest one is a pixel less.
        interpolation: how to resize; see Resize.
        antialias: whether to average over what a pixel covers when the image shrinks; see Resize.

    Raises:
        InvalidInput: a side of the result would be less than one pixel, or tensors are not interpolated so.
    """

    acts_on = ALL_KINDS

    def __init__(
        self,
        min_size: Side,
        max_size: LongerSide,
        interpolation: ResizeInterpolation = "bilinear",
        antialias: OptionalFlag = True,
    ) -> None:
        super().__init__()
        if min_size >= max_size:
            raise ValueError(f"max_size is {max_size}; it must be greater than min_size, which is {min_size}")
        self.min_size = min_size
        self.max_size = max_size
        self.interpolation = InterpolationMode(interpolation)
        self.antialias = antialias

    def draw(self, lanes: Lanes, frames: Frames) -> Op:
        shorter = lanes.integers(self.min_size, self.max_size)
        height, width = resized_sizes(frames.heights, frames.widths, [shorter])
        sides = shorter.astype(object)
        op = ResizeSides(height, width, self.interpolation, self.antialias, shorter=sides)
        check_resize(op, frames, type(self).__name__)
        return op


class ScaleJitter(Transform):
    """Resize the sample to fit into a target, times a random factor (large scale jitter, arXiv:2012.07177).

    Nothing is cut or padded to the target size.

    Draws: the factor.

    Args:
        target_size: width and height of the target in pixels.
        scale_range: the least and the greatest factor.
        interpolation: how to resize; see Resize.
        antialias: whether to average over what a pixel covers when the image shrinks; see Resize.

    Raises:
        InvalidInput: a side of the result would be less than one pixel, or tensors are not interpolated so.
    """

    acts_on = ALL_KINDS
    one_size = True

    def __init__(
        self,
        target_size: TargetSize,
        scale_range: JitterRange = (0.1, 2.0),
        interpolation: ResizeInterpolation = "bilinear",
        antialias: OptionalFlag = True,
    ) -> None:
        super().__init__()
        self.target_size = target_size
        self.scale_range = scale_range
        self.interpolation = InterpolationMode(interpolation)
        self.antialias = antialias

    def draw(self, lanes: Lanes, frames: Frames) -> Op:
        low, high = self.scale_range
        scale = between(low, high, lanes.rand())
        width, height = self.target_size
        factor = np.minimum(height / frames.heights, width / frames.widths).astype(np.float32) * scale
        sizes = share_of(frames.heights, factor), share_of(frames.widths, factor)
        op = ResizeTo(*sizes, self.interpolation, self.antialias)
        check_resize(op, frames, type(self).__name__)
        return op


class RandomShortestSize(Transform):
    """Resize the sample so that its shorter side gets one of several lengths; the aspect ratio stays.

    Draws: which of the lengths.

    Args:
        min_size: the lengths in pixels.
        max_size: the most that the longer side may get, whatever the shorter one gets then; null is no limit.
        interpolation: how to resize; see Resize.
        antialias: whether to average over what a pixel covers when the image shrinks; see Resize.

    Raises:
        InvalidInput: a side of the result would be less than one pixel, or tensors are not interpolated so.
    """

    acts_on = ALL_KINDS
    one_size = True

    def __init__(
        self,
        min_size: Sides,
        max_size: MaxSize = None,
        interpolation: ResizeInterpolation = "bilinear",
        antialias: OptionalFlag = True,
    ) -> None:
        super().__init__()
        self.min_size = (min_size,) if isinstance(min_size, int) else tuple(min_size)
        self.max_size = max_size
        self.interpolation = InterpolationMode(interpolation)
        self.antialias = antialias

    def draw(self, lanes: Lanes, frames: Frames) -> Op:
        shorter = np.array(self.min_size)[lanes.integers(0, len(self.min_size))]
        ratio = shorter / np.minimum(frames.heights, frames.widths)
        if self.max_size is not None:
            ratio = np.minimum(ratio, self.max_size / np.maximum(frames.heights, frames.widths))
        sizes = (frames.heights * ratio).astype(np.int64), (frames.widths * ratio).astype(np.int64)
        op = ResizeTo(*sizes, self.interpolation, self.antialias)
        check_resize(op, frames, type(self).__name__)
        return op
