"""Fuse the ops of a chain where no byte changes: a pure function over ops."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from augserve_pipelines.frames import Frames
from augserve_pipelines.kernels.resample import Parity
from augserve_pipelines.ops import Chain, Op, Select
from augserve_pipelines.transforms.conversion import CastTo
from augserve_pipelines.transforms.crop import Crop
from augserve_pipelines.transforms.flip import FlipX
from augserve_pipelines.transforms.normalize import Finish, Standardize
from augserve_pipelines.transforms.resample import Resample
from augserve_pipelines.transforms.resize_to import ResizeTo


@dataclass(frozen=True, slots=True)
class Plan:
    """What to run: the ops in order after fusion, and what goes in and comes out."""

    ops: tuple[Op, ...]
    inputs: Frames
    outputs: Frames


def plan(op: Op, frames: Frames) -> Plan:
    """Flatten what was drawn, and merge neighbours."""
    return Plan(tuple(fuse(list(flat(op)), frames)), frames, op.frames(frames))


def flat(op: Op) -> Iterator[Op]:
    """The ops of nested chains in order; a select of all or of no samples vanishes."""
    match op:
        case Chain(ops):
            for step in ops:
                yield from flat(step)
        case Select(rows, inner) if rows.all():
            yield from flat(inner)
        case Select(rows, _) if not rows.any():
            return
        case Select(rows, Chain(ops)):
            for step in ops:
                yield from flat(Select(rows, step))
        case Select(rows, inner) if (parts := inner.parts()) is not None:
            yield from flat(Select(rows, parts))
        case _ if (parts := op.parts()) is not None:
            yield from flat(parts)
        case _:
            yield op


def with_parity(op: Op, parity: Parity) -> Op:
    """The op with the resizes in it told whose bytes to give."""
    match op:
        case Chain(ops):
            return Chain(tuple(with_parity(step, parity) for step in ops))
        case Select(rows, inner):
            return Select(rows, with_parity(inner, parity))
        case _:
            return op.with_parity(parity)


def fuse(ops: list[Op], frames: Frames) -> list[Op]:
    """Merge each op into the one before it where a rule allows."""
    fused: list[Op] = []
    before = [frames]  # what goes into each op of `fused`
    for op in ops:
        while fused and (both := merge(fused[-1], op, before[len(fused) - 1])) is not None:
            fused.pop()
            before = before[: len(fused) + 1]
            op = both
        fused.append(op)
        before.append(op.frames(before[-1]))
    return fused


def merge(first: Op, second: Op, frames: Frames) -> Op | None:
    """One op that gives the bytes of both, or None where there is no such op. ``frames`` go into the first."""
    match first, second:
        case Crop(), ResizeTo() if _inside(first, frames):
            return _resample(np.stack([first.top, first.left, first.height, first.width], 1), second)
        case ResizeTo(), Crop() | FlipX() | Select(_, FlipX()) | Finish():
            zeros = np.zeros_like(frames.heights)
            whole = _resample(np.stack([zeros, zeros, frames.heights, frames.widths], 1), first)
            return merge(whole, second, frames)
        case Resample(tail=None), Crop() if not first.flip.any() and _inside(second, first.frames(frames)):
            target = first.target + np.stack([second.top, second.left, *_none(second)], 1)
            target[:, 2], target[:, 3] = second.height, second.width
            return replace(first, target=target)
        case Resample(tail=None), FlipX():
            return replace(first, flip=~first.flip)
        case Resample(tail=None), Select(rows, FlipX()):
            return replace(first, flip=first.flip ^ rows)
        case Resample(tail=None), Finish():
            return replace(first, tail=second)
        case CastTo(), Standardize() if first.scale and first.dtype.is_floating_point and _integers(frames):
            return Finish(first, second, first.dtype)
        case Finish(), CastTo(scale=False) if first.dtype == first.cast.dtype and second.dtype.is_floating_point:
            return replace(first, dtype=second.dtype)
        case Resample(tail=Finish() as tail), CastTo():
            cast = merge(tail, second, frames)
            return replace(first, tail=cast) if isinstance(cast, Finish) else None
    return None


def _resample(source: np.ndarray[tuple[int, int], np.dtype[np.int64]], resize: ResizeTo) -> Resample:
    zeros = np.zeros_like(resize.height)
    return Resample(
        source=source,
        size=np.stack([resize.height, resize.width], 1),
        target=np.stack([zeros, zeros, resize.height, resize.width], 1),
        flip=np.zeros(len(zeros), bool),
        interpolation=resize.interpolation,
        antialias=bool(resize.antialias),
        parity=resize.parity,
    )


def _none(crop: Crop) -> tuple[np.ndarray[tuple[int], np.dtype[np.int64]], ...]:
    return np.zeros_like(crop.top), np.zeros_like(crop.top)


def _inside(crop: Crop, frames: Frames) -> bool:
    """Whether the windows stay within the images."""
    down = (crop.top >= 0) & (crop.top + crop.height <= frames.heights)
    across = (crop.left >= 0) & (crop.left + crop.width <= frames.widths)
    return bool((down & across).all())


def _integers(frames: Frames) -> bool:
    return not any(dtype.is_floating_point for dtype in frames.dtypes)
