"""Windows of random area and aspect ratio, of which the first that fits into its image is taken, for N images.

In compiled loops: by numpy's operations on arrays of a few numbers they took 80 us for 8 images (Zen 4).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from augserve_pipelines.kernels.compiled import compiled
from augserve_pipelines.kernels.uniform import excludes_high, uniform_of_word

__all__ = ["CropWindows"]

Ints = NDArray[np.int64]
Floats = NDArray[np.float32]
Words = NDArray[np.uint32]


class CropWindows:
    """Windows of an area and an aspect ratio in range.

    Args:
        scale: the least and the greatest area of a window, as a share of the image's.
        ratio: the least and the greatest width / height of a window.
    """

    def __init__(self, scale: Sequence[float], ratio: Sequence[float]) -> None:
        self._scale = np.float32(scale[0]), np.float32(scale[1])
        low, high = torch.log(torch.tensor(ratio)).tolist()
        self._log_ratio = np.float32(low), np.float32(high)
        self._limits = float(min(ratio)), float(max(ratio))

    def draw(self, words: Words, heights: Ints, widths: Ints) -> tuple[Ints, Ints]:
        """The first window of each image that fits; where none does, the largest at its centre whose ratio is in range.

        Args:
            words: random ones, ``[N, 2 * attempts + 2]``: an area and a ratio are made of two of them for each attempt,
                a row and a column of the two after those of the one that fits.
            heights: of the images, ``[N]``.
            widths: likewise.

        Returns:
            Top, left, height and width of each, ``[4, N]``, where no window has pixels without height or width; and how
            many words it took, ``[N]``.
        """
        count, attempts = len(words), words.shape[1] // 2 - 1
        ratios = np.empty((count, attempts), np.float32)
        _logarithms(words, *self._log_ratio, excludes_high(), ratios)
        torch.exp_(torch.from_numpy(ratios))  # torch's, for its bits: numpy's differs in the last place
        windows, taken = np.empty((4, count), np.int64), np.empty(count, np.int64)
        sizes = np.ascontiguousarray(heights), np.ascontiguousarray(widths)
        _windows(words, *sizes, *self._scale, excludes_high(), ratios, *self._limits, windows, taken)
        return windows, taken


@compiled
def _logarithms(words: Words, low: np.float32, high: np.float32, excludes_high: bool, out: Floats) -> None:
    for i in range(len(out)):
        for attempt in range(out.shape[1]):
            out[i, attempt] = uniform_of_word(words[i, 2 * attempt + 1], low, high, excludes_high)


@compiled
def _windows(
    words: Words,
    heights: Ints,
    widths: Ints,
    low: np.float32,
    high: np.float32,
    excludes_high: bool,
    ratios: Floats,
    least: float,
    greatest: float,
    windows: Ints,
    taken: Ints,
) -> None:
    for i in range(len(words)):
        height, width, fits = heights[i], widths[i], False
        for attempt in range(ratios.shape[1]):
            place = 2 * attempt + 2
            share = uniform_of_word(words[i, place - 2], low, high, excludes_high)
            area, ratio = np.float64(height * width) * np.float64(share), np.float64(ratios[i, attempt])
            rows, columns = np.rint(math.sqrt(area / ratio)), np.rint(math.sqrt(area * ratio))
            fits = 0 < rows <= height and 0 < columns <= width
            if fits:
                windows[2, i], windows[3, i] = int(rows), int(columns)
                windows[0, i] = np.int64(words[i, place]) % (height - windows[2, i] + 1)
                windows[1, i] = np.int64(words[i, place + 1]) % (width - windows[3, i] + 1)
                taken[i] = place + 2
                break
        if not fits:
            _centre(height, width, least, greatest, windows[:, i])
            taken[i] = 2 * ratios.shape[1]


@compiled
def _centre(height: int, width: int, least: float, greatest: float, window: Ints) -> None:
    rows, columns = height, width
    if width / height < least:
        rows = int(np.rint(width / least))  # half to even, as Python's round
    if width / height > greatest:
        columns = int(np.rint(height * greatest))
    window[0], window[1], window[2], window[3] = (height - rows) // 2, (width - columns) // 2, rows, columns
