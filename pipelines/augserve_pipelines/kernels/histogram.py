"""Spread the levels of uint8 images: in place on the CPU, by compiled loops; on any device by torch operations."""

from __future__ import annotations

from functools import cache
from types import ModuleType

import torch
from torch import Tensor

from augserve_pipelines.kernels import layout


def equalize(image: Tensor) -> None:
    """Make the levels of each channel of the contiguous bytes ``[..., H, W]`` about equally frequent."""
    _loops().equalize(image.view(-1, image.shape[-2] * image.shape[-1]).numpy())


def autocontrast(image: Tensor) -> None:
    """Stretch each channel of the bytes ``[1 or 3, H, W]`` to 0 to 255; dense in the sense of ``layout.dense``."""
    values, interleaved = layout.flat(image)
    if interleaved:
        _loops().stretch_pixels(values)
        return
    for plane in values.reshape(len(image), -1):
        _loops().stretch(plane)


def equalize_reference(image: Tensor) -> Tensor:
    """``equalize`` of a copy of ``[..., H, W]`` in torch operations, on any device."""
    planes = image.reshape(-1, image.shape[-2] * image.shape[-1]).long()
    first = torch.arange(0, 256 * len(planes), 256, device=image.device).unsqueeze(1)
    counts = torch.bincount((planes + first).flatten(), minlength=256 * len(planes)).view(-1, 256)
    upto = counts.cumsum(1)
    last = upto.argmax(1, keepdim=True)  # the highest level that occurs
    step = (planes.shape[1] - counts.gather(1, last)).div_(255, rounding_mode="floor")
    levels = (upto - counts + step // 2).div_(step.clamp(min=1), rounding_mode="floor").clamp_(max=255)
    spread = levels.gather(1, planes)
    return torch.where(step > 0, spread, planes).to(torch.uint8).view(image.shape)


def autocontrast_reference(image: Tensor, maximum: int) -> Tensor:
    """``autocontrast`` of a copy of ``[..., H, W]`` of any dtype, to 0 to ``maximum``, in torch operations."""
    values = image if image.is_floating_point() else image.to(torch.float32)
    low, high = values.amin((-2, -1), keepdim=True), values.amax((-2, -1), keepdim=True)
    flat = low == high
    scale = torch.where(flat, 1.0, (high - low).mul_(1.0 / maximum))
    stretched = values.sub(torch.where(flat, 0.0, low)).div_(scale)
    return stretched.clamp_(0, maximum).to(image.dtype)


@cache
def _loops() -> ModuleType:
    from augserve_pipelines.kernels import histogram_loops  # half a second for numba, so not before it is needed

    return histogram_loops
