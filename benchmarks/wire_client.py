"""A client of few instructions: requests made beforehand, over plain transports, and answers held to the byte."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import cast

import numpy as np
import uvloop

TICK_S = 0.002
LONGEST_S = 60
MOST_LINES = 1900
"""Connections of one client process: the server takes 2,048 by default."""


@dataclass(frozen=True, slots=True)
class Known:
    """A request as it goes over a connection, and the body of the answer that is its own."""

    content: bytes
    expected: bytes | None = None


@dataclass(frozen=True, slots=True)
class Origin:
    """Who asks: the address that its connections come from, and its part of all requests."""

    address: str
    part: float = 1.0


@dataclass(slots=True)
class Outcomes:
    """What came of the requests of one origin."""

    sent: int = 0
    latencies_s: list[float] = field(default_factory=list)  # of answers with results
    refusals_s: list[float] = field(default_factory=list)
    swapped: int = 0  # answers that were not their request's own, to the byte
    failed: int = 0  # other statuses, and connections that were lost
    late: int = 0  # answers after the time that counts


@dataclass(frozen=True, slots=True)
class Offered:
    """One run: what came of it by origin, and how late requests were sent."""

    seconds: float
    outcomes: Sequence[Outcomes]
    lags_s: Sequence[float] = ()
    bodies: Sequence[bytes] = ()  # where nothing was expected

    @property
    def per_second(self) -> float:
        """Requests that were answered with results."""
        return sum(len(one.latencies_s) for one in self.outcomes) / self.seconds


def closed(url: str, requests: Sequence[Known], in_flight: int, seconds: float) -> Offered:
    """So many requests in flight all the time."""

    async def drive() -> Offered:
        run = _Run(url, requests, [Origin("127.0.0.1")])
        end = time.perf_counter() + seconds

        async def keep_asking() -> None:
            while time.perf_counter() < end:
                await run.ask(0)

        await asyncio.gather(*(keep_asking() for _ in range(in_flight)))
        return await run.finish(seconds)

    return uvloop.run(drive())


def once(url: str, requests: Sequence[Known]) -> list[bytes]:
    """The bodies of the answers to each request, one after another. Raises RuntimeError where one has no results."""

    async def drive() -> Offered:
        run = _Run(url, requests, [Origin("127.0.0.1")])
        for _ in requests:
            await run.ask(0)
        return await run.finish(1.0)

    offered = uvloop.run(drive())
    if len(offered.bodies) != len(requests):
        raise RuntimeError(f"{len(requests) - len(offered.bodies)} of {len(requests)} requests got no results")
    return list(offered.bodies)


def opened(
    url: str, requests: Sequence[Known], origins: Sequence[Origin], per_second: float, seconds: float
) -> Offered:
    """Requests that arrive at random (Poisson) at this rate, from several addresses, whatever the server does."""

    async def drive() -> Offered:
        run = _Run(url, requests, origins)
        chance, parts = np.random.default_rng(0), np.array([origin.part for origin in origins])
        due, start = 0.0, time.perf_counter()
        lags: list[float] = []
        while (now := time.perf_counter() - start) < seconds:
            while due <= now:
                run.start(int(chance.choice(len(origins), p=parts / parts.sum())))
                lags.append(now - due)
                due += float(chance.exponential(1 / per_second))
            await asyncio.sleep(min(max(TICK_S, due - now), 0.05))
        run.over = True
        return await run.finish(seconds, lags)

    return uvloop.run(drive())


class _Run:
    """The requests of a run, taken in turn, and the connections that they go over."""

    def __init__(self, url: str, requests: Sequence[Known], origins: Sequence[Origin]) -> None:
        host, _, port = url.removeprefix("http://").partition(":")
        self._server = host, int(port)
        self._requests = requests
        self._origins = origins
        self._turn = 0
        self._free: list[deque[_Line]] = [deque() for _ in origins]
        self._lines = 0
        self._tasks: set[asyncio.Task[None]] = set()
        self._bodies: list[bytes] = []
        self._pending = 0
        self._last: asyncio.Event | None = None
        self.outcomes = [Outcomes() for _ in origins]
        self.over = False

    def start(self, origin: int) -> None:
        """Send the next request, and do not wait for its answer."""
        free = self._free[origin]
        while free:
            line = free.pop()
            if line.usable:
                self._send(line, origin, None)
                return
        if self._lines >= MOST_LINES:
            self.outcomes[origin].failed += 1
            return
        self._lines += 1
        task = asyncio.create_task(self._send_on_new(origin))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def ask(self, origin: int) -> None:
        """Send the next request, and wait for its answer."""
        done = asyncio.get_running_loop().create_future()
        free = self._free[origin]
        line = next((line for line in iter(lambda: free.pop() if free else None, None) if line.usable), None)
        self._send(line or await self._connect(origin), origin, lambda: done.done() or done.set_result(None))
        await done

    async def finish(self, seconds: float, lags: Sequence[float] = ()) -> Offered:
        """Wait for what is under way, and close all connections."""
        if self._pending:
            self._last = asyncio.Event()
            with suppress(TimeoutError):
                await asyncio.wait_for(self._last.wait(), LONGEST_S)
        for free in self._free:
            for line in free:
                line.close()
        return Offered(seconds, self.outcomes, lags, self._bodies)

    async def _send_on_new(self, origin: int) -> None:
        try:
            self._send(await self._connect(origin), origin, None)
        except OSError:
            self._lines -= 1
            self.outcomes[origin].sent += 1
            self.outcomes[origin].failed += 1

    async def _connect(self, origin: int) -> _Line:
        address = self._origins[origin].address, 0
        _, line = await asyncio.get_running_loop().create_connection(_Line, *self._server, local_addr=address)
        return line

    def _send(self, line: _Line, origin: int, then: Callable[[], object] | None) -> None:
        request = self._requests[self._turn % len(self._requests)]
        self._turn += 1
        began = time.perf_counter()
        self.outcomes[origin].sent += 1
        self._pending += 1

        def answered(status: int, body: memoryview, keep: bool) -> None:
            self._count(self.outcomes[origin], request, status, body, time.perf_counter() - began)
            if keep:
                self._free[origin].append(line)
            else:
                self._lines -= 1
                line.close()
            if then is not None:
                then()

        line.send(request.content, answered)

    def _count(self, outcomes: Outcomes, request: Known, status: int, body: memoryview, took_s: float) -> None:
        self._pending -= 1
        if self._last is not None and not self._pending:
            self._last.set()
        if status == 200 and request.expected is not None and body != request.expected:
            outcomes.swapped += 1
        if status == 200 and request.expected is None:
            self._bodies.append(bytes(body))
        if status == 429:
            outcomes.refusals_s.append(took_s)
        elif status != 200:
            outcomes.failed += 1
        elif self.over:
            outcomes.late += 1
        else:
            outcomes.latencies_s.append(took_s)


class _Line(asyncio.Protocol):
    """A connection: one request at a time."""

    def __init__(self) -> None:
        self._transport: asyncio.Transport | None = None
        self._answered: Callable[[int, memoryview, bool], None] | None = None
        self._received = bytearray()
        self._start = self._end = self._status = 0
        self._keep = True

    @property
    def usable(self) -> bool:
        """Whether a request can be sent on it."""
        return self._transport is not None and not self._transport.is_closing()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's are no subclasses

    def send(self, content: bytes, answered: Callable[[int, memoryview, bool], None]) -> None:
        """Send a request; ``answered`` is called with what came of it, and whether another may follow."""
        assert self._transport is not None
        self._answered = answered
        self._transport.write(content)

    def data_received(self, data: bytes) -> None:
        self._received += data
        if not self._end and not self._read_head():
            return
        if len(self._received) >= self._end:
            self._tell(self._status, memoryview(self._received)[self._start : self._end])

    def connection_lost(self, error: Exception | None) -> None:
        self._transport = None
        self._keep = False
        if self._answered is not None:
            self._tell(0, memoryview(b""))

    def close(self) -> None:
        """Close it."""
        if self._transport is not None:
            self._transport.close()

    def _read_head(self) -> bool:
        end = self._received.find(b"\r\n\r\n")
        if end < 0:
            return False
        head = bytes(self._received[:end]).lower()
        length = head.index(b"\r\ncontent-length: ") + 18
        self._status = int(head[9:12])
        self._keep = b"connection: close" not in head
        self._end = end + 4 + int(head[length:].split(b"\r\n", 1)[0])
        self._start = end + 4 + _json_bytes(head)
        return True

    def _tell(self, status: int, body: memoryview) -> None:
        answered, self._answered = self._answered, None
        if answered is not None:
            answered(status, body, self._keep)
        body.release()
        self._received, self._start, self._end = bytearray(), 0, 0


def _json_bytes(head: bytes) -> int:
    """What is before the tensors of an answer: it has the time in it, and so is never the same twice."""
    name = b"\r\ninference-header-content-length: "
    place = head.find(name)
    return 0 if place < 0 else int(head[place + len(name) :].split(b"\r\n", 1)[0])
