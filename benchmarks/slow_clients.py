"""``python -m benchmarks.slow_clients``: what ordinary clients notice of many connections that send a byte a second."""

from __future__ import annotations

import multiprocessing
import resource
import select
import socket
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from multiprocessing.connection import Connection

import httpx

from benchmarks import machine, traffic
from benchmarks.measure import Target, percentile
from benchmarks.photographs import jpegs
from benchmarks.results import Section
from benchmarks.served import Run, Served, observe, row
from benchmarks.server import FILES, PIPELINE, WIRES, processes
from benchmarks.serving import Running, serving
from benchmarks.usage import resident_mib

IN_FLIGHT = 8
WITHIN = 0.1
SLICES = 50
OPENING_S = 3.0
HEAD = (
    b"POST /v1/augment/%b HTTP/1.1\r\nHost: augserve\r\nContent-Type: image/jpeg\r\nContent-Length: 100000\r\nX-Slow: "
)

ABOUT = (
    "A closed loop of single JPEG files by plain sockets, in turns with and without other connections that send a byte "
    "a second: half of them within a header, half within a body. The server ends those when their time is over; they "
    "come back at once, so that their number stays."
)


def run(rounds: int = 5, seconds: float = 5.0, connections: int = 1000, workers: int | None = None) -> list[Section]:
    """Measure ordinary clients with and without so many slow connections."""
    allow_files(connections)
    setting = f"{workers} workers" if workers else "one process"
    task = f"{PIPELINE}, {machine.cores()} cores, {setting}, {IN_FLIGHT} in flight"
    with serving(workers=workers) as server, processes(1) as client:
        requests = traffic.recorded(server.url, PIPELINE, jpegs(FILES), 1, WIRES["float16"])
        drive = partial(traffic.closed, server.url, requests, IN_FLIGHT, seconds)

        def load() -> Run:
            return observe(server, client.submit(drive).result)

        load()
        alone, beside, memory = list[Run](), list[Run](), list[float]()
        for _ in range(rounds):
            before = resident_mib(server.pid)
            alone.append(load())
            with slow_connections(server, connections):
                beside.append(load())
                memory.append(resident_mib(server.pid) - before)
    return [
        Section.of("slow clients", ABOUT, _rows(task, alone, beside, connections)),
        Section.of("slow clients, targets", "Of the same run.", _targets(task, alone, beside, connections, memory)),
    ]


def _rows(task: str, alone: Sequence[Run], beside: Sequence[Run], connections: int) -> list[Served]:
    return [row(task, "alone", alone), row(task, f"beside {connections} slow connections", beside)]


def _targets(
    task: str, alone: Sequence[Run], beside: Sequence[Run], connections: int, memory: Sequence[float]
) -> list[Target]:
    rates = [one.load.images_per_second / two.load.images_per_second for one, two in zip(beside, alone, strict=True)]
    tails = [_p99(one) / _p99(two) for one, two in zip(beside, alone, strict=True)]
    kib = max(memory) * 1024 / connections
    return [
        Target.of(task, "images/s beside slow connections over alone", rates, ">=", 1 - WITHIN),
        Target.of(task, "p99 beside slow connections over alone", tails, "<=", 1 + WITHIN),
        Target.of(task, "memory of a slow connection, KiB", [kib], "<=", 64),
    ]


def _p99(run: Run) -> float:
    return percentile([answer.latency_s for answer in run.load.answers], 0.99)


@contextmanager
def slow_connections(server: Running, count: int) -> Iterator[None]:
    """So many slow connections are open, in a process of their own, until the way out."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    address = httpx.URL(server.url)
    process = context.Process(target=_be_slow, args=((address.host, address.port or 80), count, theirs))
    process.start()
    try:
        assert ours.recv() == "open"
        yield
    finally:
        ours.close()
        process.kill()
        process.join()


def _be_slow(address: tuple[str, int], count: int, parent: Connection) -> None:
    """A byte a second on each connection; those that the server ended are made again."""
    allow_files(count)
    lines, ended = list[socket.socket](), select.epoll()
    for number in range(count):
        lines.append(_slow_line(address, number))
        time.sleep(OPENING_S / count)
    numbers = {line.fileno(): number for number, line in enumerate(lines)}
    for line in lines:
        ended.register(line, select.EPOLLIN)
    parent.send("open")
    due = time.monotonic()
    while True:
        for start in range(SLICES):  # not all in one moment
            due += 1 / SLICES
            time.sleep(max(0.0, due - time.monotonic()))
            for file, _ in ended.poll(0):  # an answer is a refusal, and nothing the end
                number = numbers.pop(file)
                lines[number].close()
                lines[number] = _slow_line(address, number)
                numbers[lines[number].fileno()] = number
                ended.register(lines[number], select.EPOLLIN)
            for line in lines[start::SLICES]:
                with suppress(OSError):
                    line.send(b"x")


def _slow_line(address: tuple[str, int], number: int) -> socket.socket:
    """A connection that is half way in a header or, every other one, in a body."""
    line = socket.create_connection(address)
    line.sendall(HEAD % PIPELINE.encode() + (b"\r\n\r\n" if number % 2 else b""))
    line.setblocking(False)
    return line


def allow_files(count: int) -> None:
    """Let this process, and those that it starts, have so many open files and some more."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 2 * count + 512
    if soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(wanted, hard) if hard >= 0 else wanted, hard))


if __name__ == "__main__":
    from benchmarks.__main__ import main

    main(["--only", "slow_clients", *sys.argv[1:]], "python -m benchmarks.slow_clients")
