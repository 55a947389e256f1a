"""The engine alone against libraries on the same decoded images, each on one thread of one process."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from augserve_pipelines import Pipeline
from benchmarks.measure import Name, Row, in_turns, rate
from benchmarks.peers import Peer, decoded_peers
from benchmarks.peers import torchvision as reference
from benchmarks.photographs import decoded, jpegs, mixed_jpegs
from benchmarks.results import Section
from benchmarks.shipped import shipped

BATCH = 128
MIXED_BATCH = 64
OURS = "augserve_pipelines"
ABOUT = (
    "Decoded photographs in memory, one thread of one process on one core. Ratios are to torchvision v2, the median "
    "over rounds in which all contenders took turns. augserve_pipelines gives torchvision's bytes; the other libraries "
    "do not give the same pixels, as their rows say, and are there for orientation."
)


def run(rounds: int, seconds: float) -> list[Section]:
    """Compare all on one core: the process is held to it, so the engine's pool has one thread."""
    peers = decoded_peers("torchvision", "albumentations", "opencv", "pillow", "kornia")
    rows: list[Row] = []
    with _one_core():
        photographs = decoded(jpegs(BATCH))
        for name in ("imagenet_train", "simclr", "imagenet_randaugment"):
            contenders = _theirs(name, peers, photographs, seconds) | _ours(name, photographs, seconds, (BATCH, 32, 1))
            rows += in_turns(contenders, rounds).rows(f"{name}, 500 x 375 pixels")
        rows += in_turns(_detection(photographs[:32], seconds), rounds).rows("detection, five boxes, 500 x 375 pixels")
        photographs, name = decoded(mixed_jpegs(MIXED_BATCH)), "imagenet_train"
        contenders = _theirs(name, peers, photographs, seconds) | _ours(name, photographs, seconds, (MIXED_BATCH, 1))
        rows += in_turns(contenders, rounds).rows(f"{name}, 200 to 4,000 pixels")
    return [Section.of("engine", ABOUT, rows)]


def _theirs(
    name: str, peers: Sequence[Peer], photographs: Sequence[Image.Image], seconds: float
) -> dict[Name, Callable[[], float]]:
    contenders: dict[Name, Callable[[], float]] = {}
    for peer in peers:
        if name in peer.recipes:
            images, transform = [peer.take(photograph) for photograph in photographs], peer.recipes[name]
            contenders[peer.name, f"image by image; {peer.remark}"] = _rate_of(transform, images, seconds)
    return contenders


def _rate_of(transform: Callable[[Any], Any], images: Sequence[Any], seconds: float) -> Callable[[], float]:
    def work() -> int:
        for image in images:
            transform(image)
        return len(images)

    return lambda: rate(work, seconds)


def _ours(
    name: str, photographs: Sequence[Image.Image], seconds: float, sizes: Sequence[int]
) -> dict[Name, Callable[[], float]]:
    # As a user has them: views of Pillow's memory, the channels of a pixel side by side.
    images = [reference.v2.ToImage()(photograph).as_subclass(Tensor) for photograph in photographs]
    pipeline = Pipeline.load(shipped(name))
    return {(OURS, _batches(size)): _rate_by(size, pipeline, images, seconds) for size in sizes}


def _batches(size: int) -> str:
    return "image by image" if size == 1 else f"batches of {size}"


def _detection(photographs: Sequence[Image.Image], seconds: float) -> dict[Name, Callable[[], float]]:
    samples = [reference.detection_sample(photograph, seed) for seed, photograph in enumerate(photographs)]
    pipeline = Pipeline.load(shipped("detection"))
    return {
        (reference.NAME, "sample by sample; the reference"): _rate_of(
            reference.composed("detection"), samples, seconds
        ),
        (OURS, f"batches of {len(samples)}"): _rate_by(len(samples), pipeline, samples, seconds),
        (OURS, "sample by sample"): _rate_by(1, pipeline, samples, seconds),
    }


def _rate_by(size: int, pipeline: Pipeline, samples: Sequence[Any], seconds: float) -> Callable[[], float]:
    def work() -> int:
        for start in range(0, len(samples), size):
            pipeline(samples[start : start + size])
        return len(samples)

    return lambda: rate(work, seconds)


@contextmanager
def _one_core() -> Iterator[None]:
    cores, threads = os.sched_getaffinity(0), torch.get_num_threads()
    os.sched_setaffinity(0, {min(cores)})
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
        os.sched_setaffinity(0, cores)
