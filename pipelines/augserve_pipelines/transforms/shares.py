"""Shares of lengths, with torch's roundings of a float32 tensor times a Python number."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from augserve_pipelines.frames import IntArray

__all__ = ["between", "share_of"]

FloatArray = NDArray[np.float32]


def between(low: float, high: float, share: FloatArray) -> FloatArray:
    """``low + share * (high - low)``, rounded after each step; ``Lanes.uniform`` rounds once."""
    scaled: FloatArray = share * np.float32(high - low) + np.float32(low)
    return scaled


def share_of(length: NDArray[Any], share: FloatArray) -> IntArray:
    """``int(length * share)``, of the product in float32."""
    whole: IntArray = (length.astype(np.float32) * share).astype(np.int64)
    return whole
