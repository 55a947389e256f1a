"""Requests to a server: what the client library sends, sent by it or by plain sockets, in a closed or an open loop."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import count
from threading import Lock
from typing import Any

import httpx
import numpy as np

from augserve import Client

Options = Mapping[str, Any]
"""Arguments of ``Client.augment``, but for the images and the seed."""


@dataclass(frozen=True, slots=True)
class Request:
    """One request as it goes over a connection, and how many images are in it."""

    content: bytes
    images: int


@dataclass(frozen=True, slots=True)
class Answered:
    """What came of one request."""

    images: int  # 0 where it was refused or failed
    latency_s: float  # from when it was meant to be sent
    sent: int  # bytes of its body
    received: int  # bytes of the answer's body
    ended: float  # seconds of perf_counter


@dataclass(frozen=True, slots=True)
class Load:
    """What a client got in a run."""

    answers: Sequence[Answered]
    seconds: float
    cpu_s: float  # that the client's processes took
    clients: int = 1  # processes

    @classmethod
    def together(cls, loads: Sequence[Load]) -> Load:
        """What several client processes got at the same time."""
        answers = [answer for load in loads for answer in load.answers]
        longest, spent = max(load.seconds for load in loads), sum(load.cpu_s for load in loads)
        return cls(answers, longest, spent, sum(load.clients for load in loads))

    @property
    def images_per_second(self) -> float:
        """Images that were answered, over the time from the first request to the last answer."""
        return sum(answer.images for answer in self.answers) / self.seconds

    @property
    def failed(self) -> float:
        """The share of requests that got no results."""
        return sum(answer.images == 0 for answer in self.answers) / len(self.answers)


def recorded(url: str, pipeline: str, files: Sequence[bytes], size: int, options: Options) -> list[Request]:
    """What ``Client.augment`` sends for these files, ``size`` to a request (1: an image, not a list of one)."""
    tap, work = _Tap(httpx.Limits()), _cut(files, size)
    with Client(url, transport=tap, timeout=60) as client:
        for seed, images in enumerate(work):
            client.augment(pipeline, images, seed=seed, **options)
    counts = [1 if size == 1 else len(images) for images in work]
    return [Request(content, images) for content, images in zip(tap.requests, counts, strict=True)]


def by_library(
    url: str, pipeline: str, files: Sequence[bytes], size: int, options: Options, in_flight: int, seconds: float
) -> Load:
    """A closed loop of threads that share a ``Client``."""
    tap, work = _Tap(httpx.Limits(max_connections=in_flight, max_keepalive_connections=in_flight)), _cut(files, size)
    with Client(url, transport=tap, timeout=60, headers={"X-Untapped": "1"}) as client:

        def ask(turn: int) -> Answered:
            start = time.perf_counter()
            answer = client.augment(pipeline, work[turn % len(work)], seed=turn, **options)
            images = 1 if size == 1 else len(answer.stack())
            ended = time.perf_counter()
            return Answered(images, ended - start, 0, 0, ended)

        load = _closed(ask, in_flight, seconds)
    sent, received = sum(tap.sent) // len(load.answers), sum(tap.received) // len(load.answers)
    answers = [Answered(one.images, one.latency_s, sent, received, one.ended) for one in load.answers]
    return Load(answers, load.seconds, load.cpu_s)


def closed(url: str, requests: Sequence[Request], in_flight: int, seconds: float) -> Load:
    """So many requests in flight all the time, by plain sockets."""
    lines = _Lines(url)
    try:
        return _closed(lambda turn: lines.send(requests[turn % len(requests)], time.perf_counter()), in_flight, seconds)
    finally:
        lines.close()


def opened(url: str, requests: Sequence[Request], per_second: float, seconds: float, seed: int = 0) -> Load:
    """Requests that arrive at random (Poisson) at this rate, whatever the server does; latencies from the arrival."""
    gaps = np.random.default_rng(seed).exponential(1 / per_second, max(1, round(per_second * seconds)))
    lines, start = _Lines(url), time.perf_counter() + 0.05
    due = (start + np.cumsum(gaps)).tolist()

    def ask(turn: int) -> Answered:
        time.sleep(max(0.0, due[turn] - time.perf_counter()))
        return lines.send(requests[turn % len(requests)], due[turn])

    used = time.process_time()
    try:
        with ThreadPoolExecutor(_MOST_LINES) as threads:
            answers = list(threads.map(ask, range(len(due))))
    finally:
        lines.close()
    return Load(answers, max(answer.ended for answer in answers) - start, time.process_time() - used)


_MOST_LINES = 256


def _closed(ask: Callable[[int], Answered], in_flight: int, seconds: float) -> Load:
    turns, used, start = count(), time.process_time(), time.perf_counter()

    def keep_asking(_: int) -> list[Answered]:
        answers = []
        while time.perf_counter() < start + seconds:
            answers.append(ask(next(turns)))
        return answers

    with ThreadPoolExecutor(in_flight) as threads:
        answers = [answer for some in threads.map(keep_asking, range(in_flight)) for answer in some]
    return Load(answers, max(answer.ended for answer in answers) - start, time.process_time() - used)


def _cut(files: Sequence[bytes], size: int) -> list[Any]:
    return list(files) if size == 1 else [files[start : start + size] for start in range(0, len(files), size)]


class _Tap(httpx.BaseTransport):
    """httpx's transport, which keeps count of the bytes of bodies, and the requests unless there are many."""

    def __init__(self, limits: httpx.Limits) -> None:
        self._inner = httpx.HTTPTransport(limits=limits)
        self.requests: list[bytes] = []
        self.sent: list[int] = []
        self.received: list[int] = []

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        if "X-Untapped" not in request.headers:
            self.requests.append(_as_sent(request))
        response = self._inner.handle_request(request)
        self.sent.append(int(request.headers.get("content-length", 0)))
        self.received.append(int(response.headers.get("content-length", 0)))
        return response

    def close(self) -> None:
        self._inner.close()


def _as_sent(request: httpx.Request) -> bytes:
    lines = [b"%b %b HTTP/1.1" % (request.method.encode(), request.url.raw_path)]
    lines += [b"%b: %b" % header for header in request.headers.raw]
    return b"\r\n".join([*lines, b"", request.read()])


class _Lines:
    """Connections that threads borrow; there are as many as were ever in use at once."""

    def __init__(self, url: str) -> None:
        address = httpx.URL(url)
        self._address = (address.host, address.port or 80)
        self._free: list[socket.socket] = []
        self._lock = Lock()

    def send(self, request: Request, due: float) -> Answered:
        """Send a request and read its answer to the end."""
        line = self._take()
        line.sendall(request.content)
        status, received, lasts = _read(line)
        ended = time.perf_counter()
        if lasts:
            with self._lock:
                self._free.append(line)
        else:
            line.close()
        sent = len(request.content) - request.content.index(b"\r\n\r\n") - 4
        return Answered(request.images if status == 200 else 0, ended - due, sent, received, ended)

    def close(self) -> None:
        """Close them all."""
        for line in self._free:
            line.close()

    def _take(self) -> socket.socket:
        with self._lock:
            if self._free:
                return self._free.pop()
        line = socket.create_connection(self._address, timeout=60)
        line.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return line


def _read(line: socket.socket) -> tuple[int, int, bool]:
    """The status of an answer, how many bytes its body has, and whether the connection lasts; the body goes nowhere."""
    head = bytearray()
    while (end := head.find(b"\r\n\r\n")) < 0:
        head += _some(line, 65536)
    headers = {name: value.strip().lower() for name, value in _headers(head[:end])}
    length = int(headers[b"content-length"])
    missing, room = length - (len(head) - end - 4), bytearray(1 << 18)
    while missing > 0:
        got = line.recv_into(room, min(missing, len(room)))
        if not got:
            raise ConnectionError("the server closed the connection within an answer")
        missing -= got
    return int(head.split(None, 2)[1]), length, headers.get(b"connection") != b"close"


def _some(line: socket.socket, most: int) -> bytes:
    if not (piece := line.recv(most)):
        raise ConnectionError("the server closed the connection before it had answered")
    return piece


def _headers(head: bytearray) -> Iterator[tuple[bytes, bytes]]:
    for row in head.split(b"\r\n")[1:]:
        name, _, value = row.partition(b":")
        yield bytes(name).lower(), bytes(value)
