"""Fuse the ops of a chain where no byte changes: a pure function over ops."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np

from augserve_pipelines.frames import Frames
from augserve_pipelines.kernels.resample import Parity
from augserve_pipelines.ops import BoolArray, Chain, Fused, Op, Select
from augserve_pipelines.transforms.affine import AffineMap
from augserve_pipelines.transforms.affine_warp import AffineWarp, warped_together
from augserve_pipelines.transforms.conversion import CastTo
from augserve_pipelines.transforms.crop import Crop
from augserve_pipelines.transforms.flip import FlipX
from augserve_pipelines.transforms.normalize import Finish, Standardize
from augserve_pipelines.transforms.pad_edges import PadEdges
from augserve_pipelines.transforms.programs import ColorProgram, moved_up, programmed
from augserve_pipelines.transforms.resample import Resample, windows_of
from augserve_pipelines.transforms.resize_to import ResizeTo
from augserve_pipelines.transforms.rotation import Rotate
from augserve_pipelines.transforms.tables import Tabled, tabled

Moved = TypeVar("Moved", PadEdges, Crop)


@dataclass(frozen=True, slots=True)
class Plan:
    """What to run: the ops in order after fusion, and what goes in and comes out."""

    ops: tuple[Op, ...]
    inputs: Frames
    outputs: Frames


def plan(op: Op, frames: Frames) -> Plan:
    """Flatten what was drawn, and merge neighbours."""
    drawn = list(flat(op))
    stages = between(drawn, frames)
    return Plan(tuple(fused.op for fused in fuse(drawn, stages)), frames, stages[-1])


def between(ops: Sequence[Op], frames: Frames) -> list[Frames]:
    """What goes into each op, and what comes out of the last one."""
    stages = [frames]
    for op in ops:
        stages.append(op.frames(stages[-1]))
    return stages


def flat(op: Op) -> Iterator[Op]:
    """The ops of nested chains in order; a select of all or of no samples vanishes."""
    match op:
        case Chain(ops):
            for step in ops:
                yield from flat(step)
        case Select(rows, inner):
            count = np.count_nonzero(rows)
            if count == len(rows):
                yield from flat(inner)
            elif count:
                yield from _flat_select(op, rows, inner)
        case _ if (parts := op.parts()) is not None:
            yield from flat(parts)
        case _:
            yield op


def _flat_select(op: Select, rows: BoolArray, inner: Op) -> Iterator[Op]:
    """``flat`` of a select of some samples."""
    match inner:
        case Chain(ops):
            for step in ops:
                yield from flat(Select(rows, step))
        case Select(own, innermost):
            both = rows.copy()
            both[rows] = own
            yield from flat(Select(both, innermost))
        case _ if (parts := inner.parts()) is not None:
            yield from flat(Select(rows, parts))
        case _:
            yield op


def with_parity(op: Op, parity: Parity) -> Op:
    """The op with the resizes in it told whose bytes to give: torchvision's, as they are drawn, or others'."""
    if parity == "torchvision":
        return op
    match op:
        case Chain(ops):
            return Chain(tuple(with_parity(step, parity) for step in ops))
        case Select(rows, inner):
            return Select(rows, with_parity(inner, parity))
        case _:
            return op.with_parity(parity)


def fuse(ops: Sequence[Op], stages: Sequence[Frames]) -> list[Fused]:
    """Merge each op into the one before it where a rule allows; ``stages`` are the frames before each op."""
    fused: list[Fused] = []
    for index, op in enumerate(ops):
        origins: tuple[int, ...] = (index,)
        op = programmed(op, stages[index])
        while fused and (both := merge(fused[-1].op, op, stages[fused[-1].origins[0]])) is not None:
            origins = fused.pop().origins + origins
            op = both
        fused.append(Fused(op, origins))
    return moved_up(fused)


def merge(first: Op, second: Op, frames: Frames) -> Op | None:
    """One op that gives the bytes of both, or None where there is no such op. ``frames`` go into the first."""
    match first, second:
        case PadEdges() | Select(_, PadEdges()), Crop() | Select(_, Crop()):
            return _cropped_first(first, second, frames)
        case Crop(), ResizeTo() if _inside(first, frames):
            return second.resample(np.array([first.top, first.left, first.height, first.width]).T)
        case ResizeTo(), _:
            return merge(first.resample(windows_of(frames.heights, frames.widths)), second, frames)
        case Resample(), Crop() if not first.flip.any() and _inside(second, first.frames(frames)):
            target = first.target + np.stack([second.top, second.left, *_none(second)], 1)
            target[:, 2], target[:, 3] = second.height, second.width
            return replace(first, target=target)
        case Resample(), FlipX():
            return first.mirrored(np.ones(len(first.flip), bool))
        case Resample(), Select(rows, FlipX()):
            return first.mirrored(rows)
        case Resample(tail=None), Finish():
            return first.then(second)
        case Select(_, AffineMap() | Rotate() | AffineWarp()), Select(_, AffineMap() | Rotate()):
            return warped_together(first, second, frames)
        case CastTo(), Standardize() if first.scale and first.dtype.is_floating_point and _integers(frames):
            return Finish(first, second, first.dtype)
        case Finish(), CastTo(scale=False) if first.dtype == first.cast.dtype and second.dtype.is_floating_point:
            return replace(first, dtype=second.dtype)
        case Resample(tail=Finish() as tail), CastTo():
            cast = merge(tail, second, frames)
            return first.then(cast) if isinstance(cast, Finish | Tabled) else None
        case ColorProgram(), ColorProgram():
            return first.then(second)
        case Resample(), _ if (values := tabled(first.tail, second, frames)) is not None:
            return first.then(values)
        case _, CastTo() | Standardize() | Finish() | Tabled():
            return tabled(first, second, frames)
    return None


def _cropped_first(first: Op, second: Op, frames: Frames) -> Op | None:
    """The part of each image that a window of the padded one shows, padded by what the window shows of the padding.

    RandomZoomOut makes up to sixteen times the pixels, of which RandomIoUCrop then takes a few.
    """
    padded, pad = _for_rows(first, PadEdges, frames)
    cropped, crop = _for_rows(second, Crop, frames)
    both = padded & cropped
    sides = np.stack([pad.top, pad.left, pad.bottom, pad.right], 1)  # [padded, 4]
    own_pad, own_crop = both[padded], both[cropped]
    if pad.padding_mode != "constant" or not both.any() or (sides < 0).any():
        return None
    sizes = np.stack([frames.heights, frames.widths], 1)[both]
    start = np.stack([crop.top, crop.left], 1)[own_crop]
    end = start + np.stack([crop.height, crop.width], 1)[own_crop]
    if (start < 0).any() or (end > sizes + sides[own_pad, :2] + sides[own_pad, 2:]).any():
        return None  # zeros, which are not of the padding's colour, come in
    before, after = start - sides[own_pad, :2], end - sides[own_pad, :2]  # in the image
    shown, shown_end = np.clip(before, 0, sizes), np.clip(after, 0, sizes)
    if (shown_end - shown < 1).any():
        return None
    sides[own_pad] = np.concatenate([shown - before, after - shown_end], 1)
    windows = np.stack([crop.top, crop.left, crop.height, crop.width], 1)
    windows[own_crop] = np.concatenate([shown, shown_end - shown], 1)
    top, left, bottom, right = sides.T
    rest = PadEdges(left, top, right, bottom, pad.fill, pad.padding_mode, pad.color)
    return Chain((Select(cropped, Crop(*windows.T)), Select(padded, rest)))


def _for_rows(op: Op, kind: type[Moved], frames: Frames) -> tuple[BoolArray, Moved]:
    """Which samples an op, or a select of one, acts on, and the op with a row for each of these."""
    rows, inner = (op.rows, op.op) if isinstance(op, Select) else (np.ones(len(frames), bool), op)
    assert isinstance(inner, kind)
    return rows, inner


def _none(crop: Crop) -> tuple[np.ndarray[tuple[int], np.dtype[np.int64]], ...]:
    return np.zeros_like(crop.top), np.zeros_like(crop.top)


def _inside(crop: Crop, frames: Frames) -> bool:
    """Whether the windows stay within the images."""
    down = (crop.top >= 0) & (crop.top + crop.height <= frames.heights)
    across = (crop.left >= 0) & (crop.left + crop.width <= frames.widths)
    return bool((down & across).all())


def _integers(frames: Frames) -> bool:
    return not any(dtype.is_floating_point for dtype in frames.dtypes)
