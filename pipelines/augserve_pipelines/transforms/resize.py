"""Resize, and the one op that a crop, a resize, a crop of that and a flip are fused into."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from augserve_pipelines.batch import Batch, Block
from augserve_pipelines.errors import InvalidInput
from augserve_pipelines.frames import Frames, IntArray
from augserve_pipelines.interpolation import InterpolationMode
from augserve_pipelines.kernels.lookup import lookup_image
from augserve_pipelines.kernels.resample import Parity, resize_image
from augserve_pipelines.lanes import Lanes
from augserve_pipelines.ops import BoolArray, Op
from augserve_pipelines.parameters import MaxSize, OptionalFlag, OptionalSize, ResizeInterpolation
from augserve_pipelines.transforms.base import Transform
from augserve_pipelines.transforms.conversion import Finish


@dataclass(frozen=True, slots=True)
class ResizeTo(Op):
    """Resize to a height and a width in pixels."""

    height: IntArray
    width: IntArray
    interpolation: InterpolationMode
    antialias: bool
    parity: Parity = "torchvision"

    def frames(self, frames: Frames) -> Frames:
        return frames.resized(self.height, self.width)

    def with_parity(self, parity: Parity) -> ResizeTo:
        return replace(self, parity=parity)

    def image(self, x: Tensor) -> Tensor:
        size = int(self.height[0]), int(self.width[0])
        return resize_image(x, size, self.interpolation, self.antialias, self.parity)


@dataclass(frozen=True, slots=True)
class Resample(Op):
    """Cut ``source`` out, resize that to ``size``, cut ``target`` out of it, mirror it: in one step.

    Windows are (top, left, height, width) in pixels and lie inside what they are cut from.
    """

    source: IntArray  # [N, 4]
    size: IntArray  # [N, 2]
    target: IntArray  # [N, 4]
    flip: BoolArray  # [N]
    interpolation: InterpolationMode
    antialias: bool
    parity: Parity = "torchvision"
    tail: Finish | None = None  # what becomes of the bytes

    def frames(self, frames: Frames) -> Frames:
        resized = frames.resized(self.target[:, 2], self.target[:, 3])
        return resized if self.tail is None else self.tail.frames(resized)

    def image(self, x: Tensor) -> Tensor:
        out = self._empty(x[0], (*x.shape[:-2], *self.target[0, 2:].tolist()))
        self._resample(x, out)
        return out

    def run(self, batch: Batch) -> Batch:
        """Samples of any sizes, straight into one dense block for each size of result."""
        images = list(batch)
        groups: dict[object, list[int]] = {}
        for row, (image, size) in enumerate(zip(images, self.target[:, 2:].tolist(), strict=True)):
            groups.setdefault((*image.shape[:-2], *size, image.dtype, image.device), []).append(row)
        return Batch([self._block(rows, images) for rows in groups.values()])

    def run_into(self, batch: Batch, out: Tensor) -> None:
        self._resample(list(batch), out)

    def _block(self, rows: list[int], images: list[Tensor]) -> Block:
        first = images[rows[0]]
        out = self._empty(first, (len(rows), *first.shape[:-2], *self.target[rows[0], 2:].tolist()))
        self[rows]._resample([images[row] for row in rows], out)
        return Block(np.array(rows), out)

    def _resample(self, images: Iterable[Tensor], out: Iterable[Tensor]) -> None:
        table = [column.tolist() for column in (self.source, self.size, self.target, self.flip)]
        for image, result, source, size, target, flip in zip(images, out, *table, strict=True):
            top, left, height, width = source
            window = image[..., top : top + height, left : left + width]
            resized = resize_image(window, tuple(size), self.interpolation, self.antialias, self.parity)
            if target != [0, 0, *size]:
                top, left, height, width = target
                resized = resized[..., top : top + height, left : left + width]
            self._finish(resized, flip, result)

    def _finish(self, image: Tensor, flip: bool, out: Tensor) -> None:
        if self.tail is None:
            out.copy_(_mirrored(image) if flip else image)
        elif image.dtype == torch.uint8 and image.ndim == 3:
            lookup_image(image, self.tail.table(len(image)), flip, out)
        else:
            out.copy_(self.tail.image((_mirrored(image) if flip else image).unsqueeze(0))[0])

    def _empty(self, like: Tensor, shape: tuple[int, ...]) -> Tensor:
        dtype = like.dtype if self.tail is None else self.tail.dtype
        return torch.empty(shape, dtype=dtype, device=like.device)


class Resize(Transform):
    """Resize the image.

    Args:
        size: height and width of the result in pixels. One number is the length of the shorter side; the other follows
            from the aspect ratio. Null: the longer side gets ``max_size``.
        interpolation: how to resize.
        max_size: the most that the longer side may get where ``size`` is one number, which must be less than it.
        antialias: whether to average over what a pixel covers when the image shrinks (bilinear and bicubic only).

    Raises:
        InvalidInput: a side of the result would be less than one pixel.
    """

    def __init__(
        self,
        size: OptionalSize,
        interpolation: ResizeInterpolation = "bilinear",
        max_size: MaxSize = None,
        antialias: OptionalFlag = True,
    ) -> None:
        super().__init__()
        sides = (size,) if isinstance(size, int) else size
        if sides is None and max_size is None:
            raise ValueError("size is null and so is max_size; one of them is needed")
        if sides is not None and max_size is not None:
            _check_max_size(sides, max_size)
        self.size = None if sides is None else tuple(sides)
        self.interpolation = InterpolationMode(interpolation)
        self.max_size = max_size
        self.antialias = antialias

    def draw(self, lanes: Lanes, frames: Frames) -> Op:
        height, width = self._sizes(frames)
        empty = np.flatnonzero((height < 1) | (width < 1))
        if len(empty):
            before = f"{frames.heights[empty[0]]} x {frames.widths[empty[0]]}"
            after = f"{height[empty[0]]} x {width[empty[0]]}"
            raise InvalidInput(f"Resize makes {after} pixels of {before} (height x width); at least 1 x 1 is needed")
        return ResizeTo(height, width, self.interpolation, bool(self.antialias))

    def _sizes(self, frames: Frames) -> tuple[IntArray, IntArray]:
        if self.size is not None and len(self.size) == 2:
            return np.full(len(frames), self.size[0]), np.full(len(frames), self.size[1])
        short, long = _short_and_long(
            np.minimum(frames.heights, frames.widths),
            np.maximum(frames.heights, frames.widths),
            None if self.size is None else self.size[0],
            self.max_size,
        )
        upright = frames.widths <= frames.heights
        return np.where(upright, long, short), np.where(upright, short, long)


def _mirrored(image: Tensor) -> Tensor:
    # torch mirrors pixels whole, in 12 us instead of 52 for 224 x 224, where it sees four dimensions
    return image.unsqueeze(0).flip(-1).squeeze(0)


def height_and_width(size: int | Sequence[int]) -> tuple[int, int]:
    """A square for one number."""
    sides = (size,) if isinstance(size, int) else size
    return sides[0], sides[-1]


def _short_and_long(
    short: IntArray, long: IntArray, wanted: int | None, max_size: int | None
) -> tuple[IntArray, IntArray]:
    if wanted is None:
        assert max_size is not None  # checked by Resize
        return _truncated(max_size * short / long), np.full(len(short), max_size)
    new_long = _truncated(wanted * long / short)
    new_short = np.full(len(short), wanted)
    if max_size is None:
        return new_short, new_long
    over = new_long > max_size
    return np.where(over, _truncated(max_size * new_short / new_long), new_short), np.minimum(new_long, max_size)


def _truncated(values: NDArray[np.float64]) -> IntArray:
    return values.astype(np.int64)


def _check_max_size(sides: Sequence[int], max_size: int) -> None:
    if len(sides) == 2:
        raise ValueError(f"max_size is {max_size} and size is {[*sides]}; with max_size, size is one number or null")
    if max_size <= sides[0]:
        raise ValueError(f"max_size is {max_size}; it must be greater than size, which is {sides[0]}")
