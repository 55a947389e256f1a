"""Images of mixed sizes against images of one size: how full the server's batches are."""

from __future__ import annotations

from concurrent.futures import ProcessPoolExecutor
from functools import partial

from benchmarks import machine, traffic
from benchmarks.measure import Target
from benchmarks.photographs import mean_pixels, mixed_jpegs, uniform_jpegs
from benchmarks.results import Section
from benchmarks.served import Run, Served, observe, row
from benchmarks.server import IN_FLIGHT, PIPELINE, WIRES, processes
from benchmarks.serving import Running, serving

FILES = 128
AT_LEAST = 0.8

ABOUT = (
    "JPEG files whose longer sides are 200 to 4,000 pixels against as many of one size with the same mean number of "
    "pixels, in a closed loop by plain sockets, in turns. What counts is the mean batch: sizes are not to split it."
)


def run(rounds: int, seconds: float) -> list[Section]:
    """Send both kinds in turns, as single images and 32 a request."""
    task = f"{PIPELINE}, {machine.cores()} cores, float16"
    rows, targets = list[Served](), list[Target]()
    mixed = mixed_jpegs(FILES)
    kinds = {"mixed sizes": mixed, "one size": uniform_jpegs(FILES, mean_pixels(mixed))}
    with serving() as server, processes(1) as client:
        for size, images in ((1, "single images"), (32, "32 images a request")):
            runs = _in_turns(server, client, kinds, size, rounds, seconds)
            rows += [row(task, f"{images}, {kind}", runs[kind]) for kind in kinds]
            ratios = [a.mean_batch / b.mean_batch for a, b in zip(*runs.values(), strict=True)]
            what = f"mean batch of mixed sizes over that of one size, {images}"
            targets.append(Target.of(task, what, ratios, ">=", AT_LEAST))
    return [Section.of("mixed sizes", ABOUT, rows), Section.of("mixed sizes, targets", "Of the same runs.", targets)]


def _in_turns(
    server: Running,
    client: ProcessPoolExecutor,
    kinds: dict[str, list[bytes]],
    size: int,
    rounds: int,
    seconds: float,
) -> dict[str, list[Run]]:
    """The runs of each kind but for a first one each, to warm up."""
    runs: dict[str, list[Run]] = {kind: [] for kind in kinds}
    requests = {
        kind: traffic.recorded(server.url, PIPELINE, files, size, WIRES["float16"]) for kind, files in kinds.items()
    }
    for _ in range(rounds + 1):
        for kind, found in runs.items():
            drive = partial(traffic.closed, server.url, requests[kind], IN_FLIGHT[size], seconds)
            found.append(observe(server, client.submit(drive).result))
    return {kind: found[1:] for kind, found in runs.items()}
