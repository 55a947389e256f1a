"""How bytes of images lie in memory, for loops that take them as they lie."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


def on_cpu(image: Tensor, dtype: torch.dtype = torch.uint8) -> bool:
    """Whether a loop over numpy arrays of this dtype may work on the image."""
    return image.device.type == "cpu" and image.dtype == dtype


def dense(image: Tensor) -> Tensor:
    """The image ``[..., C, H, W]``, itself where its values lie without gaps, channel by channel or pixel by pixel."""
    return image if _pixel_by_pixel(image) else image.contiguous()


def dense_copy(image: Tensor) -> Tensor:
    """A copy of ``[..., C, H, W]``, laid pixel by pixel where the image is, else channel by channel."""
    if _pixel_by_pixel(image):
        return image.movedim(-3, -1).clone().movedim(-1, -3)
    return image.clone(memory_format=torch.contiguous_format)


def flat(image: Tensor) -> tuple[NDArray[np.uint8], bool]:
    """The bytes of a dense ``[C, H, W]`` as they lie, to read or to write, and whether they lie pixel by pixel."""
    interleaved = _pixel_by_pixel(image)
    return (image.movedim(-3, -1) if interleaved else image).view(-1).numpy(), interleaved


def alike(image: Tensor, other: Tensor) -> bool:
    """Whether copies by torch of both ``[..., C, H, W]`` lie pixel by pixel, or those of neither do."""
    return image.shape[-3] == 1 or _over_pixels(image) == _over_pixels(other)


def _over_pixels(image: Tensor) -> bool:
    return not image.is_contiguous() and 0 < image.stride(-3) < image.stride(-1)


def _pixel_by_pixel(image: Tensor) -> bool:
    return not image.is_contiguous() and image.movedim(-3, -1).is_contiguous()


def last_three(sizes: Sequence[Sequence[int]]) -> NDArray[np.int64]:
    """What N shapes, or steps, of images end in: of channels, rows and columns, ``[N, 3]``."""
    last = (size if len(size) == 3 else size[-3:] for size in sizes)
    return np.fromiter(chain.from_iterable(last), np.int64, 3 * len(sizes)).reshape(-1, 3)
