"""Chains of steps that change every byte by itself, run as tables: 256 values for each channel of each sample."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import torch
from torch import Tensor

from augserve_pipelines.frames import Frames
from augserve_pipelines.kernels.lookup import lookup
from augserve_pipelines.ops import Chain, Op, Select
from augserve_pipelines.transforms.conversion import CastTo
from augserve_pipelines.transforms.normalize import Finish, Standardize
from augserve_pipelines.transforms.pointwise import Invert, Posterize, Solarize
from augserve_pipelines.transforms.programs import ColorProgram

__all__ = ["Tabled", "tabled"]


@dataclass(frozen=True, slots=True)
class Tabled(Op):
    """Steps that change every byte by itself, in one pass over the bytes."""

    steps: Chain
    dtype: torch.dtype  # of the result

    def __getitem__(self, rows: Any) -> Tabled:
        return Tabled(self.steps[rows], self.dtype)

    def frames(self, frames: Frames) -> Frames:
        return self.steps.frames(frames)

    def tables(self, channels: int) -> Tensor:
        """What becomes of each byte, ``[N, C, 256]`` on the CPU; N is 1 where that is so for all samples."""
        rows = max(_rows(step) for step in self.steps.ops)
        every = torch.arange(256, dtype=torch.uint8).repeat(rows, channels, 1, 1)
        return self.steps.image(every).view(rows, channels, 256)

    def image(self, x: Tensor) -> Tensor:
        out = torch.empty(x.shape, dtype=self.dtype, device=x.device)
        self.write(x, out)
        return out

    def write(self, x: Tensor, out: Tensor) -> None:
        lookup(x, self.tables(x.shape[-3]), out)


def tabled(first: Op | None, second: Op, frames: Frames) -> Finish | Tabled | None:
    """One op for two that come one after the other, where they map bytes to values; ``frames`` go into the first."""
    if frames.dtypes.tolist().count(torch.uint8) < len(frames):
        return None
    steps = (*_steps(first), *_steps(second))
    dtype: torch.dtype | None = torch.uint8
    for step in steps:
        dtype = None if dtype is None else _dtype_after(step, dtype)
    match steps:
        case _ if dtype is None:
            return None
        case CastTo(scale=True) as cast, Standardize() as standardize:
            return Finish(cast, standardize, dtype)
        case CastTo(scale=True) as cast, Standardize() as standardize, CastTo():
            return Finish(cast, standardize, dtype)
    return Tabled(Chain(steps), dtype)


def _steps(op: Op | None) -> tuple[Op, ...]:
    match op:
        case None:
            return ()
        case Tabled(steps):
            return steps.ops
        case Finish() if op.dtype == op.cast.dtype:
            return op.cast, op.standardize
        case Finish():
            return op.cast, op.standardize, CastTo(op.dtype, scale=False)
    return (op,)


def _dtype_after(step: Op, dtype: torch.dtype) -> torch.dtype | None:
    """What bytes that have become ``dtype`` are after a step, None where the step is not of values alone.

    No float becomes an integer: of values that are too great for it, what torch makes depends on where they lie.
    """
    match step:
        case CastTo() if step.dtype.is_floating_point:
            return step.dtype
        case Standardize() if dtype.is_floating_point:
            return dtype
        case Select(_, inner) if dtype == torch.uint8 and _dtype_after(inner, dtype) == dtype:
            return dtype
        case Invert() | Posterize() | Solarize() if dtype == torch.uint8:
            return dtype
        case ColorProgram() if dtype == torch.uint8 and step.is_pointwise():
            return dtype
    return None


def _rows(op: Op) -> int:
    """The samples that an op has rows for; 1 where it does the same to all."""
    columns = (getattr(op, field.name) for field in fields(op))
    return next((len(column) for column in columns if isinstance(column, np.ndarray)), 1)
