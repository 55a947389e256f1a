"""Displacements of pixels: random ones, smoothed so that neighbours move alike."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Annotated, TypeAlias

import numpy as np
import torch
from pydantic import Field
from torch import Tensor

from augserve_pipelines.arguments import shown
from augserve_pipelines.dispatch import Deferred
from augserve_pipelines.errors import InvalidInput
from augserve_pipelines.kernels.blur import convolve, gaussian_kernel, gaussian_taps
from augserve_pipelines.lanes import Stream

__all__ = ["Displacement", "Pair", "check_smoothing", "pair", "random_displacement", "random_fields"]

Pair: TypeAlias = tuple[float, float]  # across and down

MOST_TAPS = 2**31  # of no image: only so that what is infinite is refused for its size too

# The work for a pixel grows with the square of sigma, so what a record may ask for has an end.
Smoothing: TypeAlias = Annotated[float, Field(ge=0, le=50)]


@dataclass(frozen=True)
class Displacement(Deferred):
    """Smooth random displacements, drawn where they are needed: ``[1, height, width, 2]``."""

    stream: Stream
    height: int
    width: int
    alpha: Pair
    sigma: tuple[Smoothing, Smoothing]

    @property
    def count(self) -> int:
        return 2 * self.height * self.width

    def value(self) -> Tensor:
        return self._smooth

    @cached_property
    def _smooth(self) -> Tensor:  # for all leaves of a sample
        return random_displacement(self.stream.generator(), self.height, self.width, self.alpha, self.sigma)


def random_displacement(generator: torch.Generator, height: int, width: int, alpha: Pair, sigma: Pair) -> Tensor:
    """Random displacements ``[1, H, W, 2]``, as shares of half the width and of half the height.

    Args:
        generator: what they are drawn from, those across first.
        height: of the image, pixels.
        width: of the image.
        alpha: how far pixels move.
        sigma: standard deviations of the Gaussian that smooths displacements, in pixels; 0 leaves them as they are.
    """
    noise = torch.rand(2, 1, height, width, generator=generator).mul_(2).sub_(1)  # across, down
    if any(sigma):
        noise = _smoothed(noise, sigma)
    sides = (width, height)
    planes = [noise[i, 0] * alpha[i] / sides[i] for i in range(2)]
    return torch.stack(planes, -1).unsqueeze(0)


def random_fields(
    generators: Sequence[torch.Generator], size: tuple[int, int], alpha: Pair, sigma: Pair, device: torch.device
) -> Tensor:
    """``random_displacement`` for many samples, ``[n, 2, H, W]`` across and down, smoothed by the kernel of CUDA.

    Args:
        generators: one for each sample.
        size: height and width of the images.
        alpha: how far pixels move.
        sigma: standard deviations of the Gaussian that smooths displacements.
        device: where they are smoothed.
    """
    noise = torch.stack([torch.rand(2, *size, generator=own) for own in generators]).mul_(2).sub_(1).to(device)
    if any(sigma):
        noise = torch.cat([_blurred(noise[:, axis : axis + 1], _taps(sigma[axis]), sigma) for axis in range(2)], 1)
    # Divided by a tensor: CUDA multiplies by the inverse of a number, which rounds otherwise.
    factors, sides = noise.new_tensor(alpha), noise.new_tensor(size[::-1])
    return noise.mul_(factors[:, None, None]).div_(sides[:, None, None])


def _blurred(planes: Tensor, taps: int, sigma: Pair) -> Tensor:
    from augserve_pipelines.kernels.blur_triton import blur  # Triton need not be installed

    across, down = (gaussian_taps(taps, np.full(len(planes), own, np.float32)) for own in sigma)
    if taps > 3:
        return blur(planes, across, down)
    kernels = down[:, :, None] * across[:, None]  # which torch sums in another order
    return convolve(planes.cpu(), kernels).to(planes.device)


def _smoothed(noise: Tensor, sigma: Pair) -> Tensor:
    across, down = (gaussian_kernel((_taps(own), _taps(own)), sigma, noise.dtype).unsqueeze(0) for own in sigma)
    if across.shape == down.shape:
        return convolve(noise, torch.cat([across, down]))
    return torch.cat([convolve(noise[:1], across), convolve(noise[1:], down)])


def check_smoothing(sigma: Pair, height: int, width: int) -> None:
    """Check that displacements of an image can be smoothed so.

    Raises:
        InvalidInput: half the kernel is not shorter than the sides.
    """
    reach = max(map(_taps, sigma)) // 2
    if reach >= min(height, width):
        raise InvalidInput(
            f"ElasticTransform.sigma {shown(max(sigma))} is too large for an image of {height} x {width}: "
            f"more than {reach} pixels are needed"
        )


def pair(value: float | Sequence[float]) -> Pair:
    """One number for both, or both."""
    values = value if isinstance(value, Sequence) else [value]
    return float(values[0]), float(values[-1])


def _taps(sigma: float) -> int:
    """The width of the kernel, 8 sigma and odd; without smoothing 1."""
    taps = int(min(8 * sigma + 1, MOST_TAPS))
    return taps + 1 - taps % 2
