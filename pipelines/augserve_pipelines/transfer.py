"""The way of batches through a device: one copy in, the pipeline, the copies out; two batches at a time."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from time import monotonic
from typing import Protocol

import torch
from torch import Tensor

from augserve_pipelines import executor
from augserve_pipelines.batch import Batch, Block
from augserve_pipelines.frames import is_interleaved
from augserve_pipelines.plan import Plan
from augserve_pipelines.slabs import Layout, PageableMemory, PinnedMemory, SlabPool, lay_out
from augserve_pipelines.streams import CudaStreams, NoStreams, Streams

__all__ = ["Budget", "Idle", "Packed", "Transfer", "TransferLimits", "pieces"]

IN_FLIGHT = 2
"""Batches: while one is computed, the next is drawn and copied in, and the last one copied out."""

IDLE_S = 30.0


class Runs(Protocol):
    """What computes a batch: a pipeline, or a part of one."""

    def __call__(self, images: Sequence[Tensor], seeds: Sequence[int], /) -> Batch: ...


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
        return self._in_pieces(lambda rows, views: pipeline(views, seeds[rows]), images)

    def run_plan(self, plan: Plan, images: Sequence[Tensor]) -> list[Tensor]:
        """The same by a plan that was drawn for the images before."""
        return self._in_pieces(lambda rows, views: executor.run(_part(plan, rows), views), images)

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

    def _in_pieces(self, compute: Callable[[slice, list[Tensor]], Batch], images: Sequence[Tensor]) -> list[Tensor]:
        results: list[Tensor] = []
        for rows in pieces([image.nbytes for image in images], self.limits.device):
            results += self._run(partial(compute, rows), Packed.of(images[rows], self.device))
        return results

    def _run(self, compute: Callable[[list[Tensor]], Batch], packed: Packed) -> list[Tensor]:
        with self._slots, self._budget.taken(packed.layout.size):
            try:
                return self._through(compute, packed)
            except BaseException:
                self._streams.settle()  # what is still copied may be lent again from here on
                raise
            finally:
                if not self._abandoned:
                    self._idle.used()

    def _through(self, compute: Callable[[list[Tensor]], Batch], packed: Packed) -> list[Tensor]:
        host = packed.written(self.slabs.lend(packed.layout.size))
        there = self._streams.upload(host)
        with self._streams.computing():
            blocks = [Block(block.rows, block.data.contiguous()) for block in compute(packed.views(there)).blocks]
            results = [Block(block.rows, self._room(block.data)) for block in blocks]
            self._streams.download([(block.data, room.data) for block, room in zip(blocks, results, strict=True)])
        return list(Batch(results))

    def _room(self, data: Tensor) -> Tensor:
        return self.slabs.lend(data.nbytes).view(data.dtype).view(data.shape)


@dataclass(frozen=True, slots=True)
class Packed:
    """Images, and where those in host memory lie in one slab; those that are on the device already stay there."""

    images: Sequence[Tensor]
    layout: Layout
    device: torch.device

    @classmethod
    def of(cls, images: Sequence[Tensor], device: torch.device) -> Packed:
        """The images one after another."""
        sizes = [0 if _is_there(image, device) else image.nbytes for image in images]
        return cls(images, lay_out(sizes), device)

    def written(self, slab: Tensor) -> Tensor:
        """The slab, with the images in it."""
        for image, view in zip(self.images, self.views(slab), strict=True):
            if view is not image:
                view.copy_(image)
        return slab

    def views(self, slab: Tensor) -> list[Tensor]:
        """The images as they lie in a slab, or in a copy of it: each as it was in memory, by pixels or by channels."""
        return [
            image if _is_there(image, self.device) else _view(slab[start : start + image.nbytes], image)
            for image, start in zip(self.images, self.layout.offsets, strict=True)
        ]


def _part(plan: Plan, rows: slice) -> Plan:
    return Plan(tuple(op[rows] for op in plan.ops), plan.inputs[rows], plan.outputs[rows])


def _is_there(image: Tensor, device: torch.device) -> bool:
    return device.type != "cpu" and image.device.type == device.type


def _view(data: Tensor, image: Tensor) -> Tensor:
    if is_interleaved(image):  # some draws follow how an image lies
        return data.view(image.dtype).view(image.movedim(-3, -1).shape).movedim(-1, -3)
    return data.view(image.dtype).view(image.shape)


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
