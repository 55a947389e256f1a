"""Change brightness, contrast, saturation and hue."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from augserve_pipelines.frames import Frames, IntArray
from augserve_pipelines.kernels import color, layout
from augserve_pipelines.lanes import Lanes
from augserve_pipelines.ops import NOTHING, Op
from augserve_pipelines.parameters import Factor, Hue
from augserve_pipelines.transforms.base import Transform
from augserve_pipelines.transforms.channels import check_channels
from augserve_pipelines.transforms.conversion import max_value, to_dtype_image
from augserve_pipelines.transforms.grayscale import luminance

__all__ = [
    "ColorJitter",
    "Jitter",
    "adjust_brightness_image",
    "adjust_contrast_image",
    "adjust_hue_image",
    "adjust_saturation_image",
]

FloatArray = NDArray[np.float32]
Limits = tuple[float, float]


def adjust_brightness_image(image: Tensor, brightness_factor: float) -> Tensor:
    """Multiply ``[..., 1 or 3, H, W]`` by a factor of at least 0 (0: black, 1: no change), clamped."""
    if layout.on_cpu(image):
        return _changed(image, color.brighten, brightness_factor)
    return image.mul(brightness_factor).clamp_(0, max_value(image.dtype)).to(image.dtype)


def adjust_contrast_image(image: Tensor, contrast_factor: float) -> Tensor:
    """Blend ``[..., 1 or 3, H, W]`` with the mean luminance of each (0: that gray, 1: no change).

    The mean is torch's sum of float32, whose order follows the number of torch's threads where an image has more than
    65,000 pixels.
    """
    if layout.on_cpu(image):
        return _changed(image, color.stretch, contrast_factor)
    image = layout.dense(image)
    gray = image if image.shape[-3] == 1 else _truncated_luminance(image)
    mean = gray.to(_float(image)).mean(dim=(-3, -2, -1), keepdim=True)
    return _blended(image, mean, contrast_factor)


def adjust_saturation_image(image: Tensor, saturation_factor: float) -> Tensor:
    """Blend ``[..., 1 or 3, H, W]`` with its luminance (0: gray, 1: no change); one channel stays as it is."""
    if image.shape[-3] == 1:
        return image
    if layout.on_cpu(image):
        return _changed(image, color.saturate, saturation_factor)
    return _blended(image, _truncated_luminance(image), saturation_factor)


def adjust_hue_image(image: Tensor, hue_factor: float) -> Tensor:
    """Turn the hue of ``[..., 1 or 3, H, W]`` by ``hue_factor`` of the circle, -0.5 to 0.5.

    Floats are to be in [0, 1]. Any dtype goes through float32, where RGB becomes HSV and back.
    """
    if image.shape[-3] == 1:
        return image
    if layout.on_cpu(image):
        return _changed(image, color.shift_hue, hue_factor)
    shifted = color.shift_hue_floats(to_dtype_image(image, torch.float32, scale=True), hue_factor)
    return to_dtype_image(shifted, image.dtype, scale=True)


def _float(image: Tensor) -> torch.dtype:
    return image.dtype if image.is_floating_point() else torch.float32


def _truncated_luminance(image: Tensor) -> Tensor:
    gray = luminance(image)
    return gray if image.is_floating_point() else gray.floor_()


def _blended(image: Tensor, target: Tensor, factor: float) -> Tensor:
    mixed = image.mul(factor).add_(target, alpha=1.0 - factor)
    return mixed.clamp_(0, max_value(image.dtype)).to(image.dtype)


def _changed(image: Tensor, change: Callable[[Tensor, float], None], factor: float) -> Tensor:
    copy = layout.dense_copy(image)
    for one in copy.view(-1, *image.shape[-3:]):
        change(one, factor)
    return copy


_KERNELS = (adjust_brightness_image, adjust_contrast_image, adjust_saturation_image, adjust_hue_image)
_CHANGES = (color.brighten, color.stretch, color.saturate, color.shift_hue)  # of bytes, in place


@dataclass(frozen=True, slots=True)
class Jitter(Op):
    """Adjust brightness (0), contrast (1), saturation (2) and hue (3), each sample in its own order.

    Samples are taken one at a time: torch's sums and fused operations may depend on what lies beside them.
    """

    order: IntArray  # [N, 4]
    factors: FloatArray  # [N, 4], NaN where nothing is to be done

    def image(self, x: Tensor) -> Tensor:
        out = torch.empty_like(x)
        self.write(x, out)
        return out

    def write(self, x: Tensor, out: Tensor) -> None:
        if layout.on_cpu(x) and layout.dense(out) is out:
            out.copy_(x)
            for row, image in enumerate(out.view(len(out), -1, *out.shape[-3:])):
                self._change(row, image)
        else:
            for row, image in enumerate(x):
                out[row] = self._adjusted(row, image)

    def _change(self, row: int, images: Tensor) -> None:
        for step, factor in self._steps(row):
            for image in images:
                _CHANGES[step](image, factor)

    def _adjusted(self, row: int, image: Tensor) -> Tensor:
        for step, factor in self._steps(row):
            image = _KERNELS[step](image, factor)
        return image

    def _steps(self, row: int) -> list[tuple[int, float]]:
        factors = self.factors[row].tolist()
        return [(step, factors[step]) for step in self.order[row].tolist() if not math.isnan(factors[step])]


class ColorJitter(Transform):
    """Change brightness, contrast, saturation and hue by random factors, in random order.

    Draws: the order of the four, always; then a factor for each that is given and can change the image.

    Args:
        brightness: the range of factors [low, high]; one number ``v`` stands for [max(0, 1 - v), 1 + v].
        contrast: likewise.
        saturation: likewise.
        hue: the range of shifts [low, high], in circles, within [-0.5, 0.5]; one number ``v`` stands for [-v, v].

    Raises:
        InvalidInput: the image has neither 1 nor 3 channels.
    """

    def __init__(
        self,
        brightness: Factor = None,
        contrast: Factor = None,
        saturation: Factor = None,
        hue: Hue = None,
    ) -> None:
        super().__init__()
        self.brightness = _factors(brightness)
        self.contrast = _factors(contrast)
        self.saturation = _factors(saturation)
        self.hue = _shifts(hue)

    def draw(self, lanes: Lanes, frames: Frames) -> Op:
        order = lanes.permutation(4)
        ranges = (self.brightness, self.contrast, self.saturation, self.hue)
        factors = np.full((len(lanes), 4), np.nan, np.float32)
        for step, limits in enumerate(ranges):
            if limits is not None:
                factors[:, step] = lanes.uniform(*limits)
        if ranges == (None,) * 4:
            return NOTHING
        check_channels(frames, type(self).__name__)
        return Jitter(order, factors)


def _factors(value: Any) -> Limits | None:
    """The range of a Factor, None where it can only be 1."""
    if value is None:
        return None
    low, high = (max(0.0, 1.0 - value), 1.0 + value) if isinstance(value, float | int) else value
    return None if low == high == 1.0 else (float(low), float(high))


def _shifts(value: Any) -> Limits | None:
    """The range of a Hue, None where it can only be 0."""
    if value is None:
        return None
    low, high = (-value, value) if isinstance(value, float | int) else value
    return None if low == high == 0.0 else (float(low), float(high))
