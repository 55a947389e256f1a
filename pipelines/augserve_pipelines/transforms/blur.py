"""Blur images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from augserve_pipelines.errors import InvalidInput
from augserve_pipelines.frames import Frames, IntArray
from augserve_pipelines.kernels.blur import convolve, gaussian_kernel
from augserve_pipelines.lanes import Lanes
from augserve_pipelines.ops import Op
from augserve_pipelines.parameters import KernelSize, Sigma
from augserve_pipelines.transforms.base import Transform

__all__ = ["Blur", "GaussianBlur", "gaussian_blur_image"]

FloatArray = NDArray[np.float32]
Number = TypeVar("Number", int, float)


def gaussian_blur_image(
    image: Tensor, kernel_size: int | Sequence[int], sigma: float | Sequence[float] | None = None
) -> Tensor:
    """Blur ``[..., C, H, W]`` with a Gaussian; integers are rounded half to even.

    Args:
        image: images of any dtype; they are mirrored at their borders.
        kernel_size: odd number of taps, or [horizontal, vertical]; half of it must be less than the side.
        sigma: standard deviation in pixels, or [horizontal, vertical]; absent: 0.15 times the taps plus 0.35.
    """
    sizes = _pair(kernel_size)
    sigmas = (0.15 * sizes[0] + 0.35, 0.15 * sizes[1] + 0.35) if sigma is None else _pair(sigma)
    kernel = gaussian_kernel(sizes, sigmas, _float(image))
    return convolve(image.unsqueeze(0), kernel.unsqueeze(0)).squeeze(0)


@dataclass(frozen=True, slots=True)
class Blur(Op):
    """Blur each sample with a Gaussian of its own."""

    kernel_size: tuple[int, int]  # across, down
    sigma: FloatArray  # [N]

    def image(self, x: Tensor) -> Tensor:
        dtype = _float(x)
        kernels = [gaussian_kernel(self.kernel_size, (sigma, sigma), dtype) for sigma in self.sigma.tolist()]
        return convolve(x, torch.stack(kernels))


class GaussianBlur(Transform):
    """Blur with a Gaussian of random width.

    Draws: one number for ``sigma``, always.

    Args:
        kernel_size: odd number of taps, or [horizontal, vertical].
        sigma: the range of standard deviations in pixels [low, high], or the one to use.

    Raises:
        InvalidInput: a side of the image is not longer than half the kernel.
    """

    def __init__(self, kernel_size: KernelSize, sigma: Sigma = (0.1, 2.0)) -> None:
        super().__init__()
        self.kernel_size = _pair(kernel_size)
        self.sigma = _pair(sigma)

    def draw(self, lanes: Lanes, frames: Frames) -> Op:
        sigma = lanes.uniform(*self.sigma)
        across, down = self.kernel_size
        _check("width", frames.widths, across)
        _check("height", frames.heights, down)
        return Blur(self.kernel_size, sigma)


def _check(name: str, sizes: IntArray, taps: int) -> None:
    least = int(sizes.min(initial=taps))
    if least <= taps // 2:
        raise InvalidInput(
            f"GaussianBlur.kernel_size {taps} is too large for an image of {name} {least}: "
            f"more than {taps // 2} pixels are needed"
        )


def _pair(value: Number | Sequence[Number]) -> tuple[Number, Number]:
    values = value if isinstance(value, Sequence) else [value]
    return values[0], values[-1]


def _float(image: Tensor) -> torch.dtype:
    return image.dtype if image.is_floating_point() else torch.float32
