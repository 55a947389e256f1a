"""``python -m benchmarks.training``: batches for a training loop, from a server and from a DataLoader's workers."""

from __future__ import annotations

import argparse
import shlex
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from augserve import Client
from augserve.torch import AugmentedLoader, Augmenter, Batch
from augserve.wire import Wire
from benchmarks.measure import Name, Target, in_turns
from benchmarks.peers import torchvision as reference
from benchmarks.photographs import jpegs
from benchmarks.results import Results, Section, show
from benchmarks.server import PIPELINE, processes
from benchmarks.serving import serving
from benchmarks.torchvision_v2 import v2

Pairs = Sequence[tuple[Path, int]]

FILES, EPOCH = 256, 1 << 16
BATCH, WORKERS, PREFETCH = 64, 2, 4
AT_LEAST = 1.0

BASELINE: Name = ("Pillow + torchvision v2", f"DataLoader, {WORKERS} workers, batches of {BATCH}")
OURS: Name = ("augserve serve", f"AugmentedLoader, batches of {BATCH}, {PREFETCH} ahead, uint8 wire")
WIDE: Name = ("augserve serve", f"AugmentedLoader, batches of {BATCH}, {PREFETCH} ahead, float32 wire")

ABOUT = (
    "JPEG files of 500 x 375 pixels on disk, imagenet_train, shuffled; float32 batches and their labels arrive in the "
    "process that would train, which does nothing with them. The server runs beside it on the same machine, and both "
    "share its cores as the DataLoader's workers do. A round begins once the first batch is there. Ratios are to the "
    "DataLoader: the median over rounds in which all took turns."
)


def run(rounds: int, seconds: float) -> list[Section]:
    """Compare the loaders, each in a process of its own."""
    with TemporaryDirectory() as folder, serving() as server, processes(1) as trainer, processes(1) as other:
        pairs = stored(Path(folder))
        ask = partial(submitted, trainer, seconds)
        measured = in_turns(
            {
                BASELINE: partial(submitted, other, seconds, workers, pairs),
                OURS: partial(ask, served, server.url, pairs, "uint8"),
                WIDE: partial(ask, served, server.url, pairs, None),
            },
            rounds,
        )
    target = Target.of(PIPELINE, "AugmentedLoader over DataLoader", measured.ratios(OURS, BASELINE), ">=", AT_LEAST)
    return [
        Section.of("training", ABOUT, measured.rows(PIPELINE)),
        Section.of("training targets", "Medians over the rounds of the same run.", [target]),
    ]


def stored(folder: Path) -> list[tuple[Path, int]]:
    """An epoch of photographs, each many times."""
    paths = [folder / f"{i}.jpg" for i in range(FILES)]
    for path, file in zip(paths, jpegs(FILES), strict=True):
        path.write_bytes(file)
    return [(paths[i % FILES], i % 10) for i in range(EPOCH)]


def submitted(
    process: ProcessPoolExecutor, seconds: float, batches: Callable[..., Iterator[Batch]], *arguments: object
) -> float:
    """Images a second of batches that are made in another process."""
    return process.submit(rate, batches, arguments, seconds).result()


def rate(batches: Callable[..., Iterator[Batch]], arguments: Sequence[object], seconds: float) -> float:
    """Images a second, from when the first batch is there."""
    made, done = batches(*arguments), 0
    next(made)
    start = time.perf_counter()
    while (passed := time.perf_counter() - start) < seconds:
        images, labels = next(made)
        assert (images.dtype, len(images)) == (torch.float32, len(labels))
        done += len(images)
    del made  # its workers or requests end here
    return done / passed


def served(url: str, pairs: Pairs, wire: Wire | None) -> Iterator[Batch]:
    """Our batches."""
    with Client(url) as client:
        augmenter = Augmenter(client, PIPELINE, wire=wire)
        yield from AugmentedLoader(pairs, augmenter, batch_size=BATCH, shuffle=True, prefetch=PREFETCH)


def workers(pairs: Pairs) -> Iterator[Batch]:
    """A DataLoader's."""
    yield from DataLoader(Photographs(pairs), BATCH, shuffle=True, num_workers=WORKERS, multiprocessing_context="fork")


class Photographs(Dataset[tuple[Tensor, int]]):
    """Decoded by Pillow and transformed by torchvision, as its tutorials have it."""

    def __init__(self, pairs: Pairs) -> None:
        self._pairs = pairs
        self._to_image = v2.ToImage()

    def __len__(self) -> int:
        return len(self._pairs)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        path, label = self._pairs[index]
        with Image.open(path) as picture:
            image: Tensor = reference.composed(PIPELINE)(self._to_image(picture.convert("RGB")))
        return image, label


def main(arguments: Sequence[str]) -> None:
    """Measure, show and save."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.training", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, help="rounds; in each, every loader runs")
    parser.add_argument("--seconds", type=float, default=5.0, help="how long a loader runs in a round")
    parser.add_argument("--json", type=Path, default=Path("out/training.json"), help="where to save the results")
    options = parser.parse_args(arguments)
    sections = run(options.rounds, options.seconds)
    for section in sections:
        show(section)
    results = Results.here(shlex.join(["python", "-m", "benchmarks.training", *arguments]), sections)
    results.save(options.json)
    print(f"\n{results.machine}\nsaved as {options.json}")


if __name__ == "__main__":
    main(sys.argv[1:])
