"""Admission: how much work is in the house and whose it is, whether more fits, and when it would."""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from enum import StrEnum
from time import monotonic
from typing import Final, NamedTuple, Self

from augserve_server.errors import QueueFull, TooMuchWork
from augserve_server.throughput import Throughput

LONGEST_RETRY_S: Final = 60
MICRO: Final = 1e6

OPEN_PART: Final = 0.5
"""What any client may fill of the queue while there are others; the rest is for those below their share.

Of two clients that ask for all they can, each gets half of the machine: half of the queue is a whole queue's wait.
"""
BULK_PART: Final = 0.75
"""What bulk work may fill of the queue; the rest is for interactive work."""
LARGEST_PART: Final = 0.25
"""The work of one request counts for at most this part of the queue when it asks to be let in, or it never would be."""
HARD: Final = 3
"""So many counts of a load, the first ones, are bounded whatever is learned."""
REMEMBERED_S: Final = 60.0
MOST_REMEMBERED: Final = 1024


class Priority(StrEnum):
    """How urgent work is: bulk waits while interactive work does, for a bounded time."""

    INTERACTIVE = "interactive"
    BULK = "bulk"


class Load(NamedTuple):
    """What is counted: results to compute, decoded pixels, bytes of bodies and results, microseconds of work."""

    results: int = 0
    pixels: int = 0
    bytes: int = 0
    microseconds: int = 0

    def __add__(self, other: Load) -> Load:  # type: ignore[override]  # sums, where other tuples are joined
        return Load(
            self.results + other.results,
            self.pixels + other.pixels,
            self.bytes + other.bytes,
            self.microseconds + other.microseconds,
        )

    def __sub__(self, other: Load) -> Load:
        return Load(
            self.results - other.results,
            self.pixels - other.pixels,
            self.bytes - other.bytes,
            self.microseconds - other.microseconds,
        )

    @classmethod
    def total(cls, loads: Iterable[Load]) -> Load:
        """All of it together."""
        several = list(loads)
        return several[0] if len(several) == 1 else cls(*map(sum, zip(cls(), *several, strict=True)))

    def shares(self, limit: Load) -> Sequence[float]:
        """The part that each count has of its limit: above 1 it does not fit. Work may have none."""
        return (
            self.results / limit.results,
            self.pixels / limit.pixels,
            self.bytes / limit.bytes,
            self.microseconds / limit.microseconds if limit.microseconds else 0.0,
        )

    def share(self, limit: Load) -> float:
        """The largest of the shares."""
        return max(self.shares(limit))

    def bounded(self, limit: Load) -> Load:
        """The same, with no more work than one request is counted for."""
        return Load(
            self.results, self.pixels, self.bytes, min(self.microseconds, int(LARGEST_PART * limit.microseconds))
        )


NOTHING: Final = Load()


class Ticket:
    """What one request holds, and for whom; given back as its work is done, and the rest on the way out."""

    def __init__(self, admission: Admission, client: str, priority: Priority) -> None:
        self._admission = admission
        self._open = True
        self.seen = False
        """Whether it was looked at before: its client asks once."""
        self.client = client
        """Who is asked to share with others. Said before anything is taken."""
        self.priority = priority
        self.deadline = math.inf
        """When nobody waits any more, in seconds of perf_counter."""
        self.held = NOTHING

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def expect(self, load: Load) -> None:
        """Hold the bytes of a body that is to come, where all that it is expected to be, ``load``, would be let in.

        Raises what ``take`` would.
        """
        self._admission.check(load, self)
        self._hold(Load(bytes=load.bytes))

    def take(self, load: Load) -> None:
        """Hold more. Raises QueueFull where it does not fit now, TooMuchWork where it never will."""
        self._admission.check(load, self)
        self._hold(load)

    def give(self, load: Load) -> None:
        """Give back a part of what is held; nothing once the ticket is closed."""
        if self._open and load != NOTHING:
            self.held -= load
            self._admission.give(load, self.client)

    def close(self) -> None:
        """Give back all that is still held."""
        self.give(self.held)
        self._open = False

    def _hold(self, load: Load) -> None:
        if load != NOTHING:
            self._admission.hold(load, self.client)
            self.held += load


class Admission:
    """The bound on everything that waits: full is an immediate refusal that says when to come again.

    A client alone may fill all of it. Where there are several, the last half is for those that hold less than an
    equal share, so that whoever floods it is refused first. Used from the event loop only. ``refused`` is told the
    cause of every refusal: what was full, ``share`` or ``bulk`` where others would have been let in.
    """

    def __init__(
        self,
        limit: Load,
        clock: Callable[[], float] = monotonic,
        refused: Callable[[str, Priority], None] = lambda cause, priority: None,
    ) -> None:
        self.limit = limit
        self._calm = Load(*(int(OPEN_PART * BULK_PART * most) for most in limit))
        self.load = NOTHING
        self._clock = clock
        self._refused = refused
        self._throughput = Throughput(clock)
        self._held: dict[str, Load] = {}  # by client, of those that hold anything
        self._seen: OrderedDict[str, float] = OrderedDict()  # when each client asked last, the latest at the end

    def ticket(self, client: str = "", priority: Priority = Priority.INTERACTIVE) -> Ticket:
        """What a request holds while it is in the house."""
        return Ticket(self, client, priority)

    @property
    def share(self) -> float:
        """How full the house is: 0 empty, 1 full."""
        return min(self.load.share(self.limit), 1.0)

    @property
    def backlog_s(self) -> float:
        """Seconds until all work in the house is done, at the rate at which it is done."""
        return self.load.microseconds / MICRO / self._throughput.rate

    @property
    def _bound(self) -> Load:
        """The limit as of now: of work that is done more slowly than predicted, and waits longer, there may be less."""
        slower = min(self._throughput.rate, 1.0)
        return Load(*self.limit[:HARD], int(self.limit.microseconds * slower))

    def check(self, load: Load, ticket: Ticket) -> None:
        """Raise TooMuchWork or QueueFull where ``load`` is not admitted for a request that holds some already."""
        if not ticket.seen:
            self._see(ticket.client)
            ticket.seen = True
        if self._is_calm(load):
            return
        whole = ticket.held + load
        if any(count > most for count, most in zip(whole[:HARD], self.limit, strict=False)):
            raise TooMuchWork(*(_hard(one) for one in (whole, self.limit)))
        bound = self._bound
        measure, excess = self._excess(load, ticket, bound)
        if excess > 0:
            used = self.load.shares(bound)[measure]
            raise self._refusal(measure, excess / max(used, excess), load, ticket, bound)

    def _is_calm(self, load: Load) -> bool:
        """Whether ``load`` finds so much room that anybody may have it: most requests do, and are not looked at closer.

        Below this part of a measure, no share and no class is kept for others.
        """
        now, most = self.load, self._calm
        return (
            now.results + load.results <= most.results
            and now.pixels + load.pixels <= most.pixels
            and now.bytes + load.bytes <= most.bytes
            and (
                not (load.microseconds and most.microseconds)
                or now.microseconds + load.microseconds <= most.microseconds * min(self._throughput.rate, 1.0)
            )
        )

    def hold(self, load: Load, client: str) -> None:
        """Have ``load`` of a client in the house, which was admitted."""
        if not self.load.microseconds and load.microseconds:
            self._throughput.begin()
        self.load += load
        held = self._held.get(client)
        self._held[client] = load if held is None else held + load

    def give(self, load: Load, client: str) -> None:
        """Take ``load`` of a client out of the house."""
        self.load -= load
        if load.microseconds:
            self._throughput.finish(load.microseconds / MICRO)
            if not self.load.microseconds:
                self._throughput.idle()
        held = self._held.get(client, NOTHING)
        if held == load:
            self._held.pop(client, None)
        else:
            self._held[client] = held - load

    def _excess(self, load: Load, ticket: Ticket, bound: Load) -> tuple[int, float]:
        """The place of the measure that is fullest, and by how much of the whole it is over what this request may fill.

        Where nobody else holds any, it may fill all.
        """
        part = BULK_PART if ticket.priority is Priority.BULK else 1.0
        used, others = self._used(ticket.client, bound).shares(bound), self.load - ticket.held
        open_part: Sequence[float] | None = None
        fullest = 0, 0.0
        for measure, asked in enumerate(load.bounded(bound).shares(bound)):
            if asked <= 0 or others[measure] <= 0 or used[measure] + asked <= OPEN_PART * BULK_PART:
                continue
            open_part = open_part or self._open_part(load, ticket, bound)
            excess = used[measure] + asked - part * open_part[measure]
            if excess > fullest[1]:
                fullest = measure, excess
        return fullest

    def _open_part(self, load: Load, ticket: Ticket, bound: Load) -> Sequence[float]:
        """How much of each measure this client may fill: all of it, if it is alone or holds less than its share."""
        if len(self._seen) < 2:
            return (1.0,) * len(load)
        held = self._held.get(ticket.client, NOTHING)
        others, with_this = held - ticket.held, (held + load).shares(bound)
        fair = 1 / (len(self._held) + (ticket.client not in self._held) + 1)
        return [
            1.0 if other == 0 or share <= fair else OPEN_PART for other, share in zip(others, with_this, strict=True)
        ]

    def _used(self, client: str, bound: Load) -> Load:
        """What a client finds held: of the work of each other one, no more than it may fill, whatever it was let in."""
        if self.load.microseconds <= bound.microseconds:
            return self.load
        most = int(OPEN_PART * bound.microseconds)
        microseconds = sum(
            held.microseconds if name == client else min(held.microseconds, most) for name, held in self._held.items()
        )
        return Load(self.load.results, self.load.pixels, self.load.bytes, microseconds)

    def _refusal(self, measure: int, excess: float, load: Load, ticket: Ticket, bound: Load) -> QueueFull:
        fits = (self._used(ticket.client, bound) + load.bounded(bound)).share(bound) <= 1
        bulk = fits and ticket.priority is Priority.BULK
        cause = "bulk" if bulk else "share" if fits else _WORDS[measure]
        self._refused(cause, ticket.priority)
        retry_s = min(max(math.ceil(self.backlog_s * min(excess, 1.0)), 1), LONGEST_RETRY_S)
        return QueueFull(retry_s, _FULL[cause].format(*self.limit[:HARD], self.limit.microseconds / MICRO))

    def _see(self, client: str) -> None:
        now = self._clock()
        self._seen[client] = now
        self._seen.move_to_end(client)
        oldest, when = next(iter(self._seen.items()))
        if when < now - REMEMBERED_S or len(self._seen) > MOST_REMEMBERED:
            del self._seen[oldest]


_WORDS: Final = ("results", "pixels", "bytes", "work")
_FULL: Final = {
    "results": "{0} results",
    "pixels": "{1} pixels",
    "bytes": "{2} bytes",
    "work": "{3:g} seconds of work",
    "share": "for a client that holds more than its share",
    "bulk": "for bulk work",
}


def _hard(load: Load) -> dict[str, int]:
    """The counts that are bounded whatever is learned."""
    return dict(zip(Load._fields[:HARD], load, strict=False))
