"""A ragged batch in numbers: one row for each image that a kernel resamples, and the taps of their axes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from augserve_pipelines.interpolation import InterpolationMode
from augserve_pipelines.kernels.launching import launches
from augserve_pipelines.kernels.resample import Parity, axis_table, down_first

__all__ = ["Windows", "described", "has_weights", "launched", "one_channel_each"]

IntArray = NDArray[np.int64]

_UNIT_BITS = 14  # of the weight 1: (value << 14) + (1 << 13) >> 14 is the value
DOWN, ACROSS = 0, 1
LAUNCHED = (InterpolationMode.NEAREST, InterpolationMode.BILINEAR, InterpolationMode.BICUBIC)


@dataclass(frozen=True, slots=True)
class Windows:
    """Cut ``source`` out, resize that to ``size``, cut ``target`` out of it, mirror it: for each of N images.

    Windows are (top, left, height, width) in pixels and lie inside what they are cut from.
    """

    source: IntArray  # [N, 4]
    size: IntArray  # [N, 2], height and width
    target: IntArray  # [N, 4]
    flip: NDArray[np.bool_]  # [N]
    interpolation: InterpolationMode
    antialias: bool
    parity: Parity

    @classmethod
    def whole(cls, count: int, height: int, width: int) -> Windows:
        """Images of one size as they are."""
        window, size = np.tile([0, 0, height, width], (count, 1)), np.tile([height, width], (count, 1))
        return cls(window, size, window, np.zeros(count, bool), InterpolationMode.NEAREST, False, "torchvision")

    def repeated(self, count: int) -> Windows:
        """The same with ``count`` rows for each."""
        source, size, target = (np.repeat(column, count, 0) for column in (self.source, self.size, self.target))
        flip = np.repeat(self.flip, count)
        return replace(self, source=source, size=size, target=target, flip=flip)


def launched(images: Sequence[Tensor], interpolation: InterpolationMode, antialias: bool) -> bool:
    """Whether the kernel resamples these images, which lie on one device: bytes, by what it has the weights of."""
    return (
        has_weights(interpolation, antialias)
        and bool(images)
        and launches(images[0].device)
        and all(image.dtype == torch.uint8 for image in images)
    )


def has_weights(interpolation: InterpolationMode, antialias: bool) -> bool:
    """Whether the kernel has the weights of this way to resize."""
    return interpolation in LAUNCHED or (antialias and interpolation is InterpolationMode.LANCZOS)


def described(
    images: Sequence[Tensor], windows: Windows, out: Tensor, table_step: int
) -> tuple[IntArray, NDArray[np.int32]]:
    """The rows of numbers, ``[N, 21]`` int64, and the taps that they point into, ``[T]`` int32.

    A row holds the address of the source window, the step between its channels, the place in ``out`` and the step
    between channels there, the place of the image's table of values; then eight numbers for the axis that is resampled
    second and eight for the one that is resampled first: the step in the source, the last pixel of the window, the step
    in ``out``, the pixels of the result, the place of the first one's taps, the step from tap to tap, their number and
    the bits of their fraction. Steps and places are in elements.

    Rows are ordered by work, the most first, so that the last programs of a launch are short ones.

    Args:
        images: uint8 ``[C, H, W]`` in any layout.
        windows: N rows.
        out: ``[N, C, h, w]`` in any layout.
        table_step: elements from one image's table to the next one's; 0 where they share one.
    """
    addresses, channel_steps, *steps = np.array([(image.data_ptr(), *image.stride()) for image in images]).T
    taps, columns = _taps(windows)
    places = np.arange(len(images)) * out.stride(0)
    out_steps = np.where(windows.flip, -1, 1) * out.stride(3)
    places += np.where(windows.flip, (windows.target[:, 3] - 1) * out.stride(3), 0)
    axes = [
        [steps[axis], windows.source[:, 2 + axis] - 1, out_step, windows.target[:, 2 + axis], *columns[axis]]
        for axis, out_step in ((DOWN, np.full(len(images), out.stride(2))), (ACROSS, out_steps))
    ]
    corners = windows.source[:, 0] * steps[DOWN] + windows.source[:, 1] * steps[ACROSS]
    tables = np.arange(len(images)) * table_step
    first = [addresses + corners, channel_steps, places, np.full(len(images), out.stride(1)), tables]
    swapped = down_first(windows.source[:, 2:], windows.size, windows.parity)
    down, across = np.array(axes)  # [8, N] each
    rows = np.concatenate([first, np.where(swapped, across, down), np.where(swapped, down, across)]).T
    work = (columns[:, 2] * windows.target[:, 2:].T).prod(axis=0)
    return rows[np.argsort(-work, kind="stable")], taps


def one_channel_each(rows: IntArray, channels: int, has_tables: bool) -> IntArray:
    """The rows for ``channels`` images of one channel instead of each image."""
    single = np.repeat(rows, channels, axis=0)
    channel = np.tile(np.arange(channels), len(rows))
    single[:, 0] += channel * single[:, 1]
    single[:, 2] += channel * single[:, 3]
    single[:, 4] += channel * 256 * has_tables
    return single


def _taps(windows: Windows) -> tuple[NDArray[np.int32], IntArray]:
    """The taps of all axes, each table once, and for both axes of each image where they are: ``[2, 4, N]``."""
    keys = (windows.source[:, 2:] << 32 | windows.size).T  # [2, N]
    unique, which = np.unique(keys, return_inverse=True)
    way = windows.interpolation, windows.antialias, windows.parity
    tables = [_packed(key >> 32, key & 0xFFFFFFFF, *way) for key in unique.tolist()]
    lengths = np.array([table.size for table, _ in tables])
    where = np.array([(table.shape[1], len(table) - 1, bits) for table, bits in tables])
    columns = np.column_stack([np.cumsum(lengths) - lengths, where])[which.reshape(keys.shape)]  # [2, N, 4]
    columns[..., 0] += windows.target[:, :2].T
    return np.concatenate([table.ravel() for table, _ in tables]), columns.transpose(0, 2, 1)


@lru_cache(maxsize=4096)
def _packed(
    extent: int, size: int, interpolation: InterpolationMode, antialias: bool, parity: Parity
) -> tuple[NDArray[np.int32], int]:
    """The first pixels of an axis' taps and, row by row, their weights: ``[1 + K, size]``; and the weights' bits."""
    table = axis_table(extent, size, interpolation, antialias, parity)
    if table is None:
        return np.stack([np.arange(size), np.full(size, 1 << _UNIT_BITS)]).astype(np.int32), _UNIT_BITS
    return np.concatenate([table.starts[None], table.weights.T]).astype(np.int32), table.precision
