"""Threads for blocking work: bounded, named, and torch to itself in each."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from functools import partial
from typing import TypeVar

from augserve_pipelines.executor import single_threaded

Item = TypeVar("Item")
Result = TypeVar("Result")


class Pool:
    """Worker threads that the event loop hands work to. Cancelling a call that has not begun takes it out."""

    def __init__(self, name: str, threads: int | None) -> None:
        # One torch thread each: two OpenMP threads inside one small op are many times slower.
        self._threads = ThreadPoolExecutor(threads or cpu_count(), f"augserve-{name}", single_threaded)

    async def run(self, work: Callable[[], Result]) -> Result:
        """The result of ``work``, called in a worker thread."""
        within: Callable[..., Result] = copy_context().run  # log lines of the thread name the request
        return await asyncio.get_running_loop().run_in_executor(self._threads, within, work)

    async def map(
        self, work: Callable[[Sequence[Item]], list[Result]], items: Sequence[Item], size: int
    ) -> list[Result]:
        """The results of ``work`` over pieces of ``items``, each of ``size`` at most, in order."""
        pieces = [items[start : start + size] for start in range(0, len(items), size)]
        done = await asyncio.gather(*(self.run(partial(work, piece)) for piece in pieces))
        return [result for results in done for result in results]

    def close(self) -> None:
        """Let what runs finish, drop what waits, and end the threads."""
        self._threads.shutdown(wait=True, cancel_futures=True)


def cpu_count() -> int:
    """CPUs that this process may use."""
    return len(os.sched_getaffinity(0))
