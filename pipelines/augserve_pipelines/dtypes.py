"""The dtypes that images may have, by their names."""

from __future__ import annotations

from collections.abc import Mapping

import torch

__all__ = ["DTYPES"]

DTYPES: Mapping[str, torch.dtype] = {
    str(dtype).removeprefix("torch."): dtype
    for dtype in (
        torch.uint8,
        torch.int8,
        torch.int16,
        torch.int32,
        torch.int64,
        torch.uint16,
        torch.float16,
        torch.bfloat16,
        torch.float32,
        torch.float64,
    )
}
