"""Blur images."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image as Picture
from torch import Tensor

from augserve_pipelines.arguments import shown
from augserve_pipelines.dispatch import Call, functional
from augserve_pipelines.errors import InvalidInput
from augserve_pipelines.frames import Frames, IntArray
from augserve_pipelines.kernels.blur import convolve, gaussian_kernel, gaussian_taps
from augserve_pipelines.kernels.launching import launches
from augserve_pipelines.lanes import GlobalLane, Lanes
from augserve_pipelines.ops import Op
from augserve_pipelines.parameters import KernelSize, Sigma
from augserve_pipelines.transforms.base import Transform
from augserve_pipelines.transforms.pictures import by_tensor

__all__ = ["Blur", "GaussianBlur", "gaussian_blur", "gaussian_blur_image"]

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

    Raises:
        ValueError: a number of taps is not odd, a deviation is not greater than 0, or the image is too small.
    """
    sizes = _checked_sizes(kernel_size)
    sigmas = (0.15 * sizes[0] + 0.35, 0.15 * sizes[1] + 0.35) if sigma is None else _checked_sigmas(sigma)
    if not image.numel():
        return image
    for side, taps in zip(image.shape[:-3:-1], sizes, strict=True):
        if side <= taps // 2:
            raise ValueError(f"kernel_size {taps} is too large for {side} pixels: more than {taps // 2} are needed")
    if _launches(image):
        both = [np.array([sigma], np.float32) for sigma in sigmas]
        return _launched(image.unsqueeze(0), sizes, both[0], both[1]).squeeze(0)
    kernel = gaussian_kernel(sizes, sigmas, _float(image))
    return convolve(image.unsqueeze(0), kernel.unsqueeze(0)).squeeze(0)


def _gaussian_blur_picture(
    image: Picture.Image, kernel_size: int | Sequence[int], sigma: float | Sequence[float] | None = None
) -> Picture.Image:
    return by_tensor(image, lambda pixels: gaussian_blur_image(pixels, kernel_size, sigma))


@functional(image=gaussian_blur_image, picture=_gaussian_blur_picture)
def gaussian_blur(inpt: Any, kernel_size: int | Sequence[int], sigma: float | Sequence[float] | None = None) -> Any:
    """Blur an image with a Gaussian of ``kernel_size`` taps [horizontal, vertical] and of deviation ``sigma``."""


@dataclass(frozen=True, slots=True)
class Blur(Op):
    """Blur each sample with a Gaussian of its own."""

    planar: ClassVar[bool] = True

    kernel_size: tuple[int, int]  # across, down
    sigma: FloatArray  # [N]

    def image(self, x: Tensor) -> Tensor:
        if _launches(x):
            return _launched(x, self.kernel_size, self.sigma, self.sigma)
        dtype = _float(x)
        kernels = [gaussian_kernel(self.kernel_size, (sigma, sigma), dtype) for sigma in self.sigma.tolist()]
        return convolve(x, torch.stack(kernels))

    def calls(self) -> Iterator[Call]:
        sigma = self.sigma[0].item()
        yield Call(gaussian_blur, {"kernel_size": list(self.kernel_size), "sigma": [sigma, sigma]})


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
        _check("width", frames.imaged().widths, across)
        _check("height", frames.imaged().heights, down)
        return Blur(self.kernel_size, sigma)

    @staticmethod
    def get_params(sigma_min: float, sigma_max: float) -> float:
        """Draw a standard deviation between two, from torch's global generator."""
        return float(GlobalLane().uniform(sigma_min, sigma_max)[0])


def _launches(image: Tensor) -> bool:
    learned = image.requires_grad and torch.is_grad_enabled()
    return launches(image.device) and image.dtype in (torch.uint8, torch.float32) and not learned


def _launched(images: Tensor, sizes: tuple[int, int], across: FloatArray, down: FloatArray) -> Tensor:
    """``[n, ..., C, H, W]`` blurred by the kernel of CUDA, each by its deviations ``[n]`` across and down."""
    from augserve_pipelines.kernels.blur_triton import blur  # Triton need not be installed

    taps = gaussian_taps(sizes[0], across)
    alike = sizes[0] == sizes[1] and across is down
    return blur(images, taps, taps if alike else gaussian_taps(sizes[1], down))


def _check(name: str, sizes: IntArray, taps: int) -> None:
    least = int(sizes.min(initial=taps))
    if least <= taps // 2:
        raise InvalidInput(
            f"GaussianBlur.kernel_size {taps} is too large for an image of {name} {least}: "
            f"more than {taps // 2} pixels are needed"
        )


def _checked_sizes(kernel_size: int | Sequence[int]) -> tuple[int, int]:
    sizes = [kernel_size, kernel_size] if isinstance(kernel_size, int) else kernel_size
    if len(sizes) != 2 or any(size < 1 or size % 2 == 0 for size in sizes):
        raise ValueError(f"kernel_size is {shown(kernel_size)}; an odd number, or two of them, is needed")
    return sizes[0], sizes[1]


def _checked_sigmas(sigma: float | Sequence[float]) -> tuple[float, float]:
    sigmas = _pair(sigma)
    if min(sigmas) <= 0 or (isinstance(sigma, Sequence) and len(sigma) > 2):
        raise ValueError(f"sigma is {shown(sigma)}; a number greater than 0, or two of them, is needed")
    return sigmas


def _pair(value: Number | Sequence[Number]) -> tuple[Number, Number]:
    values = value if isinstance(value, Sequence) else [value]
    return values[0], values[-1]


def _float(image: Tensor) -> torch.dtype:
    return image.dtype if image.is_floating_point() else torch.float32
