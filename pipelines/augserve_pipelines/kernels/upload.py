"""Bring what a kernel is told to a device: several arrays in one copy."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

_ALIGNMENT = 16  # bytes: what Triton takes pointers to be multiples of, or compiles anew


def bring(values: Tensor, device: torch.device) -> Tensor:
    """What lies on the CPU, on a device, behind what runs there and without waiting for it."""
    return values.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else values.to(device)


def upload(arrays: Sequence[NDArray[Any]], device: torch.device) -> list[Tensor]:
    """The arrays, dense, as tensors on the device, of one buffer that is copied there once, behind what runs there."""
    spans, end = [], 0
    for array in arrays:
        spans.append(slice(end, end + array.nbytes))
        end += -(-array.nbytes // _ALIGNMENT) * _ALIGNMENT
    staged = torch.empty(end, dtype=torch.uint8, pin_memory=device.type == "cuda")
    for array, span in zip(arrays, spans, strict=True):
        staged.numpy()[span] = np.ascontiguousarray(array).reshape(-1).view(np.uint8)
    there = staged.to(device, non_blocking=True)
    return [
        there[span].view(torch.from_numpy(array[:0]).dtype).view(array.shape)
        for array, span in zip(arrays, spans, strict=True)
    ]
