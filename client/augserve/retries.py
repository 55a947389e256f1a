"""When a request is tried again, and after how long: decided here, slept by the clients."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from augserve.errors import (
    AugserveError,
    ConnectionFailed,
    ConnectionLost,
    Overloaded,
    ServiceError,
    ServiceUnavailable,
    Timeout,
)

RETRIED = (ConnectionFailed, Overloaded, ServiceUnavailable)


@dataclass(frozen=True, slots=True)
class Retries:
    """How failed requests are tried again. Trying again is safe: the same seed gives the same answer.

    Tried again are lost connections, 429, and 502, 503, 504 of a gateway or a draining server. The wait after failure n
    is uniform in 0..min(``backoff_limit_s``, ``backoff_s`` * 2 ** (n - 1)), on top of what ``Retry-After`` asks for. A
    connection that was there and broke off is made again at once the first time: a server closes those that are idle,
    and where one of its processes ended, another answers.
    A wait that does not fit the time left is not begun: the failure is raised at once.
    """

    attempts: int = 4
    """Tries altogether, at least 1."""
    backoff_s: float = 0.2
    backoff_limit_s: float = 10.0
    retry_after_limit_s: float = 60.0
    """A longer ``Retry-After`` is cut to this."""
    draw: Callable[[], float] = random.random
    """Uniform in [0, 1): the jitter."""

    def delay_s(self, failures: int, retry_after_s: float | None = None) -> float:
        """Seconds to wait after ``failures`` failures in a row (1 or more)."""
        jitter = self.draw() * min(self.backoff_limit_s, self.backoff_s * 2.0 ** min(failures - 1, 64))
        return jitter + min(retry_after_s or 0.0, self.retry_after_limit_s)


class Clock:
    """The time, and waiting for it to pass."""

    def monotonic_s(self) -> float:
        return time.monotonic()

    def utc(self) -> datetime:
        return datetime.now(UTC)

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds)

    async def sleep_async(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


class Attempts:
    """The tries of one request within its time: how much is left, and how long to wait for the next."""

    def __init__(self, retries: Retries, clock: Clock, timeout_s: float | None) -> None:
        self._retries = retries
        self._clock = clock
        self._timeout_s = timeout_s
        self._started_s = clock.monotonic_s()
        self._failures = 0

    def remaining_s(self) -> float | None:
        """Seconds left, or None without a limit.

        Raises:
            Timeout: None are left.
        """
        if self._timeout_s is None:
            return None
        remaining_s = self._started_s + self._timeout_s - self._clock.monotonic_s()
        if remaining_s <= 0:
            raise Timeout(f"no answer within {self._timeout_s:g} s")
        return remaining_s

    def delay_s(self, failure: AugserveError) -> float:
        """Seconds to wait before trying again after ``failure``; raises ``failure`` where it is final."""
        self._failures += 1
        if not isinstance(failure, RETRIED):
            raise failure
        delay_s = self._retries.delay_s(
            self._failures, failure.retry_after_s if isinstance(failure, ServiceError) else None
        )
        if self._failures == 1 and isinstance(failure, ConnectionLost):
            delay_s = 0.0
        if self._failures >= self._retries.attempts or not self._fits(delay_s):
            failure.add_note(f"given up after {self._failures} of at most {self._retries.attempts} tries")
            raise failure
        return delay_s

    def _fits(self, delay_s: float) -> bool:
        if self._timeout_s is None:
            return True
        return self._clock.monotonic_s() + delay_s < self._started_s + self._timeout_s


def read_retry_after(value: str | None, now: datetime) -> float | None:
    """Seconds that a ``Retry-After`` header asks for: a number, or an HTTP date; None where it says neither."""
    if value is None:
        return None
    if value.strip().isdecimal():
        return float(value)
    try:
        date = parsedate_to_datetime(value)
    except ValueError:
        return None
    if date.tzinfo is None:
        date = date.replace(tzinfo=UTC)
    return max(0.0, (date - now).total_seconds())
