"""The server under requests that arrive at random: latencies at shares of what it can do, from the arrival on."""

from __future__ import annotations

from functools import partial

from benchmarks import machine, traffic
from benchmarks.photographs import jpegs
from benchmarks.results import Section
from benchmarks.served import Served, observe, row
from benchmarks.server import FILES, IN_FLIGHT, PIPELINE, WIRES, processes
from benchmarks.serving import serving

SHARES = (0.25, 0.5, 0.75, 0.9)

ABOUT = (
    "An open loop: single JPEG files of 500 x 375 pixels arrive at random moments (Poisson) at a fixed rate, whatever "
    "the server does, by plain sockets. Latencies run from the moment of arrival, so time that a request waits to be "
    "sent counts. Rates are shares of what a closed loop of 32 requests in flight got just before, the first row."
)


def run(rounds: int, seconds: float, workers: int | None = None) -> list[Section]:
    """Find what the server can do with single images, then offer it shares of that."""
    served = f", {workers} workers" if workers else ""
    task, options, rows = f"{PIPELINE}, {machine.cores()} cores{served}, float16", WIRES["float16"], list[Served]()
    with serving(workers=workers) as server, processes(1) as client:
        requests = traffic.recorded(server.url, PIPELINE, jpegs(FILES), 1, options)
        drive = partial(traffic.closed, server.url, requests, IN_FLIGHT[1], seconds)
        runs = [observe(server, lambda: client.submit(drive).result()) for _ in range(rounds + 1)][1:]
        rows.append(row(task, f"closed loop, {IN_FLIGHT[1]} in flight", runs))
        for share in SHARES:
            rate = share * rows[0].images_per_second
            runs = [
                observe(server, client.submit(traffic.opened, server.url, requests, rate, 2 * seconds, turn).result)
                for turn in range(rounds)
            ]
            rows.append(row(task, f"arrivals at {share:.0%} of that", runs, rate))
    return [Section.of("arrivals", ABOUT, rows)]
