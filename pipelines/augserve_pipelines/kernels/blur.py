"""Convolve images with Gaussian kernels, with torchvision's sums."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cache
from types import ModuleType

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from augserve_pipelines.kernels import layout

# oneDNN convolves 16 channels in one vector (8 with AVX2) and fills up what there are fewer of, so planes are cut into
# strips until they fill three vectors: for 3 x 224 x 224 bytes and 23 x 23 taps 2.5 ms instead of torchvision's 10.7 on
# a Zen 4 core, for 5 x 5 taps 0.39 instead of 1.17.
_PLANES = 48
_STRIPS = 16
_ROWS = 8  # of a strip, at least: it brings along the rows above and below that the kernel reaches


def gaussian_kernel(sizes: tuple[int, int], sigmas: tuple[float, float], dtype: torch.dtype) -> Tensor:
    """The taps ``[height, width]``, which add up to 1; ``sizes`` and ``sigmas`` are across and down."""
    across, down = (_taps(size, sigma, dtype) for size, sigma in zip(sizes, sigmas, strict=True))
    return down.unsqueeze(1) * across


def gaussian_taps(size: int, sigmas: NDArray[np.float32]) -> Tensor:
    """The taps of many kernels along one side, float32 ``[n, size]``: the products of two give ``gaussian_kernel``."""
    return _taps(size, torch.from_numpy(sigmas).unsqueeze(1), torch.float32)


def convolve(images: Tensor, kernels: Tensor) -> Tensor:
    """Convolve each of ``images`` ``[n, ..., C, H, W]``, mirrored at the borders, with its own ``[n, h, w]`` kernel.

    The sum of a value is taken over the kernel row by row, fused and in float32 for integers, which are rounded half to
    even: what torchvision's depthwise convolution computes on the CPU. It has other sums where there is one channel and
    a side of the kernel is under 4, or for other floats; those take its way here too.
    """
    flat = images.reshape(len(images), -1, *images.shape[-3:])
    if _sums_in_order(flat, kernels):
        planes = flat.flatten(0, 2)
        blurred = _convolve_planes(planes, kernels.repeat_interleave(len(planes) // len(images), 0))
    else:
        blurred = torch.cat([_convolve_plainly(image, kernel) for image, kernel in zip(flat, kernels, strict=True)])
    return blurred.view(images.shape)


def _taps(size: int, sigma: float | Tensor, dtype: torch.dtype) -> Tensor:
    """``exp(-x**2 / (2 * sigma**2))``, normalised: a softmax over x divided by the root of 2."""
    furthest = (size - 1) / (2.0 * math.sqrt(2.0))
    return torch.linspace(-furthest, furthest, size, dtype=dtype).div(sigma).pow_(2).neg_().softmax(-1)


def _sums_in_order(images: Tensor, kernels: Tensor) -> bool:
    on_cpu = layout.on_cpu(images) or (layout.on_cpu(images, torch.float32) and not images.requires_grad)
    by_onednn = images.shape[-3] > 1 or min(kernels.shape[1:]) > 3
    return on_cpu and by_onednn and torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]


def _convolve_plainly(images: Tensor, kernel: Tensor) -> Tensor:
    channels, (height, width) = images.shape[-3], kernel.shape
    padded = F.pad(images.to(kernel.dtype), _sides(kernel), mode="reflect")
    blurred = F.conv2d(padded, kernel.to(images.device).expand(channels, 1, height, width), groups=channels)
    return blurred if images.is_floating_point() else blurred.round_().to(images.dtype)


def _convolve_planes(planes: Tensor, kernels: Tensor) -> Tensor:
    """Convolve planes ``[p, H, W]``, each with its own kernel, as many at a time as fill oneDNN's vectors."""
    if not planes.is_floating_point():
        kernels = _trimmed(kernels)
    strips = max(1, min(_STRIPS, planes.shape[1] // _ROWS))
    out = torch.empty(planes.shape, dtype=planes.dtype)
    some = max(1, _PLANES // strips)
    for start in range(0, len(planes), some):
        part = slice(start, start + some)
        _convolve_strips(planes[part], kernels[part], strips, out[part])
    return out


def _trimmed(kernels: Tensor) -> Tensor:
    """Without the outer rows and columns in which all taps are 0: they add nothing to a sum of finite values."""
    nonzero = kernels.numpy() != 0
    top, left = _margin(nonzero, axes=(0, 2)), _margin(nonzero, axes=(0, 1))
    return kernels[:, top : kernels.shape[1] - top, left : kernels.shape[2] - left]


def _margin(nonzero: NDArray[np.bool_], axes: tuple[int, int]) -> int:
    """How many lines at either end are all false; a line runs along ``axes``."""
    lines = np.atleast_1d(nonzero.any(axis=axes))
    places = np.flatnonzero(lines)
    return int(min(places[0], len(lines) - 1 - places[-1]))


def _convolve_strips(planes: Tensor, kernels: Tensor, strips: int, out: Tensor) -> None:
    """Convolve planes as strips, side by side as the channels of one image, into ``out``."""
    count, height, width = planes.shape
    rows = -(-height // strips)
    left, _, top, _ = _sides(kernels[0])
    cut = torch.empty(count, strips, rows + 2 * top, width + 2 * left)
    _loops().cut(planes.numpy(), rows, top, left, cut.numpy())
    weights = kernels.repeat_interleave(strips, 0).unsqueeze(1)
    convolved = F.conv2d(cut.view(1, -1, *cut.shape[2:]), weights, groups=count * strips)
    for values, result in zip(convolved.view(count, -1), out.view(count, -1), strict=True):
        if out.is_floating_point():
            result.copy_(values[: height * width])
        else:
            _loops().round_half_even(values.numpy(), result.numpy())


@cache
def _loops() -> ModuleType:
    from augserve_pipelines.kernels import blur_loops  # half a second for numba, so not before it is needed

    return blur_loops


def _sides(kernel: Tensor) -> Sequence[int]:
    """What mirroring adds so that no side shrinks: left, right, top, bottom."""
    height, width = kernel.shape
    return [width // 2, width // 2, height // 2, height // 2]
