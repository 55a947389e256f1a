"""Time that adds up, piece by piece."""

from __future__ import annotations


class Stopwatch:
    """Seconds so far."""

    __slots__ = ("seconds",)

    def __init__(self) -> None:
        self.seconds = 0.0
