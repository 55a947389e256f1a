"""Plans for images of which only the part was decoded that they begin by cutting out."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from augserve_pipelines.frames import IntArray
from augserve_pipelines.plan import Plan
from augserve_pipelines.transforms.crop import Crop
from augserve_pipelines.transforms.resample import Resample

__all__ = ["first_windows", "within_windows"]


def first_windows(plan: Plan) -> IntArray | None:
    """The windows ``[N, 4]`` (top, left, height, width) that a plan begins by cutting out; None: it needs all pixels.

    Nothing outside of them changes a byte of the results.
    """
    first = plan.ops[0] if plan.ops else None
    if isinstance(first, Resample):
        return first.source
    if not isinstance(first, Crop):
        return None
    windows = np.stack([first.top, first.left, first.height, first.width], 1)
    start, end = windows[:, :2], windows[:, :2] + windows[:, 2:]
    inside = (start >= 0).all() and (end <= np.stack([plan.inputs.heights, plan.inputs.widths], 1)).all()
    return windows if inside else None


def within_windows(plan: Plan) -> Plan:
    """The plan for images that are their ``first_windows`` already.

    Raises:
        ValueError: it has none.
    """
    windows = first_windows(plan)
    if windows is None:
        raise ValueError("the plan does not begin by cutting windows out of its images")
    first, *others = plan.ops
    whole = np.concatenate([np.zeros_like(windows[:, :2]), windows[:, 2:]], 1)
    if isinstance(first, Resample):
        others = [replace(first, source=whole), *others]
    return replace(plan, ops=tuple(others), inputs=plan.inputs.resized(*windows[:, 2:].T))
