"""A ragged batch in numbers: one row for each image that a kernel resamples, and the taps of their axes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from augserve_pipelines.interpolation import InterpolationMode
from augserve_pipelines.kernels.launching import launches
from augserve_pipelines.kernels.layout import last_three
from augserve_pipelines.kernels.resample import Parity, down_first
from augserve_pipelines.kernels.tap_tables import TapTables

__all__ = ["Windows", "described", "has_weights", "launched", "one_channel_each"]

IntArray = NDArray[np.int64]

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
        bool(images)
        and launches(images[0].device)
        and has_weights(interpolation, antialias)
        and all(image.dtype == torch.uint8 for image in images)
    )


def has_weights(interpolation: InterpolationMode, antialias: bool) -> bool:
    """Whether the kernel has the weights of this way to resize."""
    return interpolation in LAUNCHED or (antialias and interpolation is InterpolationMode.LANCZOS)


def described(
    images: Sequence[Tensor], windows: Windows, out: Tensor, table_step: int, tables: TapTables
) -> tuple[IntArray, Tensor]:
    """The rows of numbers, ``[N, 21]`` int64, and the taps that they point into, ``[T]`` int32 on the device.

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
        tables: those of the device.
    """
    count = len(images)
    numbers, source, target = np.arange(count), windows.source.T, windows.target.T
    steps = last_three([image.stride() for image in images]).T  # of channels, down and across
    way = windows.interpolation, windows.antialias, windows.parity
    taps, columns = tables.find(way, source[2:].reshape(-1), windows.size.T.reshape(-1))
    columns = columns.reshape(4, 2, count)
    columns[0] += target[:2]
    axes = np.empty((2, 8, count), np.int64)
    axes[:, 0], axes[:, 1], axes[:, 3] = steps[1:], source[2:] - 1, target[2:]
    axes[DOWN, 2], axes[ACROSS, 2] = out.stride(2), np.where(windows.flip, -out.stride(3), out.stride(3))
    axes[:, 4:] = columns.swapaxes(0, 1)
    rows = np.empty((21, count), np.int64)
    rows[0] = _addresses(images) + source[0] * steps[1] + source[1] * steps[2]
    rows[1], rows[3], rows[4] = steps[0], out.stride(1), numbers * table_step
    rows[2] = numbers * out.stride(0) + np.where(windows.flip, (target[3] - 1) * out.stride(3), 0)
    swapped = down_first(windows.source[:, 2:], windows.size, windows.parity)
    rows[5:13] = np.where(swapped, axes[ACROSS], axes[DOWN])
    rows[13:] = np.where(swapped, axes[DOWN], axes[ACROSS])
    work = (columns[2] * target[2:]).prod(axis=0)
    return rows.T[np.argsort(-work, kind="stable")], taps


def one_channel_each(rows: IntArray, channels: int, has_tables: bool) -> IntArray:
    """The rows for ``channels`` images of one channel instead of each image."""
    single = np.repeat(rows, channels, axis=0)
    channel = np.tile(np.arange(channels), len(rows))
    single[:, 0] += channel * single[:, 1]
    single[:, 2] += channel * single[:, 3]
    single[:, 4] += channel * 256 * has_tables
    return single


def _addresses(images: Sequence[Tensor]) -> IntArray:
    return np.fromiter((image.data_ptr() for image in images), np.int64, len(images))
