"""Sharpen or soften uint8 images on the CPU, in place, by a compiled loop; any image by torch operations."""

from __future__ import annotations

from functools import cache
from types import ModuleType

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from augserve_pipelines.kernels import layout


def sharpen(image: Tensor, factor: float) -> None:
    """Move the bytes ``[C, H, W]``, dense in the sense of ``layout.dense``, away from their neighbours' mean."""
    channels, height, width = image.shape
    if min(height, width) > 2:
        values, interleaved = layout.flat(image)
        shape, step = ((1, height, width * channels), channels) if interleaved else ((channels, height, width), 1)
        _loops().sharpen(values.reshape(shape), step, np.float32(1.0 - factor))


def sharpen_reference(image: Tensor, factor: float, maximum: int) -> Tensor:
    """The same of ``[..., C, H, W]`` in torch operations; values are clamped to 0 to ``maximum``.

    The sums of floats are those of torch's depthwise convolution, which follow from the layout of the image.
    """
    dtype = image.dtype if image.is_floating_point() else torch.float32
    sharpened = image.to(dtype, copy=True)
    window = torch.full((3, 3), 1.0 / 13.0, dtype=dtype, device=image.device)
    window[1, 1] = 5.0 / 13.0
    channels = image.shape[-3]
    means = F.conv2d(sharpened, window.expand(channels, 1, 3, 3), groups=channels)
    if not image.is_floating_point():
        means.round_()
    inner = sharpened[..., 1:-1, 1:-1]
    inner.add_(means.sub_(inner), alpha=1.0 - factor)
    return sharpened.clamp_(0, maximum).to(image.dtype)


@cache
def _loops() -> ModuleType:
    from augserve_pipelines.kernels import sharpness_loops  # half a second for numba, so not before it is needed

    return sharpness_loops
