"""The way of batches through a device: decoded to where they are copied from, one copy in, the pipeline, copies out."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from time import monotonic
from typing import Protocol, TypeAlias

import numpy as np
import torch
from torch import Tensor

from augserve_pipelines import executor
from augserve_pipelines.batch import Batch, Block
from augserve_pipelines.deferred import Deferred, Loaded
from augserve_pipelines.frames import IntArray
from augserve_pipelines.packing import Packed, Source, size_of
from augserve_pipelines.plan import Plan
from augserve_pipelines.slabs import PageableMemory, PinnedMemory, SlabPool
from augserve_pipelines.streams import CudaStreams, NoStreams, Streams

__all__ = ["Budget", "Idle", "Transfer", "TransferLimits", "pieces"]

IN_FLIGHT = 2
"""Batches on the device: while one is computed, the next is copied in, and the last one copied out.

More of them may be decoded meanwhile, each by the thread that called for it."""

IDLE_S = 30.0


class Runs(Protocol):
    """What computes a batch: a pipeline, or a part of one."""

    def __call__(self, images: Sequence[Tensor], seeds: Sequence[int], /) -> Batch: ...


class Plans(Protocol):
    """What draws for images that are not decoded yet: a pipeline."""

    def plan_deferred(self, images: Sequence[Deferred], seeds: Sequence[int], /) -> tuple[Plan, Sequence[Deferred]]: ...


Rows: TypeAlias = slice | IntArray


@dataclass(frozen=True, slots=True)
class _Job:
    """What is done with images: ``compute`` makes a batch of those of some rows, from where they lie on the device."""

    compute: Callable[[Rows, list[Tensor]], Batch]
    nearly_done: Callable[[], None] | None = None
    after: torch.cuda.Event | None = None

    def of(self, part: slice, last: bool) -> _Job:
        """The same for a part of the images, with rows that are counted from where that begins."""

        def compute(rows: Rows, views: list[Tensor]) -> Batch:
            return self.compute(part if isinstance(rows, slice) else rows + part.start, views)

        return _Job(compute, self.nearly_done if last else None, self.after)


@dataclass(frozen=True, slots=True)
class TransferLimits:
    """How much memory a transfer may hold, in bytes: pinned on the host, and of source images on the device."""

    pinned: int = 1 << 30
    device: int = 2 << 30
    idle_s: float = IDLE_S
    """After how many seconds without a batch memory that is free is given back."""


class Transfer:
    """Runs pipelines on a device over images in host memory, the results in host memory too.

    Call ``run`` from two threads, and one batch is copied while the other is computed. Results may be views of memory
    that is lent again once they are gone: hand them on as they are, without a copy.
    """

    def __init__(self, device: torch.device, limits: TransferLimits | None = None) -> None:
        limits = limits or TransferLimits()
        on_cuda = device.type == "cuda"
        self.device = device
        self.limits = limits
        self.slabs = SlabPool(limits.pinned, PinnedMemory() if on_cuda else PageableMemory())
        self._streams: Streams = CudaStreams(device) if on_cuda else NoStreams(device)
        self._slots = threading.BoundedSemaphore(IN_FLIGHT)
        self._budget = Budget(limits.device)
        self._idle = Idle(limits.idle_s, self._trim_when_idle)
        self._abandoned = False

    def run(self, pipeline: Runs, images: Sequence[Tensor], seeds: Sequence[int]) -> list[Tensor]:
        """The result of each image, in host memory.

        Images are ``[C, H, W]`` of any sizes and dtypes, in host memory or, where something else decoded them there, on
        the device and complete. More of them than the device may hold at a time go in pieces. Waits for its turn, and
        for its results. Raises what the pipeline raises.
        """
        every = np.array(seeds, object)
        return _good(self._in_pieces(_Job(lambda rows, views: pipeline(views, every[rows].tolist())), images))

    def run_plan(self, plan: Plan, images: Sequence[Tensor]) -> list[Tensor]:
        """The same by a plan that was drawn for the images before."""
        return _good(self._in_pieces(_Job(lambda rows, views: executor.run(_part(plan, rows), views)), images))

    def decode_and_run(
        self,
        pipeline: Plans,
        images: Sequence[Deferred],
        seeds: Sequence[int],
        nearly_done: Callable[[], None] | None = None,
        after: torch.cuda.Event | None = None,
    ) -> list[Tensor | Exception]:
        """The result of each image, decoded by the engine's threads to where it is copied to the device from.

        An image that cannot be decoded fails alone: what its ``load_into`` raised stands in place of its result. One
        that is given several times is decoded and copied once.

        Args:
            pipeline: what is drawn by it follows from the sizes that are known before.
            images: what is known of each, and how to get it.
            seeds: a seed for each.
            nearly_done: called, in another thread, when the last of them is begun: the time to decode more.
            after: what has to be done on the device before the images that lie there already are complete.

        Raises:
            InvalidInput: some cannot be run, whatever their pixels are.
        """
        plan, images = pipeline.plan_deferred(images, seeds)
        sources = [image.image if isinstance(image, Loaded) else image for image in images]
        job = _Job(lambda rows, views: executor.run(_part(plan, rows), views), nearly_done, after)
        return self._in_pieces(job, sources)

    def trim(self) -> None:
        """Give back the memory that no batch and no result has."""
        self.slabs.trim()
        self._streams.trim()

    def _trim_when_idle(self) -> None:
        self.trim()
        if self.slabs.held:  # by results that somebody is slow to take
            self._idle.used()

    def responds(self) -> bool:
        """Whether the device still computes: after an illegal access or a failed assertion it never does again."""
        try:
            return float(torch.ones(1, device=self.device).add(1).item()) == 2.0
        except torch.OutOfMemoryError:
            return True
        except RuntimeError:
            return False

    def abandon(self) -> None:
        """The device has failed: ask nothing of it any more, not even to take memory back."""
        self._abandoned = True
        self._idle.cancel()

    def close(self) -> None:
        """Give back what is free; no batch may run any more."""
        self._idle.cancel()
        if not self._abandoned:
            self.trim()

    def _in_pieces(self, job: _Job, images: Sequence[Source]) -> list[Tensor | Exception]:
        results: list[Tensor | Exception] = []
        for part in pieces([size_of(image) for image in images], self.limits.device):
            packed = Packed.of(images[part], self.device)
            results += self._filled(job.of(part, last=part.stop == len(images)), packed)
        return results

    def _filled(self, job: _Job, packed: Packed) -> list[Tensor | Exception]:
        host, count = self.slabs.lend(packed.size), len(packed.images)
        found: dict[int, Tensor | Exception] = {**packed.fill(host, job.nearly_done)}
        good = [row for row in range(count) if row not in found]
        if good:
            found |= zip(good, self._run(job, packed, host, good), strict=True)
        return [found[row] for row in range(count)]

    def _run(self, job: _Job, packed: Packed, host: Tensor, good: Sequence[int]) -> list[Tensor]:
        rows = slice(None) if len(good) == len(packed.images) else np.array(good)
        with self._slots, self._budget.taken(packed.size):
            try:
                there = self._streams.upload(host)
                return self._through(lambda: job.compute(rows, packed.views(there, good)), job.after)
            except BaseException:
                self._streams.settle()  # what is still copied may be lent again from here on
                raise
            finally:
                if not self._abandoned:
                    self._idle.used()

    def _through(self, compute: Callable[[], Batch], after: torch.cuda.Event | None) -> list[Tensor]:
        with self._streams.computing(after):
            blocks = [Block(block.rows, block.data.contiguous()) for block in compute().blocks]
            results = [Block(block.rows, self._room(block.data)) for block in blocks]
            self._streams.download([(block.data, room.data) for block, room in zip(blocks, results, strict=True)])
        return list(Batch(results))

    def _room(self, data: Tensor) -> Tensor:
        return self.slabs.lend(data.nbytes).view(data.dtype).view(data.shape)


def _part(plan: Plan, rows: Rows) -> Plan:
    if isinstance(rows, slice) and (rows.start, rows.stop) == (0, len(plan.inputs)):
        return plan
    return Plan(tuple(op[rows] for op in plan.ops), plan.inputs[rows], plan.outputs[rows])


def _good(results: Sequence[Tensor | Exception]) -> list[Tensor]:
    """Results that images which are there have: what fails with one fails with all."""
    for result in results:
        if isinstance(result, Exception):
            raise result
    return [result for result in results if isinstance(result, Tensor)]


def pieces(sizes: Sequence[int], limit: int) -> Iterator[slice]:
    """Neighbours in groups of at most ``limit`` bytes, or of one that is larger."""
    start, total = 0, 0
    for i, size in enumerate(sizes):
        if i > start and total + size > limit:
            yield slice(start, i)
            start, total = i, 0
        total += size
    if start < len(sizes):
        yield slice(start, len(sizes))


class Budget:
    """So many bytes, of which some are taken for a while; who finds too few left waits, at most for all of them."""

    def __init__(self, size: int) -> None:
        self._size = self._left = size
        self._changed = threading.Condition()

    @contextmanager
    def taken(self, size: int) -> Iterator[None]:
        size = min(size, self._size)
        with self._changed:
            self._changed.wait_for(lambda: self._left >= size)
            self._left -= size
        try:
            yield
        finally:
            with self._changed:
                self._left += size
                self._changed.notify_all()


class Idle:
    """Calls ``act``, in a thread of its own, once ``used`` has not been called for ``after_s`` seconds."""

    def __init__(self, after_s: float, act: Callable[[], None]) -> None:
        self._after_s = after_s
        self._act = act
        self._lock = threading.Lock()
        self._last = 0.0
        self._timer: threading.Timer | None = None

    def used(self) -> None:
        with self._lock:
            self._last = monotonic()
            if self._timer is None:
                self._start(self._after_s)

    def cancel(self) -> None:
        with self._lock:
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None

    def _start(self, seconds: float) -> None:
        self._timer = threading.Timer(seconds, self._fire)
        self._timer.daemon = True
        self._timer.start()

    def _fire(self) -> None:
        with self._lock:
            left = self._last + self._after_s - monotonic()
            if self._timer is None:
                return
            if left > 0:
                self._start(left)
                return
            self._timer = None
        self._act()
