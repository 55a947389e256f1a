"""Twice as much as the server can do: what it gets done, how it refuses the rest, and whether every answer is right.

``python -m benchmarks.overload [--minutes 5] [--images 8] [--json FILE]``
"""

from __future__ import annotations

import argparse
import shlex
import statistics
import sys
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from augserve_server.settings import Settings
from benchmarks import machine, traffic, wire_client
from benchmarks.measure import Target, percentile
from benchmarks.memory import watched
from benchmarks.photographs import jpegs
from benchmarks.results import Results, Section, show
from benchmarks.server import PIPELINE, processes
from benchmarks.serving import Counts, Running, serving
from benchmarks.usage import resident_mib
from benchmarks.wire_client import Known, Offered, Origin

FILES = 256
OVER = 2.0
ALONE_S = 20.0
WARM_UP_S = 10.0
IN_FLIGHT = 128  # images
ORIGINS = (Origin("127.0.0.1", 0.8), Origin("127.0.0.2", 0.2))
"""Who asks: one client for more than there is, another for less than its share."""

LEAST_GOODPUT = 0.9
MOST_REFUSAL_MS = 50.0
MOST_SLOWDOWN = 3.0
MOST_GROWTH = 0.1

ABOUT = (
    "JPEG files of 500 x 375 pixels, imagenet_train, bytes on the wire, from one process of plain sockets on the same "
    "machine: the server has one half of the cores, the client the other. First so many images in flight that the "
    "server always has work: what it can do alone, before and after. Then requests that arrive at random at twice that "
    "rate, 80 % from one address and 20 % from another, the tensors of each answer held, byte by byte, to those of the "
    "same request alone; no two are alike. Latencies are from when a request is written to when its answer was read."
)


@dataclass(frozen=True, slots=True)
class Overload:
    """How a server did at twice its capacity; rates are of images."""

    task: str
    setting: str
    offered_per_second: float
    alone_per_second: float
    images_per_second: float
    refused: float  # of all requests
    refused_small: float  # of the client that asks for less than its share
    refused_p50_ms: float
    refused_p99_ms: float
    alone_p99_ms: float  # with one request at a time
    p50_ms: float
    p99_ms: float
    swapped: int
    failed: int
    lag_p99_ms: float  # how late requests were sent
    resident_start_mib: float
    resident_end_mib: float
    causes: str  # of refusals


def run(minutes: float = 5.0, images: int = 8) -> list[Section]:
    """Offer twice the capacity for so many minutes."""
    mine, theirs = machine.halves()
    with machine.on_cores(theirs), serving() as server, machine.on_cores(mine), processes(1) as client:
        requests = [
            Known(one.content)
            for one in traffic.recorded(server.url, PIPELINE, jpegs(FILES), images, {"wire": "uint8"})
        ]
        bodies = client.submit(wire_client.once, server.url, requests).result()
        if len(set(bodies)) < len(bodies):
            raise SystemExit("two requests have the same answer: a swap would not be seen")
        known = [Known(one.content, body) for one, body in zip(requests, bodies, strict=True)]
        return _measure(server, client, known, images, minutes * 60)


def main(arguments: Sequence[str]) -> None:
    """Run, show, and save; exits with status 1 where a target was missed."""
    parser = argparse.ArgumentParser("benchmarks.overload", description=__doc__)
    parser.add_argument("--minutes", type=float, default=5.0, help="how long too much is offered (default: 5)")
    parser.add_argument("--images", type=int, default=8, help="images in each request (default: 8)")
    parser.add_argument("--json", type=Path, help="where the results are saved")
    options = parser.parse_args(arguments)
    sections = run(options.minutes, options.images)
    for section in sections:
        show(section)
    if options.json:
        Results.here(shlex.join(["python", "-m", "benchmarks.overload", *arguments]), sections).save(options.json)
    if not all(target["met"] for target in sections[-1].rows):
        raise SystemExit(1)


def _measure(
    server: Running, client: ProcessPoolExecutor, known: Sequence[Known], images: int, seconds: float
) -> list[Section]:
    in_flight = max(2, IN_FLIGHT // images)

    def alone(flight: int, lasting_s: float) -> Offered:
        return client.submit(wire_client.closed, server.url, known, flight, lasting_s).result()

    alone(in_flight, WARM_UP_S)
    single, before = alone(1, ALONE_S / 4), alone(in_flight, ALONE_S)
    counts, rate = server.counts(), OVER * before.per_second
    offering = client.submit(wire_client.opened, server.url, known, ORIGINS, rate, seconds)
    over, moments, mib = watched(offering.result, lambda: resident_mib(server.pid))
    counted = {key: value - counts.get(key, 0.0) for key, value in server.counts().items()}
    after = alone(in_flight, ALONE_S)
    row = _row(images, rate, [before, after], single, over, mib, counted)
    return [
        Section.of("overload", ABOUT, [row], seconds=moments, resident_mib=mib),
        Section.of("overload targets", "Of the same run.", _targets(row)),
    ]


def _row(
    images: int,
    rate: float,
    alone: Sequence[Offered],
    single: Offered,
    over: Offered,
    mib: Sequence[float],
    counted: Counts,
) -> Overload:
    latencies = [one * 1000 for outcomes in over.outcomes for one in outcomes.latencies_s]
    refusals = [one * 1000 for outcomes in over.outcomes for one in outcomes.refusals_s] or [0.0]
    sent, small = sum(outcomes.sent for outcomes in over.outcomes), over.outcomes[-1]
    tenth = max(1, len(mib) // 10)
    return Overload(
        task=f"{PIPELINE}, {machine.cores()} cores, {images} images a request",
        setting=f"{OVER:g} x the capacity for {over.seconds / 60:g} minutes",
        offered_per_second=rate * images,
        alone_per_second=images * statistics.mean(one.per_second for one in alone),
        images_per_second=images * over.per_second,
        refused=len(refusals) / sent,
        refused_small=len(small.refusals_s) / max(1, small.sent),
        refused_p50_ms=percentile(refusals, 0.5),
        refused_p99_ms=percentile(refusals, 0.99),
        alone_p99_ms=percentile([one * 1000 for outcomes in single.outcomes for one in outcomes.latencies_s], 0.99),
        p50_ms=percentile(latencies, 0.5),
        p99_ms=percentile(latencies, 0.99),
        swapped=sum(outcomes.swapped for outcomes in over.outcomes),
        failed=sum(outcomes.failed for outcomes in over.outcomes),
        lag_p99_ms=percentile([one * 1000 for one in over.lags_s], 0.99),
        resident_start_mib=statistics.median(mib[tenth : 2 * tenth] or mib),
        resident_end_mib=statistics.median(mib[-tenth:]),
        causes=_causes(counted),
    )


def _causes(counted: Counts) -> str:
    found = {label: value for (name, label), value in counted.items() if name == "augserve_refusals_total" and value}
    total = sum(found.values()) or 1.0
    return ", ".join(f"{label} {value / total:.0%}" for label, value in sorted(found.items(), key=lambda one: -one[1]))


def _targets(row: Overload) -> list[Target]:
    bound_ms = MOST_SLOWDOWN * row.alone_p99_ms + Settings().queue_seconds * 1000
    growth = (row.resident_end_mib - row.resident_start_mib) / row.resident_start_mib
    return [
        Target.of(
            row.task, "goodput over capacity", [row.images_per_second / row.alone_per_second], ">=", LEAST_GOODPUT
        ),
        Target.of(row.task, "p99 of refusals, ms", [row.refused_p99_ms], "<=", MOST_REFUSAL_MS),
        Target.of(row.task, "p99 of what was accepted, ms", [row.p99_ms], "<=", round(bound_ms, 1)),
        Target.of(row.task, "growth of resident memory", [growth], "<=", MOST_GROWTH),
        Target.of(row.task, "answers that were another's", [row.swapped], "<=", 0),
        Target.of(row.task, "requests that failed", [row.failed], "<=", 0),
    ]


if __name__ == "__main__":
    main(sys.argv[1:])
