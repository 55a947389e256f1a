"""Time that adds up, piece by piece."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from time import perf_counter


class Stopwatch:
    """Seconds so far."""

    __slots__ = ("seconds",)

    def __init__(self) -> None:
        self.seconds = 0.0

    @contextmanager
    def running(self) -> Iterator[None]:
        """Add the time that passes in the block."""
        began = perf_counter()
        try:
            yield
        finally:
            self.seconds += perf_counter() - began
