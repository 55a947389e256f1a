"""Results as torch tensors: the only module of the client that imports torch."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from augserve.wire import RawTensor

__all__ = ["Tensor", "stack", "to_tensor"]


def to_tensor(raw: RawTensor) -> Tensor:
    """The tensor, in the memory of ``raw``, which must be writable and aligned. bfloat16 stays bfloat16."""
    dtype: torch.dtype = getattr(torch, raw.dtype)
    if raw.data.nbytes == 0:
        return torch.empty(raw.shape, dtype=dtype)
    return torch.frombuffer(raw.data, dtype=dtype).reshape(raw.shape)


def stack(items: Sequence[Tensor]) -> Tensor:
    """Tensors [C, H, W] as one [R, C, H, W]."""
    return torch.stack(list(items))
