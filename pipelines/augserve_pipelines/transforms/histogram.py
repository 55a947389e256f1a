"""Spread the levels of images: equalize, autocontrast."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from PIL import Image as Picture
from PIL import ImageOps
from torch import Tensor

from augserve_pipelines.dispatch import Call, functional
from augserve_pipelines.frames import Frames
from augserve_pipelines.kernels import histogram, layout
from augserve_pipelines.lanes import Lanes
from augserve_pipelines.ops import Kernels, Op
from augserve_pipelines.parameters import Probability
from augserve_pipelines.transforms.base import RandomTransform
from augserve_pipelines.transforms.channels import check_channels, check_gray_or_rgb
from augserve_pipelines.transforms.conversion import max_value, to_dtype_image
from augserve_pipelines.transforms.pictures import by_pillow
from augserve_pipelines.transforms.retouch import Retouch

__all__ = [
    "Autocontrast",
    "Equalize",
    "RandomAutocontrast",
    "RandomEqualize",
    "autocontrast",
    "autocontrast_image",
    "equalize",
    "equalize_image",
]


def equalize_image(image: Tensor) -> Tensor:
    """Make the levels of each channel of ``[..., C, H, W]`` about equally frequent, by Pillow's integer arithmetic.

    Any dtype goes through uint8. The result lies channel by channel.
    """
    if not image.numel():
        return image
    levels = to_dtype_image(image, torch.uint8, scale=True)
    if layout.on_cpu(levels):
        equalized = levels.clone(memory_format=torch.contiguous_format)
        histogram.equalize(equalized)
    else:
        equalized = histogram.equalize_reference(levels)
    return to_dtype_image(equalized, image.dtype, scale=True)


def autocontrast_image(image: Tensor) -> Tensor:
    """Stretch the values of each channel of ``[..., 1 or 3, H, W]`` to the whole range of its dtype."""
    check_gray_or_rgb(image)
    if not image.numel():
        return image
    if not layout.on_cpu(image):
        return histogram.autocontrast_reference(image, max_value(image.dtype))
    stretched = layout.dense_copy(image)
    for one in stretched.flatten(0, -4) if stretched.ndim > 3 else [stretched]:
        histogram.autocontrast(one)
    return stretched


def _equalize_picture(image: Picture.Image) -> Picture.Image:
    return by_pillow(ImageOps.equalize, image)


def _autocontrast_picture(image: Picture.Image) -> Picture.Image:
    return by_pillow(ImageOps.autocontrast, image)


@functional(image=equalize_image, picture=_equalize_picture)
def equalize(inpt: Any) -> Any:
    """Make the levels of each channel about equally frequent."""


@functional(image=autocontrast_image, picture=_autocontrast_picture)
def autocontrast(inpt: Any) -> Any:
    """Stretch the values of each channel to the whole range."""


@dataclass(frozen=True, slots=True)
class Equalize(Op):
    """Make the levels of each channel about equally frequent."""

    kernels: ClassVar[Kernels] = Kernels(20, 0)
    planar: ClassVar[bool] = True

    def image(self, x: Tensor) -> Tensor:
        return equalize_image(x)

    def calls(self) -> Iterator[Call]:
        yield Call(equalize)


@dataclass(frozen=True, slots=True)
class Autocontrast(Retouch):
    """Stretch the values of each channel to the whole range."""

    kernels: ClassVar[Kernels] = Kernels(0, 15)

    def change(self, row: int, image: Tensor) -> None:
        histogram.autocontrast(image)

    def changed(self, row: int, image: Tensor) -> Tensor:
        return autocontrast_image(image)

    def calls(self) -> Iterator[Call]:
        yield Call(autocontrast)


class RandomEqualize(RandomTransform):
    """Make the levels of each channel about equally frequent with probability ``p``.

    Draws: one number for ``p``.

    Args:
        p: probability of equalizing.
    """

    def __init__(self, p: Probability = 0.5) -> None:
        super().__init__()
        self.p = p

    def draw_fired(self, lanes: Lanes, frames: Frames) -> Op:
        return Equalize()


class RandomAutocontrast(RandomTransform):
    """Stretch the values of each channel to the whole range with probability ``p``.

    Draws: one number for ``p``.

    Args:
        p: probability of stretching.

    Raises:
        InvalidInput: the image has neither 1 nor 3 channels.
    """

    def __init__(self, p: Probability = 0.5) -> None:
        super().__init__()
        self.p = p

    def draw_fired(self, lanes: Lanes, frames: Frames) -> Op:
        check_channels(frames, type(self).__name__)
        return Autocontrast()
