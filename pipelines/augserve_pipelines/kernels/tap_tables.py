"""The weights of resampled axes in a device's memory, where each table is brought once and found by many launches."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Final, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from augserve_pipelines.interpolation import InterpolationMode
from augserve_pipelines.kernels.resample import Parity, axis_table

__all__ = ["TapTables", "tables_on"]

IntArray = NDArray[np.int64]
Way: TypeAlias = tuple[InterpolationMode, bool, Parity]
"""Interpolation, antialiasing, and whose bytes to give."""

_Table: TypeAlias = tuple[NDArray[np.int32], int]
"""The first pixels of an axis' taps and, row by row, their weights, ``[1 + K, size]``; and the weights' bits."""

CAPACITY: Final = 1 << 24
"""Numbers of 4 bytes: 64 MiB, the tables of 3,500 heights and widths that become 224 pixels."""
_UNIT_BITS: Final = 14  # of the weight 1: (value << 14) + (1 << 13) >> 14 is the value


class TapTables:
    """Tables on one device. For several threads and streams."""

    def __init__(self, device: torch.device, capacity: int = CAPACITY) -> None:
        self._device = device
        self._capacity = capacity
        self._lock = threading.Lock()
        self._memory = _Memory(torch.empty(0, dtype=torch.int32))

    def find(self, way: Way, extents: IntArray, sizes: IntArray) -> tuple[Tensor, IntArray]:
        """The memory that the tables lie in, and where they do.

        Args:
            way: how axes are resampled.
            extents: pixels of each axis, ``[N]``.
            sizes: pixels that become of them, ``[N]``.

        Returns:
            ``[T]`` int32 on the device, which must be kept until what reads it is launched, and of each axis
            (``[4, N]``) the place of its first pixels, the step from there to the weights of the first tap, and from
            each tap's to the next one's, the number of taps, and the bits of the weights' fraction.
        """
        keys = extents << 32 | sizes
        with self._lock:
            known = self._memory.known.get(way, _NONE)
            places = known.search(keys)
            if places is None:
                known = self._brought(way, np.unique(keys))
                places = known.search(keys)
                assert places is not None
            return self._memory.taps, known.columns[:, places]

    def _brought(self, way: Way, keys: IntArray) -> _Known:
        """The tables that are known, with those of ``keys``, each once; where there is no room, no others any more."""
        known = self._memory.known.get(way, _NONE)
        new = np.setdiff1d(keys, known.keys, assume_unique=True)
        tables = _packed(new, way)
        if self._memory.used + _length(tables) > len(self._memory.taps):
            known, new, tables = _NONE, keys, _packed(keys, way)
            size = max(self._capacity, _length(tables))
            self._memory = _Memory(torch.empty(size, dtype=torch.int32, device=self._device))
        known = known.extended(new, _columns(tables, self._memory.used))
        self._memory.put(np.concatenate([table.ravel() for table, _ in tables]))
        self._memory.known[way] = known
        return known


@cache
def tables_on(device: torch.device) -> TapTables:
    """Those of this process on a device."""
    return TapTables(device)


@dataclass(frozen=True, slots=True)
class _Known:
    """Tables by what they are for, in order of that."""

    keys: IntArray  # [M], extent and size
    columns: IntArray  # [4, M]

    def search(self, keys: IntArray) -> IntArray | None:
        """Where each of these is; None: not all are here."""
        if not len(self.keys):
            return None
        places = np.searchsorted(self.keys, keys)
        places[places == len(self.keys)] = 0
        return places if (self.keys[places] == keys).all() else None

    def extended(self, keys: IntArray, columns: IntArray) -> _Known:
        every = np.concatenate([self.keys, keys])
        order = np.argsort(every)
        return _Known(every[order], np.concatenate([self.columns, columns], axis=1)[:, order])


_NONE: Final = _Known(np.empty(0, np.int64), np.empty((4, 0), np.int64))


@dataclass(slots=True)
class _Memory:
    """Where tables lie one after another. It is never written twice, so that launches may still read it."""

    taps: Tensor  # [T] int32
    used: int = 0
    known: dict[Way, _Known] = field(default_factory=dict)

    def put(self, numbers: NDArray[np.int32]) -> None:
        """Add tables, and wait until every stream sees them."""
        with torch.inference_mode():  # where memory that was made in it may be written, and other memory too
            self.taps[self.used : self.used + len(numbers)].copy_(torch.from_numpy(numbers))
        self.used += len(numbers)


def _columns(tables: Sequence[_Table], start: int) -> IntArray:
    lengths = np.array([table.size for table, _ in tables])
    rest = np.array([(table.shape[1], len(table) - 1, bits) for table, bits in tables])
    return np.concatenate([[start + np.cumsum(lengths) - lengths], rest.T])


def _packed(keys: IntArray, way: Way) -> list[_Table]:
    return [_table(key >> 32, key & 0xFFFFFFFF, way) for key in keys.tolist()]


def _table(extent: int, size: int, way: Way) -> _Table:
    table = axis_table(extent, size, *way)
    if table is None:
        return np.stack([np.arange(size), np.full(size, 1 << _UNIT_BITS)]).astype(np.int32), _UNIT_BITS
    return np.concatenate([table.starts[None], table.weights.T]).astype(np.int32), table.precision


def _length(tables: Sequence[_Table]) -> int:
    return sum(table.size for table, _ in tables)
