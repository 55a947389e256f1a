"""The engine alone against torchvision v2 on the same decoded images, each on one thread of one process."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from augserve_pipelines import Pipeline
from benchmarks.measure import Row, in_turns, rate
from benchmarks.oracle import compose, v2
from benchmarks.photographs import decoded, jpegs
from benchmarks.shipped import shipped

PIPELINES = ("imagenet_train", "simclr")
BATCH = 128


def run(rounds: int, seconds: float) -> list[Row]:
    """Compare both on one core: the process is held to it, so the engine's pool has one thread."""
    cores = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(cores)})
    torch.set_num_threads(1)
    # As a user has them: views of Pillow's memory, the channels of a pixel side by side.
    images = [v2.ToImage()(picture) for picture in decoded(jpegs(BATCH))]
    rows = [row for name in PIPELINES for row in _compare(name, images, rounds, seconds)]
    os.sched_setaffinity(0, cores)
    return rows


def _compare(name: str, images: Sequence[Tensor], rounds: int, seconds: float) -> list[Row]:
    pipeline = Pipeline.load(shipped(name))
    theirs, ours = compose(pipeline), [image.as_subclass(Tensor) for image in images]
    contenders: dict[tuple[str, str], Callable[[], float]] = {
        ("torchvision v2", "1 thread, image by image"): lambda: rate(lambda: _one_by_one(theirs, images), seconds),
        ("augserve_pipelines", f"1 thread, batches of {BATCH}"): lambda: rate(lambda: len(pipeline(ours)), seconds),
        ("augserve_pipelines", "1 thread, batches of 32"): lambda: rate(lambda: _by(32, pipeline, ours), seconds),
        ("augserve_pipelines", "1 thread, image by image"): lambda: rate(lambda: _by(1, pipeline, ours), seconds),
    }
    return in_turns(f"engine, {name}", contenders, rounds)


def _one_by_one(transform: Callable[[Tensor], Tensor], images: Sequence[Tensor]) -> int:
    for image in images:
        transform(image)
    return len(images)


def _by(size: int, pipeline: Pipeline, images: Sequence[Tensor]) -> int:
    for start in range(0, len(images), size):
        pipeline(images[start : start + size])
    return len(images)
