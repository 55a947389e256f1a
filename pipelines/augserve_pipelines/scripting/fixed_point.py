"""Resize bytes in the integer arithmetic of torch's CPU kernels and of Pillow, on any device and for any sizes.

Sums of integers are sums of float64 here: they stay far below 2**53 and so are exact in any order, and a pass over the
image is a product of matrices.
"""

import torch
from torch import Tensor

__all__ = ["resize_bytes"]


def resize_bytes(
    image: Tensor, height: int, width: int, mode: str, antialias: bool, parity: str, down_first: bool
) -> Tensor:
    """Resize ``[..., C, H, W]`` uint8, bilinear or bicubic, with bytes between the passes.

    torch gives its int16 weights the most bits that the greatest of them leaves free; Pillow always takes 22.

    Raises:
        TypeError: the image is not of bytes.
    """
    if image.dtype != torch.uint8:
        raise TypeError("integer arithmetic is for images of uint8")
    across = _weights(image.shape[-1], width, mode, antialias)
    down = _weights(image.shape[-2], height, mode, antialias)
    if down_first:
        return _across(_down(image, down, parity), across, parity)
    return _down(_across(image, across, parity), down, parity)


def _across(image: Tensor, weights: Tensor, parity: str) -> Tensor:
    bits = _bits(weights, parity)
    sums = torch.matmul(image.to(torch.float64), _fixed(weights, bits).to(image.device).mT)
    return _bytes(sums, bits.to(image.device))


def _down(image: Tensor, weights: Tensor, parity: str) -> Tensor:
    bits = _bits(weights, parity)
    sums = torch.matmul(_fixed(weights, bits).to(image.device), image.to(torch.float64))
    return _bytes(sums, bits.to(image.device))


def _bytes(sums: Tensor, bits: Tensor) -> Tensor:
    return torch.floor((sums + torch.exp2(bits - 1)) / torch.exp2(bits)).clamp(0, 255).to(torch.uint8)


def _fixed(weights: Tensor, bits: Tensor) -> Tensor:
    return torch.trunc(weights * torch.exp2(bits) + torch.copysign(torch.full_like(weights, 0.5), weights))


def _bits(weights: Tensor, parity: str) -> Tensor:
    """Bits of the weights' fraction, a scalar."""
    if parity == "pillow":
        return torch.tensor(22.0, dtype=torch.float64)
    tried = torch.arange(1, 23, dtype=torch.float64)
    return (torch.trunc(0.5 + weights.amax() * torch.exp2(tried)) < 32768.0).sum().to(torch.float64)  # int16


def _weights(extent: int, size: int, mode: str, antialias: bool) -> Tensor:
    """What each of ``extent`` pixels adds to each of ``size``, ``[size, extent]`` float64, on the CPU."""
    return _antialiased(extent, size, mode) if antialias else _plain(extent, size, mode)


def _antialiased(extent: int, size: int, mode: str) -> Tensor:
    support = 1.0 if mode == "bilinear" else 2.0
    scale = _scale(extent, size)
    stretch = scale.clamp(min=1.0)
    centers = scale * (torch.arange(size, dtype=torch.float64) + 0.5)
    starts = torch.trunc(centers - support * stretch + 0.5).clamp(min=0.0).unsqueeze(1)
    ends = torch.trunc(centers + support * stretch + 0.5).unsqueeze(1)
    places = torch.arange(extent, dtype=torch.float64)
    positions = (places - centers.unsqueeze(1) + 0.5) * (1.0 / stretch)
    values = _triangle(positions) if mode == "bilinear" else _keys(positions, -0.5)
    weights = torch.where((places >= starts) & (places < ends), values, 0.0)
    return weights / weights.cumsum(1)[:, -1:]  # one after the other, as the C loops of both add them


def _plain(extent: int, size: int, mode: str) -> Tensor:
    """Two or four taps whatever the scale; those that fall outside are added to the border pixel."""
    centers = _scale(extent, size) * (torch.arange(size, dtype=torch.float64) + 0.5) - 0.5
    if mode == "bilinear":
        centers = centers.clamp(min=0.0)
    reach = 1 if mode == "bilinear" else 2
    taps = centers.floor().unsqueeze(1) + torch.arange(1 - reach, 1 + reach, dtype=torch.float64)
    offsets = taps - centers.unsqueeze(1)
    values = _triangle(offsets) if mode == "bilinear" else _keys(offsets, -0.75)
    weights = torch.zeros(size, extent, dtype=torch.float64)
    inside = taps.to(torch.int64).clamp(0, extent - 1)
    for tap in range(2 * reach):
        weights = weights.scatter_add(1, inside[:, tap : tap + 1], values[:, tap : tap + 1])
    return weights


def _scale(extent: int, size: int) -> Tensor:
    """A scalar, as sizes that are symbols become no floats without losing their freedom."""
    return torch.full([], extent, dtype=torch.float64) / torch.full([], size, dtype=torch.float64)


def _triangle(x: Tensor) -> Tensor:
    return (1.0 - x.abs()).clamp(min=0.0)


def _keys(x: Tensor, a: float) -> Tensor:
    """The cubic convolution kernel of R. G. Keys (1981) with parameter ``a``."""
    x = x.abs()
    near = ((a + 2.0) * x - (a + 3.0)) * x * x + 1.0
    far = (((x - 5.0) * x + 8.0) * x - 4.0) * a
    return torch.where(x < 1.0, near, torch.where(x < 2.0, far, 0.0))
