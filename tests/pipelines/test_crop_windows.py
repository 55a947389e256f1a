"""The compiled search for windows against numpy's operations on all attempts at once."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from augserve_pipelines.kernels.crop_windows import CropWindows
from augserve_pipelines.kernels.uniform import uniform_of

ATTEMPTS = 10
SIZES = [(1, 1), (7, 13), (423, 213), (30, 900), (900, 30), (500, 375), (333, 500), (1, 640), (64, 64)]
RANGES = [
    ((0.08, 1.0), (3 / 4, 4 / 3)),
    ((0.9, 1.0), (0.5, 2.0)),
    ((1.0, 1.0), (1.0, 1.0)),
    ((0.0, 0.001), (0.1, 9.0)),
    ((3.0, 1e30), (0.2, 0.3)),
]


def windows_by_numpy(
    words: NDArray[np.uint32], sizes: NDArray[np.int64], scale: Sequence[float], ratio: Sequence[float]
) -> tuple[list[list[int]], list[int]]:
    """Top, left, height and width of each image, and how many words it took."""
    log_ratio = torch.log(torch.tensor(ratio)).tolist()
    found, taken = [], []
    for (height, width), own in zip(sizes.tolist(), words, strict=True):
        shares, logarithms = uniform_of(own[:-2:2], *scale), uniform_of(own[1:-2:2], *log_ratio)
        areas = height * width * shares.astype(np.float64)
        ratios = torch.exp(torch.from_numpy(logarithms)).double().numpy()
        rows, columns = np.rint(np.sqrt(areas / ratios)), np.rint(np.sqrt(areas * ratios))
        fits = np.flatnonzero((rows >= 1) & (rows <= height) & (columns >= 1) & (columns <= width))
        if len(fits):
            sides, place = (int(rows[fits[0]]), int(columns[fits[0]])), 2 * int(fits[0]) + 2
            starts = [int(own[place + axis]) % ((height, width)[axis] - sides[axis] + 1) for axis in (0, 1)]
            found.append([*starts, *sides])
            taken.append(place + 2)
        else:
            found.append(largest_at_the_centre(height, width, ratio))
            taken.append(2 * ATTEMPTS)
    return found, taken


def largest_at_the_centre(height: int, width: int, ratio: Sequence[float]) -> list[int]:
    rows, columns = height, width
    if width / height < min(ratio):
        rows = round(width / min(ratio))
    elif width / height > max(ratio):
        columns = round(height * max(ratio))
    return [(height - rows) // 2, (width - columns) // 2, rows, columns]


@pytest.mark.parametrize(("scale", "ratio"), RANGES)
def test_windows_equal_those_of_numpy(scale: tuple[float, float], ratio: tuple[float, float]) -> None:
    sizes = np.array(SIZES * 40)
    words = np.random.default_rng(5).integers(0, 1 << 32, (len(sizes), 2 * ATTEMPTS + 2), dtype=np.uint32)
    windows, taken = CropWindows(scale, ratio).draw(words, *sizes.T)
    expected = windows_by_numpy(words, sizes, scale, ratio)
    assert (windows.T.tolist(), taken.tolist()) == expected


def test_there_may_be_no_images() -> None:
    none = np.empty(0, np.int64)
    windows, taken = CropWindows((0.08, 1.0), (0.75, 1.33)).draw(np.empty((0, 22), np.uint32), none, none)
    assert windows.shape == (4, 0)
    assert taken.shape == (0,)
