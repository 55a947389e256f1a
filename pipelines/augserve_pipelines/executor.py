"""Run a plan: on the CPU chunk by chunk in cache over a pool of threads, elsewhere all at once."""

from __future__ import annotations

import math
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import cache

import numpy as np
import torch
from torch import Tensor

from augserve_pipelines.batch import Batch, Block
from augserve_pipelines.chunking import MOST, chunk_pixels, chunk_size
from augserve_pipelines.deferred import Deferred, once_each, pieces
from augserve_pipelines.frames import Frames, IntArray
from augserve_pipelines.kernels.launching import interpreting
from augserve_pipelines.ops import NOTHING
from augserve_pipelines.plan import Plan
from augserve_pipelines.refusals import explained
from augserve_pipelines.slabs import PageableMemory, SlabPool

_LEAST_LENT = 1 << 20  # bytes: smaller results are left to the allocator, which keeps their memory by itself
_MOST_KEPT = 256 << 20

MORE = 1
"""Threads beyond one to a core where images are decoded: a server's event loop takes the interpreter from them now and
then, and one that waits for it leaves its core idle. Single images a request came 13 % faster so, 32 a request 5 %.
Not where there is one core: the event loop is on that, too, and a thread that runs chunks itself is 4 % faster."""


_cores: int | None = None


class Result:
    """The dense blocks that the samples of a plan are written into, allocated before anything runs."""

    def __init__(self, frames: Frames, device: torch.device) -> None:
        self.batch = Batch([_allocated(members, frames, device) for members in _alike(frames)])

    def dense(self, rows: slice) -> Tensor | None:
        """Where neighbouring samples belong, if that is one piece of one block."""
        if len(self.batch.blocks) != 1:
            return None
        return self.batch.blocks[0].data[rows]


def run(plan: Plan, images: Sequence[Tensor], chunk: int | None = None) -> Batch:
    """Run a plan over its images, which lie on one device; ``chunk`` samples at a time on the CPU."""
    device = images[0].device if images else torch.device("cpu")
    result = Result(plan.outputs, device)
    if device.type == "cpu" and not interpreting():
        starts = range(0, len(images), chunk or chunk_size(plan, pool()[1]))
        work = [slice(start, start + starts.step) for start in starts]
        in_threads(lambda rows: _run_rows(plan, images[rows], rows, result), work)
    else:
        with _one_thread():  # for the tables that are made on the CPU
            _run_rows(plan, images, slice(0, len(images)), result)
    return result.batch


def run_deferred(
    plan: Plan, images: Sequence[Deferred], nearly_done: Callable[[], None] | None = None
) -> list[Tensor | Exception]:
    """Run a plan over images on the CPU that one thread decodes and takes through it while they are hot.

    An image that cannot be decoded fails alone: its error stands in place of its result. ``nearly_done`` is called by
    the thread that takes the last of them, when others have nothing more to do.
    """
    result, sources = Result(plan.outputs, torch.device("cpu")), once_each(images)
    failures: dict[int, Exception] = {}

    def work(rows: slice) -> None:
        good = {}
        for row, source in enumerate(sources[rows], rows.start):
            found = source.take()
            if isinstance(found, Tensor):
                good[row] = found
            else:
                failures[row] = found
        if good:
            complete = len(good) == rows.stop - rows.start
            _run_rows(plan, list(good.values()), rows if complete else np.array([*good]), result)

    _in_more_threads(work, list(pieces(images, chunk_size(plan, _with_more()), chunk_pixels())), nearly_done)
    return [failures.get(row, image) for row, image in enumerate(result.batch)]


def load(
    images: Sequence[Deferred | Tensor], put: Callable[[int], None], nearly_done: Callable[[], None] | None = None
) -> dict[int, Exception]:
    """Have ``put`` put each image, by its row, where it belongs, on the pool's threads; what is wrong with some.

    ``nearly_done`` is called when a thread takes the last of them, and others have nothing more to do.
    """
    failures: dict[int, Exception] = {}

    def work(rows: slice) -> None:
        for row in range(rows.start, rows.stop):
            try:
                put(row)
            except Exception as exc:  # noqa: BLE001  # a decoder may fail in any way on hostile bytes: only this image
                failures[row] = exc.with_traceback(None)  # whose frames hold this error and whole images, in a cycle

    if not images and nearly_done is not None:
        nearly_done()
    _in_more_threads(work, list(pieces(images, MOST, chunk_pixels())), nearly_done)
    return failures


def in_threads(work: Callable[[slice], None], chunks: Sequence[slice]) -> None:
    """``work`` for every chunk on the pool's threads, each of which has torch to itself; the first error is raised."""
    _in_threads(work, chunks, pool()[1], None)


def _in_more_threads(
    work: Callable[[slice], None], chunks: Sequence[slice], nearly_done: Callable[[], None] | None = None
) -> None:
    """The same on more threads than there are cores; ``nearly_done`` is called when a thread takes the last chunk."""
    _in_threads(work, chunks, _with_more(), nearly_done)


def _in_threads(
    work: Callable[[slice], None], chunks: Sequence[slice], count: int, nearly_done: Callable[[], None] | None
) -> None:
    waiting = iter(enumerate(chunks, 1))  # the threads take chunks from it as they get free; its next() is atomic

    def take_chunks() -> None:
        for number, rows in waiting:
            if number == len(chunks) and nearly_done is not None:
                nearly_done()
            work(rows)

    if 1 in (len(chunks), count) and torch.get_num_threads() == 1:  # as in the pool's threads, without the way there
        with explained():
            take_chunks()
        return
    futures = [pool()[0].submit(take_chunks) for _ in range(min(count, len(chunks)))]
    with explained():
        for future in futures:
            future.result()


@cache
def pool() -> tuple[ThreadPoolExecutor, int]:
    """The process's threads for chunks, and how many cores there are: a thread to each, and where several, ``MORE``.

    torch runs single-threaded in them: its own threads inside one small op cost many times what they give, and sums of
    floats would depend on their number. The setting of the calling thread is left as it was.
    """
    count = cores()
    most, before = _with_more(), torch.get_num_threads()
    ready = threading.Barrier(most + 1)

    def prepare() -> None:
        single_threaded()
        ready.wait()

    threads = ThreadPoolExecutor(most, "augserve-chunk", prepare)
    for _ in range(most):
        threads.submit(int)
    ready.wait()
    torch.set_num_threads(before)
    os.register_at_fork(after_in_child=lambda: pool.cache_clear())  # threads do not survive a fork
    return threads, count


def _with_more() -> int:
    """Threads for chunks that are decoded: ``MORE`` than cores, where there are several."""
    return cores() + MORE if cores() > 1 else 1


def use_cores(count: int) -> None:
    """Let this process count on so many cores: others have the rest. Absent that, on those that it may run on."""
    global _cores
    end_threads()
    _cores = count


def cores() -> int:
    """Cores that this process counts on."""
    return _cores or _may_run_on()


@cache
def _may_run_on() -> int:
    return len(os.sched_getaffinity(0))


def end_threads() -> None:
    """End the process's threads for chunks, so that it may fork; they are there again as soon as they are needed."""
    if pool.cache_info().currsize:
        pool()[0].shutdown(wait=True)
        pool.cache_clear()


def single_threaded() -> None:
    """Let torch use one thread when called from this one, whatever the process has set."""
    torch.get_num_threads()  # a thread takes on the process's setting when torch first asks, so have that behind us
    torch.set_num_threads(1)


@contextmanager
def _one_thread() -> Iterator[None]:
    """Let torch use one thread within: others take longer to wake than what is little takes."""
    before = torch.get_num_threads()
    if before == 1:
        yield
        return
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _run_rows(plan: Plan, images: Sequence[Tensor], rows: slice | IntArray, result: Result) -> None:
    """Take the images of these rows through the plan, to their places in the result."""
    *ops, last = [op[rows] for op in plan.ops] or [NOTHING]
    with torch.inference_mode():
        batch = Batch.of(images)
        for op in ops:
            batch = op.run(batch)
        out = result.dense(rows) if isinstance(rows, slice) else None
        if out is not None:
            last.run_into(batch, out)
            return
        for row, image in zip(np.arange(len(plan.inputs))[rows].tolist(), last.run(batch), strict=True):
            result.batch[row].copy_(image)


def _alike(frames: Frames) -> list[IntArray]:
    """The samples that may lie in one dense block."""
    if frames.are_alike():
        return [np.arange(len(frames))] if len(frames) else []
    rows: dict[object, list[int]] = {}
    for row, key in enumerate(frames.keys()):
        rows.setdefault(key, []).append(row)
    return [np.array(members) for members in rows.values()]


def _allocated(members: IntArray, frames: Frames, device: torch.device) -> Block:
    first = int(members[0])
    shape = (len(members), *frames.shape(first))
    return Block(members, _empty(shape, frames.dtypes[first], device))


def _empty(shape: tuple[int, ...], dtype: torch.dtype, device: torch.device) -> Tensor:
    size = math.prod(shape) * dtype.itemsize
    if device.type != "cpu" or size < _LEAST_LENT:
        return torch.empty(shape, dtype=dtype, device=device)
    return _results().lend(size).view(dtype).view(shape)


@cache
def _results() -> SlabPool:
    """Memory for results, used again once nobody holds them: fresh pages cost as much as half of a resize."""
    return SlabPool(_MOST_KEPT, PageableMemory())
