"""Results as torch tensors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

import torch
from torch import Tensor

from augserve.wire import Finish, RawTensor

__all__ = ["Device", "Tensor", "finish_tensor", "stack", "to_tensor"]

Device: TypeAlias = torch.device | str


def to_tensor(raw: RawTensor, device: Device | None = None) -> Tensor:
    """The tensor, in the memory of ``raw``, which must be writable and aligned, or a copy on another device.

    bfloat16 stays bfloat16.
    """
    dtype: torch.dtype = getattr(torch, raw.dtype)
    if raw.data.nbytes == 0:
        return torch.empty(raw.shape, dtype=dtype, device=device)
    return torch.frombuffer(raw.data, dtype=dtype).reshape(raw.shape).to(device)


def stack(items: Sequence[Tensor]) -> Tensor:
    """Tensors [C, H, W] as one [R, C, H, W]."""
    return torch.stack(list(items))


def finish_tensor(finish: Finish, pixels: Tensor) -> Tensor:
    """The floats of bytes [..., C, H, W], computed on the device that they are on: the same on each.

    Raises ``InvalidBody`` where the finish is for another number of channels.
    """
    finish.check(tuple(pixels.shape))
    dtype: torch.dtype = getattr(torch, finish.dtype)
    values = pixels.to(dtype).mul_(finish.scale)
    if finish.mean is not None:
        values.sub_(_column(finish.mean, values))
    if finish.std is not None:
        values.div_(_column(finish.std, values))
    return values.to(getattr(torch, finish.result))


def _column(numbers: Sequence[float], values: Tensor) -> Tensor:
    return torch.tensor(numbers, dtype=values.dtype, device=values.device).view(-1, 1, 1)
