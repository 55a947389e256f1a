"""Resize samples, each to its own size."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import PIL.Image
from numpy.typing import NDArray
from torch import Tensor

from augserve_pipelines.batch import Batch
from augserve_pipelines.dispatch import ALL_KINDS, Call
from augserve_pipelines.errors import InvalidInput
from augserve_pipelines.frames import Frames, IntArray
from augserve_pipelines.interpolation import InterpolationMode
from augserve_pipelines.kernels.resample import Parity, check_mode, resample_image
from augserve_pipelines.kernels.windows import launched
from augserve_pipelines.lanes import Lanes
from augserve_pipelines.ops import Op
from augserve_pipelines.parameters import MaxSize, OptionalFlag, OptionalSize, ResizeInterpolation
from augserve_pipelines.transforms.base import Transform
from augserve_pipelines.transforms.fill import pixel_kinds
from augserve_pipelines.transforms.resample import Resample, windows_of
from augserve_pipelines.transforms.resize import check_max_size, pillow_resize, resize, resized_sizes

__all__ = ["Resize", "ResizeSides", "ResizeTo", "check_interpolation", "check_resize"]

ObjectArray = NDArray[np.object_]


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

    def resample(self, source: IntArray) -> Resample:
        """The same of windows (top, left, height, width), ``[N, 4]``, of the images."""
        target = windows_of(self.height, self.width)
        return Resample(
            source=source,
            size=target[:, 2:],
            target=target,
            flip=np.zeros(len(target), bool),
            interpolation=self.interpolation,
            antialias=bool(self.antialias),
            parity=self.parity,
        )

    def launches(self, frames: Frames, *, alone: bool = False) -> int:
        """As of a resize of windows."""
        return self.resample(np.zeros((len(frames), 4), np.int64)).launches(frames, alone=alone)

    def run(self, batch: Batch) -> Batch:
        images = list(batch)
        if launched(images, self.interpolation, bool(self.antialias)):
            return self.resample(_whole(images)).run(batch)
        return Op.run(self, batch)

    def run_into(self, batch: Batch, out: Tensor) -> None:
        images = list(batch)
        if launched(images, self.interpolation, bool(self.antialias)):
            self.resample(_whole(images)).run_into(batch, out)
        else:
            Op.run_into(self, batch, out)

    def calls(self) -> Iterator[Call]:
        yield self._call({"size": [int(self.height[0]), int(self.width[0])]})

    def _call(self, size: Mapping[str, Any]) -> Call:
        own = pillow_resize if self.parity == "pillow" else resize
        return Call(own, {**size, "interpolation": self.interpolation, "antialias": self.antialias})


@dataclass(frozen=True, slots=True, kw_only=True)
class ResizeSides(ResizeTo):
    """Resize to a length of the shorter side or of the longer one: what lies beside an image may be of another size."""

    shorter: ObjectArray  # [N] of int or None, which is the longer side, by max_size
    max_size: int | None = None

    def calls(self) -> Iterator[Call]:
        shorter = self.shorter[0]
        yield self._call({"size": None if shorter is None else [shorter], "max_size": self.max_size})


def check_resize(resize: ResizeTo, frames: Frames, owner: str) -> None:
    """Check that the samples can be resized so; ``owner`` is the transform, for messages.

    Raises:
        InvalidInput: a side of a result would be less than one pixel, or tensors are not interpolated so.
    """
    check_interpolation(resize.interpolation, resize.antialias, frames)
    empty = np.flatnonzero((resize.height < 1) | (resize.width < 1))
    if len(empty):
        before = f"{frames.heights[empty[0]]} x {frames.widths[empty[0]]}"
        after = f"{resize.height[empty[0]]} x {resize.width[empty[0]]}"
        raise InvalidInput(f"{owner} makes {after} pixels of {before} (height x width); at least 1 x 1 is needed")


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
        op = ResizeTo(height, width, self.interpolation, self.antialias)
        if self.size is None or len(self.size) == 1:
            shorter = np.full(len(frames), None if self.size is None else self.size[0], object)
            op = ResizeSides(height, width, self.interpolation, self.antialias, shorter=shorter, max_size=self.max_size)
        check_resize(op, frames, type(self).__name__)
        return op


def _whole(images: Sequence[Tensor]) -> IntArray:
    return np.array([(0, 0, *image.shape[-2:]) for image in images])
