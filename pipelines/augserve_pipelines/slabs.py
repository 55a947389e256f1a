"""Reused host memory: bounded, lent out, and back once nothing that looks into it is left."""

from __future__ import annotations

import mmap
import threading
import weakref
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

__all__ = ["Layout", "Memory", "PageableMemory", "PinnedMemory", "SlabPool", "lay_out"]

ALIGNMENT = 256  # bytes: of every image in a slab, so that vectors and any dtype can be read there
PAGE = 4096

_ON_EVERY_DEVICE = 1  # cudaHostRegisterPortable

# A slab lent for much less than its size is held for as long as the least of its views.
_WASTE = 4
_SMALL = 1 << 20


@dataclass(frozen=True, slots=True)
class Layout:
    """Where items lie one after another: the offset of each, and where the last one ends, in bytes."""

    offsets: tuple[int, ...]
    size: int


def lay_out(sizes: Sequence[int]) -> Layout:
    """Items of these sizes in bytes, in their order, each from a multiple of ``ALIGNMENT`` on."""
    starts = [0, *np.cumsum([_up(size, ALIGNMENT) for size in sizes]).tolist()]
    return Layout(tuple(starts[:-1]), starts[-1])


class Memory(Protocol):
    """A kind of host memory."""

    def allocate(self, size: int) -> NDArray[np.uint8]:
        """So many bytes of it. Raises OSError, MemoryError or RuntimeError where there are none."""

    def free(self, slab: NDArray[np.uint8]) -> None:
        """Give it back."""


class PageableMemory:
    """Memory as any program has it.

    numpy asks for huge pages where an array is large: first touching small ones costs 256 us an image of a batch of 128
    results of 224 x 224 floats, huge ones 57 (Zen 4).
    """

    def allocate(self, size: int) -> NDArray[np.uint8]:
        return np.empty(size, np.uint8)

    def free(self, slab: NDArray[np.uint8]) -> None:
        pass


class PinnedMemory:
    """Memory that a CUDA device reads and writes by itself, while the processor does something else.

    Registered by hand, because torch's own allocator of it rounds up to powers of two and keeps all that it ever had.
    """

    def allocate(self, size: int) -> NDArray[np.uint8]:
        slab = np.frombuffer(mmap.mmap(-1, size), np.uint8)  # pages of its own: none may be registered twice
        try:
            torch.cuda.check_error(_cudart().cudaHostRegister(slab.ctypes.data, size, _ON_EVERY_DEVICE))
        except RuntimeError:
            with suppress(RuntimeError):
                torch.zeros(1, device="cuda")  # CUDA tells the next launch of the failure: let it be this one
            raise
        return slab

    def free(self, slab: NDArray[np.uint8]) -> None:
        torch.cuda.check_error(_cudart().cudaHostUnregister(slab.ctypes.data))


class SlabPool:
    """Lends slabs of memory, ``limit`` bytes in all; beyond that, pageable memory that nobody keeps.

    So it never waits and never fails: a slow reader of one result costs the others speed, not their answers. What a
    slab held before is still in it: whoever borrows it writes before reading, and shows nobody more than was written.
    """

    def __init__(self, limit: int, memory: Memory) -> None:
        self.limit = limit
        self._memory = memory
        self._lock = threading.Lock()
        self._free: list[NDArray[np.uint8]] = []
        self._held = 0  # bytes: lent and free
        # Slabs come back whenever Python drops their last view: maybe in the middle of `lend`, so without the lock.
        self._returned: deque[NDArray[np.uint8]] = deque()

    @property
    def held(self) -> int:
        """Bytes of slabs, lent and free."""
        return self._held

    @property
    def free(self) -> int:
        """Bytes of slabs that nobody has."""
        with self._lock:
            self._take_back()
            return sum(slab.nbytes for slab in self._free)

    def lend(self, size: int) -> Tensor:
        """A tensor of ``size`` bytes, uint8; its memory is lent again once it and all its views are gone."""
        if not size:
            return torch.empty(0, dtype=torch.uint8)
        with self._lock:
            self._take_back()
            slab = self._best(size)
            if slab is None:
                slab = self._allocated(size)
        return torch.empty(size, dtype=torch.uint8) if slab is None else self._lent(slab, size)

    def trim(self) -> None:
        """Give the memory back that is not lent."""
        with self._lock:
            self._take_back()
            while self._free:
                self._drop(self._free.pop())

    def _lent(self, slab: NDArray[np.uint8], size: int) -> Tensor:
        window = slab[:size]  # torch's storage keeps this array, and every view keeps the storage
        weakref.finalize(window, self._returned.append, slab).atexit = False
        return torch.from_numpy(window)

    def _take_back(self) -> None:
        while self._returned:
            self._free.append(self._returned.popleft())

    def _best(self, size: int) -> NDArray[np.uint8] | None:
        """The smallest free slab that is large enough, if that is not much too large."""
        fitting = [i for i, slab in enumerate(self._free) if size <= slab.nbytes <= max(_WASTE * size, _SMALL)]
        return self._free.pop(min(fitting, key=lambda i: self._free[i].nbytes)) if fitting else None

    def _allocated(self, size: int) -> NDArray[np.uint8] | None:
        """A new slab, in place of free ones where there would be too many; None where it is too large even so."""
        wanted = _up(size + size // 4, PAGE)  # the next batch is a little larger
        while self._free and self._held + wanted > self.limit:
            self._drop(self._free.pop(0))
        if self._held + wanted > self.limit:
            wanted = _up(size, PAGE)
        if self._held + wanted > self.limit:
            return None
        try:
            slab = self._memory.allocate(wanted)
        except (OSError, MemoryError, RuntimeError):  # the system may allow less of it than the setting does
            self.limit = self._held
            return None
        self._held += slab.nbytes
        return slab

    def _drop(self, slab: NDArray[np.uint8]) -> None:
        self._held -= slab.nbytes
        self._memory.free(slab)


def _cudart() -> Any:
    return torch.cuda.cudart()  # type: ignore[no-untyped-call]  # torch says no types of it


def _up(size: int, multiple: int) -> int:
    return -(-size // multiple) * multiple
