"""Tell what a pipeline does to a batch: its operations, what fused into what, launches and bytes moved."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from augserve_pipelines.errors import InvalidInput
from augserve_pipelines.frames import Frames, IntArray
from augserve_pipelines.ops import BoolArray, Chain, Op, Select
from augserve_pipelines.pipeline import OutputSignature, Pipeline
from augserve_pipelines.plan import between, flat, fuse
from augserve_pipelines.probing import FRAMES, alternatives
from augserve_pipelines.transforms.base import is_batched
from augserve_pipelines.transforms.crop import Crop
from augserve_pipelines.transforms.programs import ColorProgram
from augserve_pipelines.transforms.resample import Resample
from augserve_pipelines.transforms.temporal import TemporalSubsample

__all__ = ["Cost", "Explanation", "Origin", "Step", "explain"]

SIZE = (375, 500)  # of a usual photograph of ImageNet
COUNT = 64


@dataclass(frozen=True, slots=True)
class Cost:
    """What operations take: launches for the batch, about; bytes read and written, for an image of it on average."""

    launches: int
    bytes_read: int
    bytes_written: int

    @property
    def bytes(self) -> int:
        """Bytes moved for an image, both ways."""
        return self.bytes_read + self.bytes_written


@dataclass(frozen=True, slots=True)
class Origin:
    """An operation as it was drawn, and on how many samples of the batch it acts."""

    name: str
    samples: int


@dataclass(frozen=True, slots=True)
class Step:
    """An operation as it runs: on how many samples, in place of which operations, and at what cost."""

    name: str
    samples: int
    origins: tuple[Origin, ...]
    cost: Cost


@dataclass(frozen=True, slots=True)
class Explanation:
    """What runs for one batch of images of one size, drawn under seeds in a row."""

    inputs: str
    """What these are: images, images with boxes, videos."""
    height: int
    width: int
    count: int
    seed: int
    drawn: int
    """How many operations were drawn, before any fused."""
    steps: tuple[Step, ...]
    together: tuple[str, ...]
    """The transforms that act on the whole batch then, and those after them; their cost is not told."""
    fused: Cost
    unfused: Cost
    """What the operations would cost as they were drawn, one by one."""
    output: OutputSignature


def explain(pipeline: Pipeline, size: tuple[int, int] = SIZE, count: int = COUNT, seed: int = 0) -> Explanation:
    """Draw for a batch of images that nobody has taken, and tell what would run.

    Launches are those on CUDA, as each operation tells them; images come in as they are decoded. A pipeline that
    refuses images is explained for videos, or with rotated boxes, whichever it takes.

    Args:
        pipeline: what to explain.
        size: height and width of the images in pixels.
        count: how many images the batch has, at least 1.
        seed: of the first image; the next has ``seed + 1``.

    Raises:
        InvalidInput: the pipeline takes nothing of this size; says why it refuses an image.
        ValueError: a side or ``count`` is less than 1, or a seed is none.
    """
    if min(*size, count) < 1 or not 0 <= seed <= (1 << 64) - count:
        raise ValueError(
            f"size is {size[0]} x {size[1]}, count {count}, seed {seed}; sides and count are at least 1, "
            "and the seeds from the first to the last 0 to 2**64 - 1"
        )
    frames, op = _taken(pipeline, size, range(seed, seed + count))
    drawn = list(flat(op))
    fused = fuse(drawn, between(drawn, frames))
    origins = [tuple(Origin(name_of(drawn[i]), _acts_on(drawn[i], count)) for i in one.origins) for one in fused]
    costs = list(_costs([one.op for one in fused], frames))
    steps = [
        Step(name_of(one.op), _acts_on(one.op, count), own, cost)
        for one, own, cost in zip(fused, origins, costs, strict=True)
    ]
    together = tuple(type(step).__name__ for step in pipeline.transforms[_alone(pipeline) :])
    totals = _total(costs), _total(list(_costs(drawn, frames)))
    output = _signature(pipeline, op.frames(frames))
    return Explanation(_described(frames), *size, count, seed, len(drawn), tuple(steps), together, *totals, output)


def name_of(op: Op) -> str:
    """What to call an op: that of the samples selected, and those of a chain with a plus."""
    match op:
        case Select(_, inner):
            return name_of(inner)
        case Chain(ops):
            return " + ".join(map(name_of, ops))
        case _:
            return type(op).__name__


def _taken(pipeline: Pipeline, size: tuple[int, int], seeds: Sequence[int]) -> tuple[Frames, Op]:
    """What of this size the pipeline takes, and what it draws for that."""
    refusals = []
    for frames in alternatives(pipeline.transforms, pipeline.input.channels, [size], len(seeds)):
        try:
            return frames, pipeline.sketch(frames, seeds)
        except InvalidInput as refusal:
            refusals.append(refusal)
    raise refusals[0]


def _signature(pipeline: Pipeline, outputs: Frames) -> OutputSignature:
    try:
        return pipeline.signature()
    except InvalidInput:  # of photographs of other sizes
        return OutputSignature.of(outputs)


def _costs(ops: Sequence[Op], frames: Frames) -> Iterator[Cost]:
    for index, op in enumerate(ops):
        read, written = moved(op, frames)
        yield Cost(op.launches(frames, alone=index == 0), round(read / len(frames)), round(written / len(frames)))
        frames = op.frames(frames)


def moved(op: Op, frames: Frames) -> tuple[int, int]:
    """Bytes that an op reads and writes: of the samples that it acts on, and of them what it looks at."""
    match op:
        case Select(rows, inner):
            return moved(inner, frames[rows])
        case ColorProgram():
            window = frames[op.active()]
            return _bytes(window), _bytes(window)
        case Chain(ops):
            steps = []
            for step in ops:
                steps.append(moved(step, frames))
                frames = step.frames(frames)
            return sum(read for read, _ in steps), sum(written for _, written in steps)
        case Resample():
            window = frames.resized(op.source[:, 2], op.source[:, 3])
        case Crop():
            shown = _overlap(op.top, op.height, frames.heights), _overlap(op.left, op.width, frames.widths)
            window = frames.resized(*shown)
        case TemporalSubsample():
            window = op.frames(frames)
        case _:
            window = frames
    return _bytes(window), _bytes(op.frames(frames))


def _overlap(start: IntArray, length: IntArray, side: IntArray) -> IntArray:
    """How much of each side a window shows."""
    shown: IntArray = np.clip(start + length, 0, side) - np.clip(start, 0, side)
    return shown


def _bytes(frames: Frames) -> int:
    return sum(math.prod(frames.shape(row)) * dtype.itemsize for row, dtype in enumerate(frames.dtypes) if dtype)


def _total(costs: Sequence[Cost]) -> Cost:
    return Cost(
        sum(cost.launches for cost in costs),
        sum(cost.bytes_read for cost in costs),
        sum(cost.bytes_written for cost in costs),
    )


def _acts_on(op: Op, count: int) -> int:
    return int(_rows(op, count).sum())


def _rows(op: Op, count: int) -> BoolArray:
    match op:
        case Select():
            return op.rows
        case ColorProgram():
            return op.active()
        case Chain(ops):
            rows: BoolArray = np.any([_rows(step, count) for step in ops], axis=0)
            return rows
        case _:
            return np.ones(count, bool)


def _alone(pipeline: Pipeline) -> int:
    """How many transforms come before the first that acts on a whole batch."""
    return next((i for i, step in enumerate(pipeline.transforms) if is_batched(step)), len(pipeline.transforms))


def _described(frames: Frames) -> str:
    if frames.videos is not None and frames.videos.any():
        return f"videos of {FRAMES} frames"
    return "images" if frames.samples is None else "images with boxes"
