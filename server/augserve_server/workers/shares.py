"""Memory that all workers share: how many connections each has, so that the one with the fewest takes the next."""

from __future__ import annotations

import mmap
import os
from dataclasses import dataclass
from typing import Final

FREE: Final = -1
UNEVEN: Final = 0.1
"""Beyond this share of an even number of connections, some are sent to other workers."""
_BYTES: Final = 4


class Shares:
    """One number for each place a worker can have; a place that nobody accepts in has none."""

    def __init__(self, file: int, places: int) -> None:
        """``file`` is the descriptor of the memory; it stays open."""
        self.file = file
        self._numbers = memoryview(mmap.mmap(file, places * _BYTES)).cast("i")

    @classmethod
    def create(cls, places: int) -> Shares:
        """Memory of our own, which processes that inherit the descriptor can open."""
        file = os.memfd_create("augserve-shares")
        os.ftruncate(file, places * _BYTES)
        shares = cls(file, places)
        for place in range(places):
            shares.clear(place)
        return shares

    @property
    def places(self) -> int:
        """How many there are."""
        return len(self._numbers)

    def clear(self, place: int) -> None:
        """Nobody accepts connections here any more."""
        self._numbers[place] = FREE

    def put(self, place: int, connections: int) -> None:
        """The worker in this place has so many connections."""
        self._numbers[place] = connections

    def others(self, place: int) -> list[int]:
        """The connections of each of the other workers that accept some."""
        return [number for other, number in enumerate(self._numbers) if other != place and number != FREE]


@dataclass(slots=True)
class Share:
    """The place of one worker."""

    shares: Shares
    place: int
    connections: int = 0
    accepts: bool = False

    def count(self, connections: int) -> None:
        """So many are open now."""
        self.connections = connections
        if self.accepts:
            self.shares.put(self.place, connections)

    def begin(self) -> None:
        """This worker accepts connections from now on."""
        self.accepts = True
        self.count(self.connections)

    def end(self) -> None:
        """It accepts no more."""
        self.accepts = False
        self.shares.clear(self.place)

    def is_ahead(self) -> bool:
        """Whether another worker has fewer: the next connection is for that one."""
        return min(self.shares.others(self.place), default=self.connections) < self.connections

    def excess(self) -> int:
        """Connections beyond an even share, where it is so uneven that moving some is worth while."""
        others = self.shares.others(self.place)
        even = (sum(others) + self.connections) / (len(others) + 1)
        beyond = int(self.connections - even)
        return beyond if beyond > max(1.0, UNEVEN * even) else 0


def cores_of_each(workers: int) -> int:
    """Cores that one of so many workers counts on."""
    return max(1, len(os.sched_getaffinity(0)) // workers)
