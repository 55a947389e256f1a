"""Work on what is wanted next, before it is wanted."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

from augserve.errors import InvalidInput

Item = TypeVar("Item")
Made = TypeVar("Made")


def ahead(work: Callable[[Item], Made], items: Iterable[Item], count: int) -> Generator[Made]:
    """``work`` of each item, in order; ``count`` of the next are under way in threads while one is used.

    When the generator is closed, what has not been begun is dropped, and what has is waited for.
    """
    pool = ThreadPoolExecutor(count, "augserve-loader")
    under_way: deque[Future[Made]] = deque()
    try:
        for item in items:
            under_way.append(pool.submit(work, item))
            if len(under_way) > count:
                yield under_way.popleft().result()
        while under_way:
            yield under_way.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)


def check_prefetch(count: int) -> None:
    """Raise InvalidInput for what cannot be the number of batches under way."""
    if count < 1:
        raise InvalidInput(f"prefetch is {count}; it must be at least 1")
