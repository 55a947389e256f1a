"""How many samples go through a plan together on the CPU: as many as stay in a core's cache between two steps."""

from __future__ import annotations

import math
from functools import cache
from pathlib import Path
from typing import Final

import numpy as np

from augserve_pipelines.frames import Frames
from augserve_pipelines.plan import Plan

__all__ = ["chunk_pixels", "chunk_size"]

MOST: Final = 16
"""More samples share no more of a chunk's overhead, of some 30 us."""
_CACHE_SIZE: Final = Path("/sys/devices/system/cpu/cpu0/cache/index2/size")
_USUAL_CACHE: Final = 1 << 20


def chunk_size(plan: Plan, threads: int) -> int:
    """Samples to a chunk: so that each thread has two chunks or more, where there are so many samples."""
    fair = max(math.ceil(len(plan.inputs) / (2 * threads)), 1)
    return min(fair, MOST, max(cache_bytes() // (2 * _stage_bytes(plan)), 1))  # a step reads one stage, writes another


def chunk_pixels() -> int:
    """Pixels to a chunk of images of three bytes a pixel that are decoded: three quarters of the cache."""
    return cache_bytes() // 4


@cache
def cache_bytes() -> int:
    """A core's second-level cache; where the system does not say, that of most."""
    try:
        text = _CACHE_SIZE.read_text().strip()
        return int(text.removesuffix("K")) << 10 if text.endswith("K") else int(text.removesuffix("M")) << 20
    except (OSError, ValueError):
        return _USUAL_CACHE


def _stage_bytes(plan: Plan) -> int:
    """The most bytes of the first sample between two steps; 1 where there is no such stage."""
    most = 1
    if len(plan.ops) < 2 or not len(plan.inputs):
        return most
    frames = plan.inputs[:1]
    for op in plan.ops[:-1]:
        frames = op[np.arange(len(frames))].frames(frames)
        most = max(most, _bytes(frames))
    return most


def _bytes(frames: Frames) -> int:
    dtype = frames.dtypes[0]
    return 1 if dtype is None else math.prod(frames.shape(0)) * int(dtype.itemsize)
