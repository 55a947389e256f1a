"""Memory for large results, used again once nobody holds them: fresh pages cost as much as half of a resize."""

from __future__ import annotations

import weakref
from typing import Final

import numpy as np
from numpy.typing import NDArray

__all__ = ["RESULTS", "Shelf"]

LEAST_BYTES: Final = 1 << 20
"""Smaller pieces are left to the allocator, which keeps them by itself."""


class Shelf:
    """Pieces of memory that were given back; ``take`` looks there first. May be used by many threads at once.

    What a piece holds is whatever its last user wrote: take it only for what is written from end to end.
    """

    def __init__(self, most_bytes: int) -> None:
        self._most_bytes = most_bytes
        self._free: dict[int, list[NDArray[np.uint8]]] = {}  # by size; changed by single steps, so without a lock

    def take(self, size: int) -> NDArray[np.uint8]:
        """``size`` bytes, which come back here when the array, and all that was made of it, is gone."""
        if size < LEAST_BYTES:
            return np.empty(size, np.uint8)
        piece = self._found(size)
        lent = piece[:]  # a new object over the same memory, whose end can be seen
        weakref.finalize(lent, self._give, piece).atexit = False
        return lent

    @property
    def free_bytes(self) -> int:
        """How much lies here unused."""
        return sum(size * len(pieces) for size, pieces in list(self._free.items()))

    def _found(self, size: int) -> NDArray[np.uint8]:
        try:
            return self._free[size].pop()
        except (KeyError, IndexError):
            # numpy asks for huge pages where an array is large: first touching small ones costs 256 us an image of a
            # batch of 128, huge ones 57 (Zen 4), and memory that was touched before nothing
            return np.empty(size, np.uint8)

    def _give(self, piece: NDArray[np.uint8]) -> None:
        pieces = self._free.pop(piece.nbytes, [])
        pieces.append(piece)
        self._free[piece.nbytes] = pieces  # the size that was used last is the last to go
        for size in list(self._free):
            if self.free_bytes <= self._most_bytes:
                return
            self._free.pop(size, None)


RESULTS: Final = Shelf(256 << 20)
"""For the results of this process."""
