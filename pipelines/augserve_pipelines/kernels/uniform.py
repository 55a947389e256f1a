"""What torch's CPU generator makes of random words: floats of a range."""

from __future__ import annotations

from functools import cache

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from augserve_pipelines.kernels.compiled import compiled

__all__ = ["excludes_high", "uniform_of", "uniform_of_word"]

Words = NDArray[np.uint32]
Floats = NDArray[np.float32]


def uniform_of(words: Words, low: ArrayLike, high: ArrayLike) -> Floats:
    """What ``uniform_(low, high)`` makes of words ``[N]``; ``low`` and ``high`` may be arrays of their shape."""
    drawn = np.empty(len(words), np.float32)
    lows, highs = (np.asarray(values, np.float32).reshape(-1) for values in (low, high))
    _uniform_of(words, lows, highs, excludes_high(), drawn)
    return drawn


@cache
def excludes_high() -> bool:
    """Whether torch gives ``low`` where a value is rounded up to ``high``, as it does from some version on.

    The first draw of this seed is 0.985 of the way to it, and floats lie 1 / 32 apart there.
    """
    return torch.empty(1).uniform_(262144, 262145, generator=torch.Generator().manual_seed(27)).item() == 262144


@compiled
def uniform_of_word(word: np.uint32, low: np.float32, high: np.float32, excludes_high: bool) -> np.float32:
    """``uniform_of`` for one word, for loops to call."""
    # ATen's u * (high - low) + low is one fused multiply-add; the product is exact in double, so one rounding too.
    unit = np.float64(word & np.uint32(0xFFFFFF)) * 2.0**-24
    drawn = np.float32(unit * np.float64(high - low) + np.float64(low))
    return low if excludes_high and drawn == high else drawn


@compiled
def _uniform_of(words: Words, low: Floats, high: Floats, excludes_high: bool, drawn: Floats) -> None:
    for i in range(len(words)):
        drawn[i] = uniform_of_word(words[i], low[min(i, len(low) - 1)], high[min(i, len(high) - 1)], excludes_high)
