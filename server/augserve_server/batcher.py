"""The batcher: samples wait while the device is busy, and go together when it is free."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from time import perf_counter
from typing import Final, Protocol

from torch import Tensor

from augserve.wire import IMAGE_PART
from augserve_server.decoding import Decoded, Later
from augserve_server.errors import ServiceError
from augserve_server.metrics import Metrics
from augserve_server.work import Result, Work

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
    """Bounds of one batch, and how long an idle device waits for more."""

    images: int
    pixels: int
    max_wait_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Ran:
    """A result, and how its batch went."""

    result: Result
    batch_size: int
    close: Close
    queued_s: float
    run_s: float


Outcome = asyncio.Future[Ran | ServiceError]
"""What comes of a sample, failures too; cancelled once nobody wants it."""


@dataclass(frozen=True, slots=True)
class _Sample:
    """One result to compute: an image, or a sample of several parts, under a seed."""

    item: Decoded
    seed: int
    outcome: Outcome
    submitted: float  # seconds of perf_counter

    @property
    def pixels(self) -> int:
        """What it costs: the pixels of its source image, or of all its frames."""
        if isinstance(self.item, Later):
            return self.item.image.pixels
        image = self.item if isinstance(self.item, Tensor) else self.item[IMAGE_PART]
        return image.numel() // image.shape[-3]


class Runs(Protocol):
    """What computes a batch: the device executor."""

    async def run(
        self, work: Work, items: Sequence[Decoded], seeds: Sequence[int], nearly_done: Callable[[], None]
    ) -> list[Result | ServiceError]:
        """One result, or the error of that sample alone, for each item. ``nearly_done``: another batch could begin."""


class Batcher:
    """Work-conserving: an idle device gets what there is at once (unless told to wait), a busy one collects.

    While a batch ends, and leaves a part of the device idle, another of some size may begin. Each work has its own
    queue; the queues take turns. Used from the event loop only; ``run`` is the task that
    feeds the device, and whoever starts it cancels it.
    """

    def __init__(self, executor: Runs, limits: BatchLimits, metrics: Metrics) -> None:
        self._executor = executor
        self._limits = limits
        self._metrics = metrics
        self._queues: OrderedDict[Work, _Queue] = OrderedDict()
        self._changed = asyncio.Event()
        self._draining = False
        self._running = 0
        self._nearly_done = False  # the batch that began last

    def submit(self, work: Work, item: Decoded, seed: int) -> Outcome:
        """Queue a sample; its outcome is set when its batch is done."""
        outcome: Outcome = asyncio.get_running_loop().create_future()
        self._queues.setdefault(work, _Queue(self._limits)).add(_Sample(item, seed, outcome, perf_counter()))
        self._changed.set()
        return outcome

    def withdraw(self, work: Work, outcomes: Iterable[Outcome]) -> None:
        """Nobody wants these any more: those that still wait are never computed."""
        queue = self._queues.get(work)
        for outcome in outcomes:
            outcome.cancel()
            if queue is not None:
                queue.drop(outcome)
        if queue is not None and not queue:
            del self._queues[work]

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
        while True:
            now = perf_counter()
            open_to = [(work, queue) for work, queue in self._queues.items() if self._may_begin(queue)]
            for work, queue in open_to:
                if self._draining or queue.due(now):
                    return work, *self._take(work, queue)
            wait = min((queue.due_at for _, queue in open_to), default=None)
            self._changed.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(None if wait is None else wait - now):
                    await self._changed.wait()

    def _may_begin(self, queue: _Queue) -> bool:
        return not self._running or (self._nearly_done and len(queue) >= LEAST_OVERLAP)

    def _end_nears(self) -> None:
        self._nearly_done = True
        self._changed.set()

    def _take(self, work: Work, queue: _Queue) -> tuple[list[_Sample], Close]:
        samples, close = queue.take()
        self._queues.move_to_end(work)  # the others' turn
        if not queue:
            del self._queues[work]
        return samples, Close.DRAIN if self._draining and close in (Close.IDLE, Close.WAIT) else close

    async def _compute(self, work: Work, samples: Sequence[_Sample], close: Close) -> None:
        self._metrics.batch(work.name, len(samples), close)
        began = perf_counter()
        items, seeds = [sample.item for sample in samples], [sample.seed for sample in samples]
        try:
            results = await self._executor.run(work, items, seeds, self._end_nears)
        finally:
            self._running -= 1
            self._changed.set()
        run_s = perf_counter() - began
        self._metrics.ran(work.name, len(samples), run_s)
        for sample, result in zip(samples, results, strict=True):
            if sample.outcome.done():
                self._metrics.wasted("run", sample.pixels)
            elif isinstance(result, ServiceError):
                sample.outcome.set_result(result)
            else:
                queued_s = began - sample.submitted
                sample.outcome.set_result(Ran(result, len(samples), close, queued_s, run_s))


class _Queue:
    """The samples that wait for one pipeline, oldest first."""

    def __init__(self, limits: BatchLimits) -> None:
        self._limits = limits
        self._samples: OrderedDict[Outcome, _Sample] = OrderedDict()
        self._pixels = 0

    def __len__(self) -> int:
        return len(self._samples)

    def add(self, sample: _Sample) -> None:
        self._samples[sample.outcome] = sample
        self._pixels += sample.pixels

    def drop(self, outcome: Outcome) -> None:
        """Take a sample out, if it still waits."""
        sample = self._samples.pop(outcome, None)
        if sample is not None:
            self._pixels -= sample.pixels

    @property
    def due_at(self) -> float:
        """When the oldest sample will have waited for as long as it may."""
        return next(iter(self._samples.values())).submitted + self._limits.max_wait_s

    def due(self, now: float) -> bool:
        """Whether a batch should go now: enough for a full one, or no more time to wait."""
        return len(self) >= self._limits.images or self._pixels >= self._limits.pixels or now >= self.due_at

    def take(self) -> tuple[list[_Sample], Close]:
        """The next batch, and why it is not larger."""
        taken: list[_Sample] = []
        close = self._fill(taken)
        for sample in taken:
            self.drop(sample.outcome)
        return taken, close

    def _fill(self, taken: list[_Sample]) -> Close:
        pixels = 0
        for sample in self._samples.values():
            pixels += sample.pixels
            if taken and pixels > self._limits.pixels:
                return Close.COST
            taken.append(sample)
            if len(taken) == self._limits.images:
                return Close.FULL
        return Close.WAIT if self._limits.max_wait_s else Close.IDLE
