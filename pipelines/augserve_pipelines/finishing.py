"""The last steps of a pipeline, where all they do is make floats of bytes: what others can do in its place."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from math import isfinite
from typing import Any

import numpy as np
import torch
from torch import Tensor

from augserve_pipelines.dispatch import Call
from augserve_pipelines.errors import InvalidInput, NoFinish
from augserve_pipelines.frames import Frames
from augserve_pipelines.lanes import Lanes
from augserve_pipelines.ops import NOTHING, Chain, Op, Select
from augserve_pipelines.parameters import Dtype, Transforms, for_kind
from augserve_pipelines.samples import Sample
from augserve_pipelines.transforms.base import Transform
from augserve_pipelines.transforms.containers import Compose, Identity, drawn_in_order
from augserve_pipelines.transforms.conversion import IMAGES, TENSORS, CastTo, ToDtype
from augserve_pipelines.transforms.kinds import ToPureTensor
from augserve_pipelines.transforms.normalize import Normalize
from augserve_pipelines.tv_tensors import Image, Video

__all__ = ["Finishing", "Parts", "cast_of_floats", "parts"]

VALUELESS = (Identity, ToPureTensor)  # may stand at the end: no value changes in them


@dataclass(frozen=True, slots=True)
class Finishing:
    """``ToDtype``, and ``Normalize`` where there is one, over bytes ``[..., C, H, W]``.

    A byte is cast to ``dtype``, multiplied by ``scale``, then ``mean`` is subtracted and the rest divided by ``std``;
    each step is rounded to ``dtype``. That is cast to ``result``. All numbers are those that torch computes with.
    """

    dtype: torch.dtype
    scale: float
    """1.0 where values are not scaled, else 1 / 255 as a float32, for float64 as a float64."""
    mean: tuple[float, ...] | None
    """A value for each channel, or one for all; None where there is no Normalize."""
    std: tuple[float, ...] | None
    result: torch.dtype

    @classmethod
    def of(cls, to_dtype: ToDtype, normalize: Normalize | None) -> Finishing:
        """What the two steps do.

        Raises:
            NoFinish: it is not the same for all images, or not in finite numbers.
        """
        dtype = _dtype_of_pixels(to_dtype)
        mean, std = (None, None) if normalize is None else (_exact(v, dtype) for v in (normalize.mean, normalize.std))
        if mean is not None and std is not None and not (all(map(isfinite, (*mean, *std))) and all(std)):
            raise NoFinish(f"the mean or std of its Normalize is infinite or 0 in {dtype}")
        exact = torch.float64 if dtype == torch.float64 else torch.float32
        scale = _exact([1.0 / 255 if to_dtype.scale else 1.0], exact)[0]
        return cls(dtype, scale, mean, std, dtype)


@dataclass(frozen=True, slots=True)
class Parts:
    """The steps of a pipeline in three: up to bytes, from there to floats, and what may follow and changes no value."""

    before: Sequence[Transform]
    last: Sequence[Transform]
    after: Sequence[Transform]
    finishing: Finishing

    def unfinished(self, cast: torch.dtype | None) -> Compose:
        """The steps, those in the middle left to others; ``cast`` is what these cast the floats to in the end."""
        return Compose([*self.before, Withhold(self.last, cast), *self.after])


def parts(transforms: Sequence[Transform]) -> Parts:
    """Take a pipeline apart at the point where its bytes become floats; a ``Compose`` is the steps that are in it.

    Raises:
        NoFinish: more happens from there on than ``ToDtype`` and ``Normalize``.
    """
    steps = list(_flattened(transforms))
    end = len(steps)
    while end and isinstance(steps[end - 1], VALUELESS):
        end -= 1
    match steps[:end]:
        case [*before, ToDtype() as to_dtype, Normalize() as normalize]:
            return Parts(before, [to_dtype, normalize], steps[end:], Finishing.of(to_dtype, normalize))
        case [*before, ToDtype() as to_dtype]:
            return Parts(before, [to_dtype], steps[end:], Finishing.of(to_dtype, None))
    names = [type(step).__name__ for step in steps[:end]]
    last = " and ".join(names[-2:] if names[-1:] == ["Normalize"] else names[-1:]) or "nothing"
    raise NoFinish(f"it ends in {last}, not in ToDtype and Normalize")


@dataclass(frozen=True, slots=True)
class Withheld(Op):
    """An op that others do: nothing happens here, and the record has it all the same."""

    op: Op

    def __getitem__(self, rows: Any) -> Withheld:
        return replace(self, op=self.op[rows])

    def image(self, x: Tensor) -> Tensor:
        return x

    def leaf(self, leaf: Any) -> Any:
        return leaf

    def leaves(self, sample: Sample) -> Sample:
        return sample

    def parts(self) -> Op:
        return NOTHING

    def calls(self) -> Iterator[Call]:
        return self.op.calls()


class Withhold(Transform):
    """Leave the steps that make floats of bytes to others. For pipelines alone.

    Args:
        transforms: the steps, which draw nothing.
        cast: what floats are cast to after them.

    Raises:
        InvalidInput: what comes in are no bytes, or stays bytes.
    """

    def __init__(self, transforms: Transforms, cast: Dtype | None = None) -> None:
        super().__init__()
        self.transforms = transforms
        self.cast = cast

    def draw(self, lanes: Lanes, frames: Frames) -> Op:
        for dtype in set(frames.imaged().dtypes.tolist()):
            if dtype != torch.uint8:
                raise InvalidInput(f"its last ToDtype gets {dtype}, not {torch.uint8}")
        op, done = drawn_in_order(self.transforms, lanes, frames)
        if any(dtype == torch.uint8 for dtype in done.imaged().dtypes):
            raise InvalidInput("its last ToDtype has nothing for images that are marked as nothing")
        return Withheld(op if self.cast is None else Chain((op, cast_of_floats(done, self.cast))))


def cast_of_floats(frames: Frames, dtype: torch.dtype) -> Op:
    """Cast the images of floats to another dtype of floats."""
    floats = np.array([present is not None and present.is_floating_point for present in frames.dtypes], bool)
    return Select(floats, CastTo(dtype, scale=False))


def _flattened(transforms: Sequence[Transform]) -> Iterator[Transform]:
    for transform in transforms:
        if type(transform) is Compose:
            yield from _flattened(transform.steps())
        else:
            yield transform


def _dtype_of_pixels(step: ToDtype) -> torch.dtype:
    """That of images and videos, where it is one and nothing else is cast."""
    if isinstance(step.dtype, torch.dtype):
        dtypes, others = {step.dtype}, set()
    else:
        dtypes = {for_kind(step.dtype, kind) for kind in (Image, Video)}
        others = {for_kind(step.dtype, kind) for kind in TENSORS if kind not in IMAGES}
    dtype: torch.dtype | None = dtypes.pop()
    if dtypes or others - {None}:
        raise NoFinish("its last ToDtype casts other kinds of input to other dtypes")
    if dtype is None or not dtype.is_floating_point:
        raise NoFinish(f"its last ToDtype casts to {dtype}, not to floats")
    return dtype


def _exact(values: Sequence[float], dtype: torch.dtype) -> tuple[float, ...]:
    return tuple(torch.tensor(list(values), dtype=dtype).double().tolist())
