"""Resize samples, each to its own size."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import PIL.Image
from torch import Tensor

from augserve_pipelines.dispatch import ALL_KINDS, Call
from augserve_pipelines.errors import InvalidInput
from augserve_pipelines.frames import Frames, IntArray
from augserve_pipelines.interpolation import InterpolationMode
from augserve_pipelines.kernels.resample import Parity, check_mode, resample_image
from augserve_pipelines.lanes import Lanes
from augserve_pipelines.ops import Op
from augserve_pipelines.parameters import MaxSize, OptionalFlag, OptionalSize, ResizeInterpolation
from augserve_pipelines.transforms.base import Transform
from augserve_pipelines.transforms.fill import pixel_kinds
from augserve_pipelines.transforms.resize import check_max_size, pillow_resize, resize, resized_sizes

__all__ = ["Resize", "ResizeTo", "check_interpolation", "resize_to"]


@dataclass(frozen=True, slots=True)
class ResizeTo(Op):
    """Resize to a height and a width in pixels."""

    height: IntArray
    width: IntArray
    interpolation: InterpolationMode
    antialias: bool | None
    parity: Parity = "torchvision"

    def with_parity(self, parity: Parity) -> ResizeTo:
        return replace(self, parity=parity)

    def frames(self, frames: Frames) -> Frames:
        return frames.resized(self.height, self.width)

    def image(self, x: Tensor) -> Tensor:
        size = int(self.height[0]), int(self.width[0])
        return resample_image(x, size, self.interpolation, bool(self.antialias), self.parity)

    def calls(self) -> Iterator[Call]:
        size = [int(self.height[0]), int(self.width[0])]
        arguments = {"size": size, "interpolation": self.interpolation, "antialias": self.antialias}
        yield Call(pillow_resize if self.parity == "pillow" else resize, arguments)


def resize_to(
    height: IntArray,
    width: IntArray,
    interpolation: InterpolationMode,
    antialias: bool | None,
    frames: Frames,
    owner: str,
) -> ResizeTo:
    """The op to these sizes, checked; ``owner`` is the transform, for messages.

    Raises:
        InvalidInput: a side of a result would be less than one pixel, or tensors are not interpolated so.
    """
    check_interpolation(interpolation, antialias, frames)
    empty = np.flatnonzero((height < 1) | (width < 1))
    if len(empty):
        before = f"{frames.heights[empty[0]]} x {frames.widths[empty[0]]}"
        after = f"{height[empty[0]]} x {width[empty[0]]}"
        raise InvalidInput(f"{owner} makes {after} pixels of {before} (height x width); at least 1 x 1 is needed")
    return ResizeTo(height, width, interpolation, antialias)


def check_interpolation(interpolation: InterpolationMode, antialias: bool | None, frames: Frames) -> None:
    """Check that the images can be resized so: PIL images by any mode, tensors not.

    Raises:
        InvalidInput: there are tensors that cannot.
    """
    if any(kind is not PIL.Image.Image for kind in pixel_kinds(frames.imaged())):
        check_mode(interpolation, bool(antialias))


class Resize(Transform):
    """Resize the sample.

    Draws: nothing.

    Args:
        size: height and width of the result in pixels. One number is the length of the shorter side; the other follows
            from the aspect ratio. Null: the longer side gets ``max_size``.
        interpolation: how to resize; box and hamming are for PIL images, lanczos needs antialias. Masks are resized by
            nearest-exact where that is asked for, by nearest else.
        max_size: the most that the longer side may get where ``size`` is one number, which must be less than it.
        antialias: whether to average over what a pixel covers when the image shrinks (bilinear, bicubic and lanczos
            only; PIL images always).

    Raises:
        InvalidInput: a side of the result would be less than one pixel, or tensors are not interpolated so.
    """

    acts_on = ALL_KINDS

    def __init__(
        self,
        size: OptionalSize,
        interpolation: ResizeInterpolation = "bilinear",
        max_size: MaxSize = None,
        antialias: OptionalFlag = True,
    ) -> None:
        super().__init__()
        sides = (size,) if isinstance(size, int) else size
        check_max_size(sides, max_size)
        self.size = None if sides is None else tuple(sides)
        self.interpolation = InterpolationMode(interpolation)
        self.max_size = max_size
        self.antialias = antialias

    def draw(self, lanes: Lanes, frames: Frames) -> Op:
        height, width = resized_sizes(frames.heights, frames.widths, self.size, self.max_size)
        return resize_to(height, width, self.interpolation, self.antialias, frames, type(self).__name__)
