"""The server on CUDA over HTTP, and DALI with its decoder on the same GPU in-process."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks import machine, peers
from benchmarks.measure import Name, in_turns
from benchmarks.peers import torchvision as reference
from benchmarks.photographs import jpegs
from benchmarks.results import Section
from benchmarks.server import BUSY_ABOUT, FILES, OURS, PIPELINE, SOCKETS, WORKERS, Watched, processes
from benchmarks.serving import serving
from benchmarks.shipped import shipped

SIZE = 64
CLIENTS = 4
"""Processes that ask: one is busy with the bytes of its answers alone."""
SEVERAL = 4
FAST = f"{PIPELINE}_fast"

ABOUT = (
    "JPEG files of 500 x 375 pixels in memory, imagenet_train: 64 images a request over HTTP from four client "
    "processes on the same machine, by plain sockets. Exact: libjpeg-turbo on the cores, torchvision's bytes. "
    "Fast: the pipeline allows decode.jpeg: fast, and nvImageCodec decodes on the GPU. Ratios are to worker processes "
    "with Pillow and torchvision v2 on the CPU. DALI decodes on the GPU in-process, leaves its results there, and its "
    "pixels are not torchvision's."
)


def run(rounds: int, seconds: float) -> list[Section]:
    """Measure all in turns: one process and several, exact and fast."""
    cores, files = machine.cores(), jpegs(FILES)
    with (
        _pipelines() as folder,
        serving("cuda", pipelines=folder) as one,
        serving("cuda", SEVERAL, pipelines=folder) as several,
        processes(cores, partial(reference.prepare, PIPELINE)) as workers,
        processes(1) as dali,
        processes(CLIENTS) as clients,
    ):
        watched = [
            Watched(server, clients, files, seconds, f"{name}, {decode}", pipeline=pipeline, clients=CLIENTS)
            for server, name in ((one, OURS), (several, f"{WORKERS} {SEVERAL}"))
            for decode, pipeline in (("exact", PIPELINE), ("fast", FAST))
        ]
        contenders: dict[Name, Callable[[], float]] = {
            ("Pillow + torchvision v2", f"{cores} worker processes, kept there"): lambda: sum(
                workers.map(partial(reference.worker_rate, PIPELINE), [files] * cores, [seconds] * cores)
            )
        }
        if peers.load("dali") is not None:
            contenders["DALI, GPU, in-process", f"batches of {SIZE}; not the same pixels"] = lambda: dali.submit(
                _dali, files, cores, seconds
            ).result()
        for each in watched:
            contenders |= each.contenders((SIZE,), (SOCKETS,))
        measured = in_turns(contenders, rounds)
    task = f"{PIPELINE}, {cores} cores"
    return [
        Section.of("server on CUDA", ABOUT, measured.rows(task)),
        Section.of("server on CUDA, how busy", BUSY_ABOUT, [row for each in watched for row in each.rows(task)]),
    ]


@contextmanager
def _pipelines() -> Iterator[Path]:
    """A folder of the shipped pipeline, and of one that lets its images be decoded fast."""
    with TemporaryDirectory() as name:
        folder, text = Path(name), shipped(PIPELINE).read_text()
        (folder / f"{PIPELINE}.yaml").write_text(text)
        (folder / f"{FAST}.yaml").write_text(f"{text}decode: {{jpeg: fast}}\n")
        yield folder


def _dali(files: Sequence[bytes], threads: int, seconds: float) -> float:
    from benchmarks.peers import dali

    return dali.cuda_rate(files, threads, seconds, SIZE)
