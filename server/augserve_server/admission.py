"""Admission: how much work is in the house, whether more fits, and when it would."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from time import monotonic

from augserve_server.errors import QueueFull, TooMuchWork

WINDOW_S = 10.0
LONGEST_RETRY_S = 60


@dataclass(frozen=True, slots=True)
class Load:
    """Work, as it is counted: results to compute, decoded pixels to hold, bytes of bodies and results to hold."""

    results: int = 0
    pixels: int = 0
    bytes: int = 0

    def __add__(self, other: Load) -> Load:
        return Load(self.results + other.results, self.pixels + other.pixels, self.bytes + other.bytes)

    def __sub__(self, other: Load) -> Load:
        return Load(self.results - other.results, self.pixels - other.pixels, self.bytes - other.bytes)

    def shares(self, limit: Load) -> dict[str, float]:
        """The part that each count has of its limit: above 1 it does not fit."""
        return {
            "results": self.results / limit.results,
            "pixels": self.pixels / limit.pixels,
            "bytes": self.bytes / limit.bytes,
        }

    def share(self, limit: Load) -> float:
        """The largest of the shares."""
        return max(self.shares(limit).values())


class Throughput:
    """What was finished per second of busy time, as a share of the limits, over the last ten seconds."""

    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        self._clock = clock
        self._finished: deque[tuple[float, float]] = deque()  # (when, share)
        self._sum = 0.0
        self._busy_since = clock()

    def begin(self) -> None:
        """Work has come to an idle house."""
        self._busy_since = self._clock()
        self._finished.clear()
        self._sum = 0.0

    def finish(self, share: float) -> None:
        """A share of the limits was freed."""
        now = self._clock()
        self._finished.append((now, share))
        self._sum += share
        while self._finished[0][0] < now - WINDOW_S:
            self._sum -= self._finished.popleft()[1]

    def seconds_for(self, share: float) -> int:
        """Whole seconds until ``share`` more will have been freed at the measured rate: 1 to 60."""
        busy = min(self._clock() - self._busy_since, WINDOW_S)
        if self._sum <= 0:
            return 1
        return min(max(math.ceil(share * busy / self._sum), 1), LONGEST_RETRY_S)


class Ticket:
    """What one request holds; given back as its work is done, and the rest when it ends."""

    def __init__(self, admission: Admission) -> None:
        self._admission = admission
        self._open = True
        self.held = Load()

    def take(self, load: Load) -> None:
        """Hold more. Raises QueueFull where it does not fit now, TooMuchWork where it never will."""
        self._admission.take(load, self.held)
        self.held += load

    def give(self, load: Load) -> None:
        """Give back a part of what is held; nothing once the ticket is closed."""
        if self._open:
            self._admission.give(load)
            self.held -= load

    def close(self) -> None:
        """Give back all that is still held."""
        self.give(self.held)
        self._open = False


class Admission:
    """The bound on everything that waits: full is an immediate refusal that says when to come again.

    Used from the event loop only.
    """

    def __init__(self, limit: Load, clock: Callable[[], float] = monotonic) -> None:
        self.limit = limit
        self.load = Load()
        self._throughput = Throughput(clock)

    @contextmanager
    def ticket(self) -> Iterator[Ticket]:
        """What a request holds while it is in the house."""
        ticket = Ticket(self)
        try:
            yield ticket
        finally:
            ticket.close()

    @property
    def share(self) -> float:
        """How full the house is: 0 empty, 1 full."""
        return self.load.share(self.limit)

    def take(self, load: Load, held: Load) -> None:
        """Admit ``load`` for a request that holds ``held`` already."""
        if (held + load).share(self.limit) > 1:
            raise TooMuchWork(asdict(held + load), asdict(self.limit))
        fullest, share = max((self.load + load).shares(self.limit).items(), key=lambda item: item[1])
        if share > 1:
            raise QueueFull(self._throughput.seconds_for(share - 1), f"{getattr(self.limit, fullest)} {fullest}")
        if self.load == Load():
            self._throughput.begin()
        self.load += load

    def give(self, load: Load) -> None:
        """Take ``load`` out of the house."""
        self.load -= load
        self._throughput.finish(load.share(self.limit))
