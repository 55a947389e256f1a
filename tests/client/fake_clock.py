"""Time that passes only when it is slept through."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from augserve.retries import Clock


class FakeClock(Clock):
    """Starts at noon of 2025-01-01; remembers how long it was slept."""

    def __init__(self) -> None:
        self.slept_s: list[float] = []

    def monotonic_s(self) -> float:
        return 1000.0 + sum(self.slept_s)

    def utc(self) -> datetime:
        return datetime(2025, 1, 1, 12, tzinfo=UTC) + timedelta(seconds=sum(self.slept_s))

    def sleep(self, seconds: float) -> None:
        self.slept_s.append(seconds)

    async def sleep_async(self, seconds: float) -> None:
        self.slept_s.append(seconds)
