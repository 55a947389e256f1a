"""Draw for photographs that nobody has taken: to know what a pipeline gives, and whether it can run at all."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace
from typing import TypeAlias

import numpy as np
import torch
from torch import Tensor

from augserve_pipelines.errors import InvalidInput, WrongSize
from augserve_pipelines.frames import Frames
from augserve_pipelines.lanes import Lanes
from augserve_pipelines.ops import after
from augserve_pipelines.samples import Pending, Sample, frames_of
from augserve_pipelines.transforms.base import Transform, is_batched
from augserve_pipelines.transforms.containers import RandomChoice, RandomOrder
from augserve_pipelines.tv_tensors import BoundingBoxes, Image, KeyPoints, Mask

__all__ = ["SIZES", "TARGETS", "alternatives", "as_videos", "impossible", "probe", "probe_batches", "with_targets"]

SIZES = ((480, 640), (640, 480), (333, 333), (1200, 1601))  # that photographs may have
FAR_SIZES = ((64, 64), *SIZES, (20_000, 30_000))
BATCH = 2
FRAMES = 32
WRONG_SIZE = "wrong size"
TARGETS = ("boxes", "masks", "keypoints", "labels")

Size: TypeAlias = tuple[int, int]


def probe(
    transforms: Sequence[Transform],
    channels: int,
    sizes: Sequence[Size] = SIZES,
    seeds: int = 1,
    *,
    rotated: bool = False,
) -> Frames:
    """Frames of uint8 images of these sizes, ``seeds`` times; with targets where some transform needs them.

    ``rotated``: whether the boxes among these are.
    """
    own = frames_of([_sample(channels, size, rotated) for size in sizes])
    if not any(_needs(transform) for transform in transforms):
        own = replace(own, samples=None)
    return own[np.tile(np.arange(len(own)), seeds)]


def alternatives(
    transforms: Sequence[Transform], channels: int, sizes: Sequence[Size] = SIZES, seeds: int = 1
) -> list[Frames]:
    """Photographs, then what may come in where they are refused: videos, and images with rotated boxes."""
    images = probe(transforms, channels, sizes, seeds)
    rotated = [probe(transforms, channels, sizes, seeds, rotated=True)] if images.samples is not None else []
    return [images, as_videos(images), *rotated]


def with_targets(names: Collection[str], channels: int) -> list[Frames]:
    """Photographs, videos, and photographs with rotated boxes, each with targets of these names alone."""
    images, rotated = (frames_of([_sample(channels, SIZES[0], rotated, names)]) for rotated in (False, True))
    return [images, as_videos(images), rotated]


def as_videos(frames: Frames) -> Frames:
    """Each image as a video of such images."""
    return replace(frames.led(FRAMES), videos=np.ones(len(frames), bool))


def probe_batches(frames: Frames, labels: Tensor | None = None) -> Frames:
    """Each sample as a batch of such samples, collated with labels: class numbers, if there are no others."""
    own = torch.zeros(BATCH, dtype=torch.int64) if labels is None else labels
    batch = Sample.of((Image(torch.zeros(BATCH, 1, 1, 1)), own)).with_leaves({0: Pending(Image)})
    return replace(frames.led(BATCH), samples=np.fromiter((batch for _ in range(len(frames))), object, len(frames)))


def impossible(transforms: Sequence[Transform], channels: int) -> Iterator[tuple[str, str]]:
    """The place and the reason of every step that can run on no photograph, such as ``Normalize`` on integers."""
    inputs = alternatives(transforms, channels, FAR_SIZES)
    yield from _impossible(transforms, inputs, "transforms", batches=False)


def _impossible(
    transforms: Sequence[Transform], inputs: list[Frames], place: str, *, batches: bool
) -> Iterator[tuple[str, str]]:
    """``inputs`` are what may come in: images, videos, rotated boxes. ``batches``: whether these are collated."""
    for index, transform in enumerate(transforms):
        own = f"{place}[{index}].{type(transform).__name__}"
        if is_batched(transform) and not batches:
            inputs, batches = (
                [probe_batches(frames, one) for frames in inputs for one in (None, torch.eye(BATCH))],
                True,
            )
        inner = list(_inside(transform, inputs, f"{own}.transforms", batches))
        yield from inner
        if inner:
            return
        drawn = [_drawn(transform, frames) for frames in inputs]
        if WRONG_SIZE in drawn:
            return
        reasons = [one for one in drawn if isinstance(one, str)]
        if len(reasons) == len(drawn):
            yield own, reasons[0]
            return
        inputs = [one for one in drawn if not isinstance(one, str)]


def _inside(transform: Transform, inputs: list[Frames], place: str, batches: bool) -> Iterator[tuple[str, str]]:
    steps = transform.steps()
    if isinstance(transform, RandomChoice | RandomOrder):
        for index, step in enumerate(steps):
            for own, reason in _impossible([step], inputs, place, batches=batches):
                yield own.replace(f"{place}[0]", f"{place}[{index}]", 1), reason
    elif steps:
        yield from _impossible(steps, inputs, place, batches=batches)


def _needs(transform: Transform) -> bool:
    return bool(transform.needs) or any(_needs(step) for step in transform.steps())


def _drawn(transform: Transform, frames: Frames) -> Frames | str:
    """The frames of those samples that the transform takes; the reason where it takes none.

    Where it is their size, none of these is the size that the transform is for, and nobody knows what comes after it.
    """
    try:
        return _after(transform, frames)
    except InvalidInput:
        taken, reason = [], ""
    for row in range(len(frames)):
        try:
            taken.append(_after(transform, frames[row : row + 1]))
        except WrongSize:
            reason = WRONG_SIZE
        except InvalidInput as error:
            reason = str(error)
    return taken[0] if taken else reason


def _after(transform: Transform, frames: Frames) -> Frames:
    return after(transform.draw(Lanes(range(len(frames)), probing=True), frames), frames)


def _sample(channels: int, size: Size, rotated: bool, targets: Collection[str] = TARGETS) -> Sample:
    height, width = size
    box = [0.25 * width, 0.25 * height, 0.75 * width, 0.75 * height]
    if rotated:
        box = [0.5 * width, 0.5 * height, 0.5 * width, 0.5 * height, 0.0]
    parts = {
        "image": Image(torch.empty(1, dtype=torch.uint8).expand(channels, height, width)),
        "boxes": BoundingBoxes(torch.tensor([box]), format="CXCYWHR" if rotated else "XYXY", canvas_size=size),
        "masks": Mask(torch.empty(1, dtype=torch.uint8).expand(1, height, width)),
        "keypoints": KeyPoints(torch.tensor([[width / 2, height / 2]]), canvas_size=size),
        "labels": torch.zeros(1, dtype=torch.int64),
    }
    return Sample.of({name: part for name, part in parts.items() if name in ("image", *targets)})
