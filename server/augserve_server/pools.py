"""Threads for blocking work: bounded, named, and torch to itself in each."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from functools import partial
from time import thread_time
from typing import Final, TypeVar

from augserve_pipelines.executor import cores, single_threaded
from augserve_server.footing import stand_back

NICENESS: Final = 5

Item = TypeVar("Item")
Result = TypeVar("Result")


class Pool:
    """Worker threads that the event loop hands work to. Cancelling a call that has not begun takes it out."""

    def __init__(self, name: str, threads: int | None) -> None:
        # One torch thread each: two OpenMP threads inside one small op are many times slower.
        self._threads = ThreadPoolExecutor(threads or cores(), f"augserve-{name}", begin_worker)

    async def run(self, work: Callable[[], Result], meter: Meter | None = None) -> Result:
        """The result of ``work``, called in a worker thread."""
        within: Callable[..., Result] = copy_context().run  # log lines of the thread name the request
        metered = work if meter is None else partial(meter.run, work)
        return await asyncio.get_running_loop().run_in_executor(self._threads, within, metered)

    async def map(
        self,
        work: Callable[[Sequence[Item]], list[Result]],
        items: Sequence[Item],
        size: int,
        meter: Meter | None = None,
    ) -> list[Result]:
        """The results of ``work`` over pieces of ``items``, each of ``size`` at most, in order."""
        pieces = [items[start : start + size] for start in range(0, len(items), size)]
        done = await asyncio.gather(*(self.run(partial(work, piece), meter) for piece in pieces))
        return [result for results in done for result in results]

    def close(self) -> None:
        """Let what runs finish, drop what waits, and end the threads."""
        self._threads.shutdown(wait=True, cancel_futures=True)


def begin_worker() -> None:
    """Set up a thread for work: torch to itself, and behind the event loop where processors are short.

    An answer that says that there is too much to do must not wait for what there is to do. Threads that this one
    begins stand behind with it.
    """
    single_threaded()
    stand_back(NICENESS)


class Meter:
    """What work in threads has taken of the machine."""

    def __init__(self) -> None:
        self._seconds: list[float] = []

    @property
    def seconds(self) -> float:
        """Seconds in which it would have kept all processors busy."""
        return sum(self._seconds) / cores()

    def run(self, work: Callable[[], Result]) -> Result:
        """Do some of it, in a thread."""
        began = thread_time()
        try:
            return work()
        finally:
            self._seconds.append(thread_time() - began)
