"""Adjust brightness, contrast, saturation, hue and gamma."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from PIL import Image as Picture
from PIL import ImageEnhance
from torch import Tensor

from augserve_pipelines.dispatch import functional
from augserve_pipelines.kernels import color, layout
from augserve_pipelines.transforms.channels import check_gray_or_rgb
from augserve_pipelines.transforms.conversion import max_value, to_dtype_image
from augserve_pipelines.transforms.grayscale import luminance

__all__ = [
    "adjust_brightness",
    "adjust_brightness_image",
    "adjust_contrast",
    "adjust_contrast_image",
    "adjust_gamma",
    "adjust_gamma_image",
    "adjust_hue",
    "adjust_hue_image",
    "adjust_saturation",
    "adjust_saturation_image",
    "check_not_negative",
]

_WITHOUT_HUE = ("L", "1", "I", "F")  # modes of PIL images


def adjust_brightness_image(image: Tensor, brightness_factor: float) -> Tensor:
    """Multiply ``[..., 1 or 3, H, W]`` by a factor of at least 0 (0: black, 1: no change), clamped."""
    check_not_negative("brightness_factor", brightness_factor)
    check_gray_or_rgb(image)
    if layout.on_cpu(image):
        return _changed(layout.dense_copy(image), color.brighten, brightness_factor)
    return image.mul(brightness_factor).clamp_(0, max_value(image.dtype)).to(image.dtype)


def adjust_contrast_image(image: Tensor, contrast_factor: float) -> Tensor:
    """Blend ``[..., 1 or 3, H, W]`` with the mean luminance of each (0: that gray, 1: no change).

    The mean is torch's sum of float32, whose order follows the number of torch's threads where an image has more than
    65,000 pixels.
    """
    check_not_negative("contrast_factor", contrast_factor)
    check_gray_or_rgb(image)
    if layout.on_cpu(image):
        return _changed(layout.dense_copy(image), color.stretch, contrast_factor)
    image = layout.dense(image)
    gray = image if image.shape[-3] == 1 else _truncated_luminance(image)
    mean = gray.to(_float(image)).mean(dim=(-3, -2, -1), keepdim=True)
    return _blended(image, mean, contrast_factor)


def adjust_saturation_image(image: Tensor, saturation_factor: float) -> Tensor:
    """Blend ``[..., 1 or 3, H, W]`` with its luminance (0: gray, 1: no change); one channel stays as it is."""
    check_not_negative("saturation_factor", saturation_factor)
    check_gray_or_rgb(image)
    if image.shape[-3] == 1:
        return image
    if layout.on_cpu(image):
        return _changed(layout.dense_copy(image), color.saturate, saturation_factor)
    return _blended(image, _truncated_luminance(image), saturation_factor)


def adjust_hue_image(image: Tensor, hue_factor: float) -> Tensor:
    """Turn the hue of ``[..., 1 or 3, H, W]`` by ``hue_factor`` of the circle, -0.5 to 0.5.

    Floats are to be in [0, 1]. Any dtype goes through float32, where RGB becomes HSV and back.
    The result lies channel by channel.
    """
    _check_hue(hue_factor)
    check_gray_or_rgb(image)
    if image.shape[-3] == 1 or not image.numel():
        return image
    if layout.on_cpu(image):
        return _changed(image.clone(memory_format=torch.contiguous_format), color.shift_hue, hue_factor)
    shifted = color.shift_hue_floats(to_dtype_image(image, torch.float32, scale=True), hue_factor)
    return to_dtype_image(shifted, image.dtype, scale=True)


def adjust_gamma_image(image: Tensor, gamma: float, gain: float = 1.0) -> Tensor:
    """``gain * value ** gamma`` of values as shares of the greatest possible, clamped where ``gain`` is not 1."""
    check_not_negative("gamma", gamma)
    values = image if image.is_floating_point() else to_dtype_image(image, torch.float32, scale=True)
    powers = values.pow(gamma)
    if gain != 1.0:
        powers.mul_(gain).clamp_(0.0, 1.0)
    return to_dtype_image(powers, image.dtype, scale=True)


def _enhancing(enhancer: Callable[[Picture.Image], Any], picture: Picture.Image, factor: float) -> Picture.Image:
    enhanced: Picture.Image = enhancer(picture).enhance(factor)
    return enhanced


def _adjust_brightness_picture(image: Picture.Image, brightness_factor: float) -> Picture.Image:
    return _enhancing(ImageEnhance.Brightness, image, brightness_factor)


def _adjust_contrast_picture(image: Picture.Image, contrast_factor: float) -> Picture.Image:
    return _enhancing(ImageEnhance.Contrast, image, contrast_factor)


def _adjust_saturation_picture(image: Picture.Image, saturation_factor: float) -> Picture.Image:
    return _enhancing(ImageEnhance.Color, image, saturation_factor)


def _adjust_hue_picture(image: Picture.Image, hue_factor: float) -> Picture.Image:
    """Turn the hue as a byte: by whole 255ths of the circle, around which bytes wrap at 256."""
    _check_hue(hue_factor)
    if image.mode in _WITHOUT_HUE:
        return image
    hue, saturation, value = image.convert("HSV").split()
    turned = np.array(hue) + np.int32(hue_factor * 255).astype(np.uint8)
    return Picture.merge("HSV", (Picture.fromarray(turned), saturation, value)).convert(image.mode)


def _adjust_gamma_picture(image: Picture.Image, gamma: float, gain: float = 1.0) -> Picture.Image:
    check_not_negative("gamma", gamma)
    table = [int((256 - 1e-3) * gain * (level / 255.0) ** gamma) for level in range(256)]
    return image.convert("RGB").point(table * 3).convert(image.mode)


@functional(image=adjust_brightness_image, picture=_adjust_brightness_picture)
def adjust_brightness(inpt: Any, brightness_factor: float) -> Any:
    """Multiply an image by a factor of at least 0: 0 makes it black, 1 changes nothing."""


@functional(image=adjust_contrast_image, picture=_adjust_contrast_picture)
def adjust_contrast(inpt: Any, contrast_factor: float) -> Any:
    """Blend an image with its mean gray by a factor of at least 0: 0 is that gray, 1 changes nothing."""


@functional(image=adjust_saturation_image, picture=_adjust_saturation_picture)
def adjust_saturation(inpt: Any, saturation_factor: float) -> Any:
    """Blend an image with its luminance by a factor of at least 0: 0 takes the colour out, 1 changes nothing."""


@functional(image=adjust_hue_image, picture=_adjust_hue_picture)
def adjust_hue(inpt: Any, hue_factor: float) -> Any:
    """Turn the hue of an image by a share of the circle, -0.5 to 0.5."""


@functional(image=adjust_gamma_image, picture=_adjust_gamma_picture)
def adjust_gamma(inpt: Any, gamma: float, gain: float = 1) -> Any:
    """Raise values, as shares of the greatest possible, to the power of ``gamma``, and multiply them by ``gain``."""


def check_not_negative(name: str, value: float) -> None:
    """Check a factor.

    Raises:
        ValueError: it is less than 0.
    """
    if value < 0:
        raise ValueError(f"{name} is {value}; it is 0 or more")


def _check_hue(hue_factor: float) -> None:
    if not -0.5 <= hue_factor <= 0.5:
        raise ValueError(f"hue_factor is {hue_factor}; -0.5 to 0.5 is allowed")


def _float(image: Tensor) -> torch.dtype:
    return image.dtype if image.is_floating_point() else torch.float32


def _truncated_luminance(image: Tensor) -> Tensor:
    gray = luminance(image)
    return gray if image.is_floating_point() else gray.floor_()


def _blended(image: Tensor, target: Tensor, factor: float) -> Tensor:
    mixed = image.mul(factor).add_(target, alpha=1.0 - factor)
    return mixed.clamp_(0, max_value(image.dtype)).to(image.dtype)


def _changed(copy: Tensor, change: Callable[[Tensor, float], None], factor: float) -> Tensor:
    for one in copy.flatten(0, -4) if copy.ndim > 3 else [copy]:
        change(one, factor)
    return copy
