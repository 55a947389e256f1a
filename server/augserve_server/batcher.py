"""The batcher: samples wait while the device is busy, and go together when it is free."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from time import perf_counter
from typing import Final, NamedTuple, Protocol, TypeAlias

from augserve_server.admission import Priority
from augserve_server.costs import Costs, Occupancy, Size
from augserve_server.decoding import Decoded, Later, pixels_of, stopwatch_of
from augserve_server.errors import ServiceError
from augserve_server.fair_queue import Claim, FairQueue, Shares
from augserve_server.metrics import Metrics
from augserve_server.origins import Origin, origin, work_for
from augserve_server.stopwatch import Stopwatch
from augserve_server.work import Result, Work

GATHER_TURNS: Final = 2
"""Where batches and the event loop share one core, so many turns of the loop that bring no other sample begin a batch.

What has come by then was read in one go, and shares a batch: requests for single images, 32 in flight to two processes,
had 11 in a batch in place of 7.
"""
LEAST_OVERLAP: Final = 8
"""Samples that are worth a batch while another one ends: fewer wait for that, and for others."""


class Close(StrEnum):
    """Why a batch took no more samples."""

    FULL = "full"  # it has as many samples as a batch may
    COST = "cost"  # the next sample would make it too many megapixels
    IDLE = "idle"  # the device was free and nothing else waited
    WAIT = "wait"  # its oldest sample had waited for max_wait_ms
    DRAIN = "drain"  # the server is stopping


@dataclass(frozen=True, slots=True)
class BatchLimits:
    """Bounds of one batch, how long an idle device waits for more, and how long bulk work gives way to other."""

    images: int
    pixels: int
    max_wait_s: float = 0.0
    bulk_patience_s: float = 10.0


class Ran(NamedTuple):
    """A result, and how its batch went."""

    result: Result
    batch_size: int
    close: Close
    queued_s: float
    run_s: float
    began: float
    """When its batch did, in seconds of perf_counter."""
    decoding: Stopwatch | None
    """How long its image took to be decoded, where that was in the batch; the views of an image share it."""


@dataclass(frozen=True, slots=True)
class BatchRun:
    """A batch that is done, as those see it who watch."""

    pipeline: str
    close: Close
    size: int
    pixels: int
    began: float  # seconds of perf_counter
    seconds: float
    decode_s: float  # of all threads together
    origins: Sequence[Origin]


Outcome = asyncio.Future[Ran | ServiceError]
"""What comes of a sample, failures too; cancelled once nobody wants it."""


class _Sample(NamedTuple):
    """One result to compute: an image, or a sample of several parts, under a seed."""

    item: Decoded
    seed: int
    outcome: Outcome
    submitted: float  # seconds of perf_counter
    claim: Claim
    origin: Origin
    pixels: int
    """What it costs: the pixels of its source image, or of all its frames."""


class Runs(Protocol):
    """What computes a batch: the device executor."""

    async def run(
        self, work: Work, items: Sequence[Decoded], seeds: Sequence[int], nearly_done: Callable[[], None]
    ) -> list[Result | ServiceError]:
        """One result, or the error of that sample alone, for each item. ``nearly_done``: another batch could begin."""


_Key: TypeAlias = tuple[Work, Priority]
_Queue: TypeAlias = FairQueue[_Sample]


class Batcher:
    """Work-conserving: an idle device gets what there is at once (unless told to wait), a busy one collects.

    While a batch ends, and leaves a part of the device idle, another of some size may begin. Each work has a queue for
    each priority: a batch is of one. Whose samples go next is decided by what each client has had, over all queues;
    bulk goes only where no other work waits, or where it has waited for as long as it may. Used from the event loop
    only; ``run`` is the task that feeds the device, and whoever starts it cancels it.
    """

    def __init__(
        self,
        executor: Runs,
        limits: BatchLimits,
        metrics: Metrics,
        costs: Costs | None = None,
        shares_core: bool = False,
    ) -> None:
        """``shares_core``: the event loop stands still while batches are computed, so it is to do its work first."""
        self._shares_core = shares_core
        self._executor = executor
        self._limits = limits
        self._metrics = metrics
        self._costs = costs or Costs()
        self._shares = Shares()
        self._queues: OrderedDict[_Key, _Queue] = OrderedDict()  # the one that was served last at the end
        self._places: dict[Outcome, tuple[_Key, int]] = {}  # of samples that wait
        self._changed = asyncio.Event()
        self._draining = False
        self._running = 0
        self._occupancy = Occupancy()
        self._nearly_done = False  # the batch that began last
        self._began: set[float] = set()  # of the batches that run
        self.on_ran: Callable[[BatchRun], None] | None = None

    def submit(self, work: Work, item: Decoded, seed: int, claim: Claim | None = None) -> Outcome:
        """Queue a sample; its outcome is set when its batch is done."""
        outcome: Outcome = asyncio.get_running_loop().create_future()
        sample = _Sample(item, seed, outcome, perf_counter(), claim or Claim(), origin(), pixels_of(item))
        key = work, sample.claim.priority
        queue = self._queues.get(key)
        if queue is None:
            queue = self._queues[key] = FairQueue(self._shares)
        self._places[outcome] = key, queue.add(sample)
        if self._is_open:
            self._changed.set()
        return outcome

    def withdraw(self, outcomes: Iterable[Outcome]) -> None:
        """Nobody wants these any more: those that still wait are never computed."""
        decoded: dict[int, _Sample] = {}  # by what is the same for all views
        for outcome in outcomes:
            outcome.cancel()
            if (place := self._places.pop(outcome, None)) is not None:
                key, number = place
                sample = self._queues[key].drop(number)
                self._forget_if_empty(key)
                if sample is not None and not isinstance(sample.item, Later):
                    decoded[id(sample.item)] = sample
        for sample in decoded.values():
            self._metrics.wasted("decode", sample.pixels)

    def depth(self, priority: Priority) -> int:
        """Samples of a class that wait."""
        return sum(len(queue) for (_, one), queue in self._queues.items() if one is priority)

    @property
    def running_s(self) -> float:
        """How long the oldest batch that runs has been at it; 0 where none does. For any thread."""
        return max((perf_counter() - began for began in tuple(self._began)), default=0.0)

    def drain(self) -> None:
        """Wait for nothing from now on: no more work is coming."""
        self._draining = True
        self._changed.set()

    async def run(self) -> None:
        """Feed the device, one batch after another."""
        async with asyncio.TaskGroup() as batches:
            while True:
                work, samples, close = await self._next_batch()
                self._running += 1
                self._nearly_done = False
                batches.create_task(self._compute(work, samples, close))

    async def _next_batch(self) -> tuple[Work, list[_Sample], Close]:
        gathered = not self._shares_core
        while True:
            now = perf_counter()
            open_to = [key for key in self._entitled(now) if self._may_begin(self._queues[key])]
            due = [key for key in open_to if self._draining or self._due(self._queues[key], now)]
            if due and not gathered:
                await self._gather()
                gathered = True
                continue  # others may be next by now
            if due:
                key = min(due, key=lambda key: self._queues[key].account)
                return key[0], *self._take(key)
            wait = min((self._queues[key].oldest + self._limits.max_wait_s for key in open_to), default=None)
            self._changed.clear()
            gathered = not self._shares_core
            if wait is None:
                await self._changed.wait()
                continue
            with suppress(TimeoutError):
                async with asyncio.timeout(wait - now):
                    await self._changed.wait()

    async def _gather(self) -> None:
        """Let the event loop turn until it has brought all samples that have come, or enough for a batch."""
        before = 0
        while before < len(self._places) < self._limits.images:
            before = len(self._places)
            for _ in range(GATHER_TURNS):
                await asyncio.sleep(0)

    def _entitled(self, now: float) -> list[_Key]:
        """The queues whose turn it may be: bulk has none while other work waits, unless it has waited too long."""
        aged = now - self._limits.bulk_patience_s
        waits = any(priority is Priority.INTERACTIVE for _, priority in self._queues)
        return [
            key
            for key, queue in self._queues.items()
            if not waits or key[1] is Priority.INTERACTIVE or queue.oldest <= aged
        ]

    @property
    def _is_open(self) -> bool:
        """Whether any batch might begin."""
        return not self._running or self._nearly_done

    def _may_begin(self, queue: _Queue) -> bool:
        return self._is_open and (not self._running or len(queue) >= LEAST_OVERLAP)

    def _due(self, queue: _Queue, now: float) -> bool:
        """Whether a batch should go now: enough for a full one, or no more time to wait."""
        full = len(queue) >= self._limits.images or queue.pixels >= self._limits.pixels
        return full or now >= queue.oldest + self._limits.max_wait_s

    def _end_nears(self) -> None:
        self._nearly_done = True
        self._changed.set()

    def _take(self, key: _Key) -> tuple[list[_Sample], Close]:
        samples, close = self._fill(self._queues[key])
        for sample in samples:
            del self._places[sample.outcome]
        self._queues.move_to_end(key)  # the others' turn
        self._forget_if_empty(key)
        return samples, Close.DRAIN if self._draining and close in (Close.IDLE, Close.WAIT) else close

    def _fill(self, queue: _Queue) -> tuple[list[_Sample], Close]:
        """The next batch, and why it is not larger."""
        count = pixels = 0

        def fits(sample: _Sample) -> bool:
            nonlocal count, pixels
            if count == self._limits.images or (count and pixels + sample.pixels > self._limits.pixels):
                return False
            count, pixels = count + 1, pixels + sample.pixels
            return True

        samples = queue.take(fits)
        if count == self._limits.images:
            return samples, Close.FULL
        if queue:
            return samples, Close.COST
        return samples, Close.WAIT if self._limits.max_wait_s else Close.IDLE

    def _forget_if_empty(self, key: _Key) -> None:
        if not self._queues[key]:
            del self._queues[key]

    async def _compute(self, work: Work, samples: Sequence[_Sample], close: Close) -> None:
        self._metrics.batch(work.name, len(samples), close)
        began = perf_counter()
        self._began.add(began)
        work_for([sample.origin for sample in samples])
        occupied = self._occupancy.begin(began)
        items, seeds = [sample.item for sample in samples], [sample.seed for sample in samples]
        try:
            results = await self._executor.run(work, items, seeds, self._end_nears)
        finally:
            self._running -= 1
            self._began.discard(began)
            self._changed.set()
            self._costs.spent(work.name, self._occupancy.end(occupied, perf_counter()))
        self._costs.done(work.name, Size.total(sample.claim.size for sample in samples))
        run_s = perf_counter() - began
        self._watch(work, samples, close, began, run_s)
        self._metrics.ran(work.name, len(samples), run_s)
        size = len(samples)
        waited = [began - sample.submitted for sample in samples]
        self._metrics.queued(samples[0].claim.priority, waited)
        for sample, result, queued_s in zip(samples, results, waited, strict=True):
            if sample.outcome.done():
                self._metrics.wasted("run", sample.pixels)
            elif isinstance(result, ServiceError):
                sample.outcome.set_result(result)
            else:
                sample.outcome.set_result(Ran(result, size, close, queued_s, run_s, began, stopwatch_of(sample.item)))

    def _watch(self, work: Work, samples: Sequence[_Sample], close: Close, began: float, run_s: float) -> None:
        pixels = sum(sample.pixels for sample in samples)
        self._metrics.batch_ran(work.name, pixels, run_s)
        if self.on_ran is not None:
            watches = {id(watch): watch for sample in samples if (watch := stopwatch_of(sample.item))}
            decode_s = sum(watch.seconds for watch in watches.values())
            origins = [sample.origin for sample in samples]
            self.on_ran(BatchRun(work.name, close, len(samples), pixels, began, run_s, decode_s, origins))
