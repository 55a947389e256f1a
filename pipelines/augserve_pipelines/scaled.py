"""Plans for images that were decoded at a half, a quarter or an eighth of their size."""

from __future__ import annotations

from dataclasses import replace
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from augserve_pipelines.frames import IntArray
from augserve_pipelines.interpolation import InterpolationMode
from augserve_pipelines.ops import Op
from augserve_pipelines.plan import Plan
from augserve_pipelines.transforms.resample import Resample, windows_of
from augserve_pipelines.transforms.resize_to import ResizeTo

__all__ = ["FACTORS", "at_factors", "largest_factors", "scaled_side"]

BoolArray: TypeAlias = NDArray[np.bool_]

FACTORS = (1, 2, 4, 8)
"""Those that libjpeg-turbo has fast transforms for: three quarters takes longer than the whole."""

_LEAST_SIDE = 8  # of the longer side: below it, one size of result is that of several factors
_SMOOTH = (InterpolationMode.BILINEAR, InterpolationMode.BICUBIC, InterpolationMode.LANCZOS)


def scaled_side(side: int, factor: int) -> int:
    """Pixels along a side that has ``side`` of them in full: the last one may stand for less than ``factor``."""
    return -(-side // factor)


def largest_factors(plan: Plan, most: IntArray, mirrored: BoolArray | None = None) -> IntArray:
    """The factor ``[N]`` by which each image can be decoded smaller and still has a pixel for each of its result's.

    More than 1 only where the plan begins with an antialiased resize, of a window or of the whole: the window must be
    at least of the size that it is resized to, in both directions, once it is scaled.

    Args:
        plan: drawn for the images in full.
        most: the largest factor that an image may be decoded at, ``[N]``: 8 for a JPEG, 1 for what has none.
        mirrored: whether decoding mirrors each image's rows, and its columns, to turn it upright, ``[N, 2]``.
    """
    factors = np.ones(len(plan.inputs), np.int64)
    found = _resized(plan)
    if found is None:
        return factors
    windows, sizes = found
    whole = np.stack([plan.inputs.heights, plan.inputs.widths], 1)
    large = (whole.max(1, initial=0) >= _LEAST_SIDE) & (plan.inputs.channels > 0)
    for factor in FACTORS[1:]:
        extents = _scaled(windows, whole, np.full_like(factors, factor), mirrored)[:, 2:]
        factors[large & (factor <= most) & (extents >= sizes).all(1)] = factor
    return factors


def at_factors(plan: Plan, factors: IntArray, mirrored: BoolArray | None = None) -> Plan:
    """The plan for images decoded at ``factors``, of which each is at most what ``largest_factors`` allows.

    A side of ``n`` pixels has ``ceil(n / factor)``. An edge of a window, at ``x`` of the full size, is at ``floor(x /
    factor + 1/2)``: up to half a pixel of the scaled image off, so less than half a pixel of the result. Where decoding
    mirrors an axis, ``x`` is counted from the end of it that is complete.
    """
    if (factors == 1).all():
        return plan
    whole = np.stack([plan.inputs.heights, plan.inputs.widths], 1)
    first, *others = plan.ops
    if isinstance(first, Resample):
        first = replace(first, source=_scaled(first.source, whole, factors, mirrored))
    inputs = plan.inputs.resized(*-(-whole // factors[:, None]).T)
    return replace(plan, ops=(first, *others), inputs=inputs)


def _resized(plan: Plan) -> tuple[IntArray, IntArray] | None:
    """The windows of the images that a plan begins by resizing, and the sizes that it resizes them to."""
    first: Op | None = plan.ops[0] if plan.ops else None
    if not isinstance(first, Resample | ResizeTo) or not first.antialias or first.interpolation not in _SMOOTH:
        return None
    if isinstance(first, Resample):
        return first.source, first.size
    windows = windows_of(plan.inputs.heights, plan.inputs.widths)
    return windows, np.stack([first.height, first.width], 1)


def _scaled(windows: IntArray, whole: IntArray, factors: IntArray, mirrored: BoolArray | None) -> IntArray:
    """Windows ``[N, 4]`` of images of the sizes ``whole`` ``[N, 2]``, in those decoded at ``factors``."""
    factor = factors[:, None]
    missing = np.zeros_like(whole) if mirrored is None else np.where(mirrored, -whole % factor, 0)
    edges = np.stack([windows[:, :2], windows[:, :2] + windows[:, 2:]])  # [2, N, 2]
    start, end = (2 * (edges + missing) + factor) // (2 * factor)
    return np.concatenate([start, end - start], 1)
