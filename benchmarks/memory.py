"""The server's memory at full load: whether it stays where it is."""

from __future__ import annotations

import statistics
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from benchmarks import machine, traffic
from benchmarks.measure import Target
from benchmarks.photographs import jpegs
from benchmarks.results import Section
from benchmarks.served import Run, observe, row
from benchmarks.server import FILES, IN_FLIGHT, PIPELINE, WIRES, processes
from benchmarks.serving import serving
from benchmarks.usage import resident_mib

SIZE = 32
EVERY_S = 1.0
WARM_UP = 0.1
AT_MOST = 0.05

ABOUT = (
    "Resident memory of the server's process, sampled every second under a closed loop at full load: 32 JPEG files of "
    "500 x 375 pixels a request, 4 requests in flight, float16. The first tenth of the time is to warm up and does not "
    "count. The spread is (highest - lowest) / median, the slope that of a least-squares line."
)


@dataclass(frozen=True, slots=True)
class Memory:
    """Resident memory over a run, in MiB, after the warm-up."""

    task: str
    minutes: float
    images: int
    median_mib: float
    lowest_mib: float
    highest_mib: float
    spread: float
    slope_mib_per_minute: float

    @classmethod
    def of(cls, task: str, images: int, seconds: Sequence[float], mib: Sequence[float]) -> Memory:
        """Of samples at these moments, the first of which are to warm up."""
        first = next(i for i, moment in enumerate(seconds) if moment >= WARM_UP * seconds[-1])
        kept, moments = mib[first:], seconds[first:]
        middle = statistics.median(kept)
        slope = statistics.linear_regression(moments, kept).slope * 60 if len(kept) > 1 else 0.0
        spread = (max(kept) - min(kept)) / middle
        return cls(task, seconds[-1] / 60, images, middle, min(kept), max(kept), spread, slope)


def run(minutes: float = 10.0) -> list[Section]:
    """Watch the memory for so many minutes."""
    task = f"{PIPELINE}, {machine.cores()} cores"
    with serving() as server, processes(1) as client:
        requests = traffic.recorded(server.url, PIPELINE, jpegs(FILES), SIZE, WIRES["float16"])
        drive = partial(traffic.closed, server.url, requests, IN_FLIGHT[SIZE], minutes * 60)
        loaded, moments, mib = watched(
            lambda: observe(server, client.submit(drive).result), lambda: resident_mib(server.pid)
        )
    memory = Memory.of(task, sum(answer.images for answer in loaded.load.answers), moments, mib)
    target = Target.of(task, "spread of resident memory", [memory.spread], "<=", AT_MOST)
    served = row(task, f"{SIZE} images a request, {IN_FLIGHT[SIZE]} in flight", [loaded])
    return [
        Section.of("memory", ABOUT, [memory], seconds=moments, resident_mib=mib),
        Section.of("memory, the load", "The traffic of that run.", [served]),
        Section.of("memory, target", "Of the same run.", [target]),
    ]


def watched(load: Callable[[], Run], value: Callable[[], float]) -> tuple[Run, list[float], list[float]]:
    """A run, and what ``value`` was meanwhile, with the moments in seconds."""
    start, ended = time.perf_counter(), threading.Event()
    moments: list[float] = []
    values: list[float] = []

    def sample() -> None:
        while not ended.wait(EVERY_S):
            values.append(value())
            moments.append(time.perf_counter() - start)

    thread = threading.Thread(target=sample)
    thread.start()
    try:
        loaded = load()
    finally:
        ended.set()
        thread.join()
    return loaded, moments, values
