"""Cut planes into mirrored strips, and round what becomes of them: compiled loops on the CPU."""

from __future__ import annotations

from typing import Any

import numpy as np

from augserve_pipelines.kernels.compiled import compiled


@compiled
def cut(planes: Any, rows: int, top: int, left: int, out: Any) -> None:
    """Cut planes ``[p, H, W]`` into strips of ``rows`` rows, with ``top`` more on either side and ``left`` columns.

    ``out`` is ``[p, strips, rows + 2 * top, W + 2 * left]`` float32. The planes go on mirrored, without their outermost
    pixels, and past that with their last row.
    """
    width = planes.shape[2]
    for plane in range(out.shape[0]):
        for strip in range(out.shape[1]):
            for row in range(out.shape[2]):
                place = _mirrored(strip * rows + row - top, planes.shape[1])
                source, target = planes[plane, place], out[plane, strip, row]
                inner = target[left : left + width]
                for x in range(width):
                    inner[x] = source[x]
                for x in range(left):
                    target[left - 1 - x] = source[1 + x]
                    target[left + width + x] = source[width - 2 - x]


@compiled
def _mirrored(place: int, size: int) -> Any:
    if place >= size:
        place = max(2 * (size - 1) - place, 0)
    return abs(place)


@compiled
def round_half_even(values: Any, out: Any) -> None:
    """Write floats in 0 to 255 as bytes, both of them contiguous and flat."""
    for k in range(out.size):
        out[k] = np.uint8(np.int32(np.rint(values[k])))
