"""Blur images with Gaussians."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from augserve_pipelines.scripting.draws import uniform
from augserve_pipelines.scripting.dtypes import rounded
from augserve_pipelines.scripting.form import Form

__all__ = ["Blur", "GaussianBlur", "blur"]


def blur(image: Tensor, kernel_size: tuple[int, int], sigma: tuple[float, float]) -> Tensor:
    """Blur ``[..., C, H, W]``, mirrored at its borders; sizes and sigmas are across and down."""
    across, down = kernel_size
    if image.shape[-1] <= across // 2 or image.shape[-2] <= down // 2:
        raise ValueError(f"a kernel of {across} x {down} taps (across, down) is too large for the image")
    channels, dtype = image.shape[-3], image.dtype if image.is_floating_point() else torch.float32
    taps = _taps(down, sigma[1], dtype, image.device).unsqueeze(1) * _taps(across, sigma[0], dtype, image.device)
    flat = image.reshape(-1, channels, image.shape[-2], image.shape[-1]).to(dtype)
    padded = F.pad(flat, [across // 2, across // 2, down // 2, down // 2], mode="reflect")
    blurred = F.conv2d(padded, taps.expand(channels, 1, down, across), groups=channels)
    return rounded(blurred, image.dtype).reshape(image.shape)


def _taps(size: int, sigma: float, dtype: torch.dtype, device: torch.device) -> Tensor:
    """``exp(-x**2 / (2 * sigma**2))``, normalised: a softmax over x divided by the root of 2."""
    furthest = (size - 1) / (2.0 * math.sqrt(2.0))
    places = torch.linspace(-furthest, furthest, size, dtype=dtype, device=device)
    return places.div(sigma).pow(2).neg().softmax(0)


class Blur(Form):
    """Blur with one Gaussian."""

    def __init__(self, kernel_size: tuple[int, int], sigma: float) -> None:
        super().__init__()
        self.kernel_size = kernel_size
        self.sigma = sigma

    def forward(self, image: Tensor) -> Tensor:
        return blur(image, self.kernel_size, (self.sigma, self.sigma))


class GaussianBlur(Form):
    """See the transform."""

    def __init__(self, kernel_size: tuple[int, int], sigma: tuple[float, float]) -> None:
        super().__init__()
        self.kernel_size = kernel_size
        self.sigma = sigma

    def forward(self, image: Tensor) -> Tensor:
        drawn = uniform(self.sigma[0], self.sigma[1])
        return blur(image, self.kernel_size, (drawn, drawn))

    def settled(self) -> Form | None:
        low, high = self.sigma
        return Blur(self.kernel_size, float(torch.tensor(low))) if low == high else None  # as drawn: float32
