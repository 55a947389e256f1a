"""Resize decoded pictures on the CPU, from a window of one straight to the values that a network takes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from types import ModuleType

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from augserve_pipelines.interpolation import InterpolationMode
from augserve_pipelines.kernels.resample import AxisTable, axis_table

__all__ = ["Arithmetic", "Window", "arithmetic", "every_byte", "resample_pixels", "takes"]

_LEAST_WIDTH = 16  # of a result, in pixels: a vector of bytes
_ACROSS, _DOWN = 4, 2  # pixels and rows that a step of the loops takes
_WHOLE_BITS = 14  # a weight of 1 has as many of fraction


@dataclass(frozen=True, slots=True, eq=False)
class Arithmetic:
    """``(value * scale - mean) / deviation`` of each channel in float32, rounded to the dtype at the end."""

    values: NDArray[np.float32]  # [3, 4]: scale, mean, deviation, 1 / deviation
    dtype: torch.dtype


@dataclass(frozen=True, slots=True)
class Window:
    """What becomes of a picture: ``source`` of it is resized to ``size``, of which ``target`` is kept, mirrored or not.

    Windows are (top, left, height, width) in pixels, ``size`` is (height, width).
    """

    source: Sequence[int]
    size: Sequence[int]
    target: Sequence[int]
    mirrored: bool


def takes(image: Tensor, width: int) -> bool:
    """Whether ``resample_pixels`` takes this image, for results of this width."""
    if image.dtype != torch.uint8 or not image.is_cpu or image.ndim != 3 or width < _LEAST_WIDTH:
        return False
    (channels, _, columns), (step, pitch, across) = image.shape, image.stride()
    return channels == 3 and step == 1 and across == 3 and pitch >= 3 * columns


def resample_pixels(
    image: Tensor,
    window: Window,
    interpolation: InterpolationMode,
    antialias: bool,
    finish: Arithmetic | None,
    out: Tensor,
) -> None:
    """Resize a window of an image with torchvision's bytes, and write what becomes of them.

    Args:
        image: ``[3, H, W]`` uint8 on the CPU, the channels of a pixel side by side, as decoders lay it: see ``takes``.
        window: which part, and to what size.
        interpolation: bilinear, bicubic or lanczos.
        antialias: whether to average over what a pixel covers.
        finish: what becomes of the bytes; None: they stay.
        out: ``[3, h, w]``, dense, of uint8 or of the dtype of ``finish``.
    """
    top, left, rows, columns = window.source
    first_row, first_column, height, width = window.target
    pitch = image.stride(1)
    across = _taps(columns, window.size[1], interpolation, antialias, _ACROSS)
    down = _taps(rows, window.size[0], interpolation, antialias, _DOWN)
    loops = _loops()
    loops.resample(
        image.data_ptr() + top * pitch + 3 * left,
        pitch,
        rows,
        columns,
        *across.part(first_column, width),
        *down.part(first_row, height),
        window.mirrored,
        loops.BYTES if finish is None else _forms()[finish.dtype],
        _NO_FINISH if finish is None else finish.values,
        out.data_ptr(),
    )


@lru_cache(maxsize=64)
def arithmetic(scale: float, means: tuple[float, ...], deviations: tuple[float, ...], dtype: torch.dtype) -> Arithmetic:
    """The arithmetic of three channels; ``dtype`` is float32 or float16."""
    values = np.empty((3, 4), np.float32)
    with np.errstate(all="ignore"):  # what leaves the range of float32 shows in every_byte
        values[:, 0], values[:, 1], values[:, 2] = scale, means, deviations
        values[:, 3] = np.float32(1.0) / values[:, 2]
    return Arithmetic(values, dtype)


def every_byte(finish: Arithmetic) -> Tensor:
    """What becomes of each byte: ``[3, 256]``."""
    pixels = np.repeat(np.arange(256, dtype=np.uint8), 3)
    out = torch.empty((3, 256), dtype=finish.dtype)
    _loops().write_row(pixels.ctypes.data, 256, False, _forms()[finish.dtype], finish.values, out.data_ptr(), 256)
    return out


@dataclass(frozen=True, slots=True)
class _Taps:
    """An axis table as the loops take it."""

    starts: NDArray[np.int64]  # [O]
    weights: NDArray[np.int16]  # [O, taps], padded with zeros
    bits: int

    def part(self, first: int, count: int) -> tuple[NDArray[np.int64], NDArray[np.int16], int]:
        """For ``count`` outputs from the first one on."""
        if count == len(self.starts):
            return self.starts, self.weights, self.bits
        return self.starts[first : first + count], self.weights[first : first + count], self.bits


@lru_cache(maxsize=2048)
def _taps(extent: int, size: int, interpolation: InterpolationMode, antialias: bool, step: int) -> _Taps:
    table = axis_table(extent, size, interpolation, antialias, "torchvision")
    if table is None:
        table = AxisTable(np.arange(size), np.full((size, 1), 1 << _WHOLE_BITS), _WHOLE_BITS)
    count = table.weights.shape[1]
    weights = np.zeros((size, -(-count // step) * step), np.int16)
    weights[:, :count] = table.weights
    return _Taps(table.starts, weights, table.precision)


_NO_FINISH = np.zeros((3, 4), np.float32)


@cache
def _forms() -> dict[torch.dtype, int]:
    return {torch.float32: _loops().FLOAT32, torch.float16: _loops().FLOAT16}


@cache
def _loops() -> ModuleType:
    from augserve_pipelines.kernels import resample_loops  # half a second for numba, so not before it is needed

    return resample_loops
