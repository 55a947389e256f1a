"""The server on CUDA over HTTP, and DALI with its decoder on the same GPU in-process."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

from benchmarks import machine, peers
from benchmarks.measure import Name, in_turns
from benchmarks.peers import torchvision as reference
from benchmarks.photographs import jpegs
from benchmarks.results import Section
from benchmarks.server import BUSY_ABOUT, FILES, PIPELINE, Watched, processes
from benchmarks.serving import serving

SIZE = 64

ABOUT = (
    "JPEG files of 500 x 375 pixels in memory, imagenet_train: 64 images a request over HTTP, results in the client's "
    "memory. Ratios are to worker processes with Pillow and torchvision v2 on the CPU. DALI decodes on the GPU "
    "in-process, leaves its results there, and its pixels are not torchvision's."
)


def run(rounds: int, seconds: float) -> list[Section]:
    """Measure both in turns."""
    cores, files = machine.cores(), jpegs(FILES)
    with (
        serving("cuda") as server,
        processes(cores, partial(reference.prepare, PIPELINE)) as workers,
        processes(1) as dali,
        processes(1) as client,
    ):
        watched = Watched(server, client, files, seconds)
        contenders: dict[Name, Callable[[], float]] = {
            ("Pillow + torchvision v2", f"{cores} worker processes, kept there"): lambda: sum(
                workers.map(partial(reference.worker_rate, PIPELINE), [files] * cores, [seconds] * cores)
            )
        }
        if peers.load("dali") is not None:
            contenders["DALI, GPU, in-process", f"batches of {SIZE}; not the same pixels"] = lambda: dali.submit(
                _dali, files, cores, seconds
            ).result()
        measured = in_turns(contenders | watched.contenders((SIZE,)), rounds)
    task = f"{PIPELINE}, {cores} cores"
    return [
        Section.of("server on CUDA", ABOUT, measured.rows(task)),
        Section.of("server on CUDA, how busy", BUSY_ABOUT, watched.rows(task)),
    ]


def _dali(files: Sequence[bytes], threads: int, seconds: float) -> float:
    from benchmarks.peers import dali

    return dali.cuda_rate(files, threads, seconds, SIZE)
