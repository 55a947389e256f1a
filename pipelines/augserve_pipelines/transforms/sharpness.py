"""Sharpen images, or soften them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Picture
from PIL import ImageEnhance
from torch import Tensor

from augserve_pipelines.arguments import Words
from augserve_pipelines.dispatch import Call, functional
from augserve_pipelines.frames import Frames
from augserve_pipelines.kernels import layout, sharpness
from augserve_pipelines.lanes import Lanes
from augserve_pipelines.ops import Kernels, Op
from augserve_pipelines.parameters import NotNegative, Probability
from augserve_pipelines.transforms.adjust import check_not_negative
from augserve_pipelines.transforms.base import RandomTransform
from augserve_pipelines.transforms.channels import check_channels, check_gray_or_rgb
from augserve_pipelines.transforms.conversion import max_value
from augserve_pipelines.transforms.retouch import Retouch

__all__ = ["RandomAdjustSharpness", "Sharpen", "adjust_sharpness", "adjust_sharpness_image"]

FloatArray = NDArray[np.float64]

SharpnessFactor = Annotated[NotNegative, Words("a number", example=2)]


def adjust_sharpness_image(image: Tensor, sharpness_factor: float) -> Tensor:
    """Move the values of ``[..., 1 or 3, H, W]`` away from the mean of their 3 x 3 window, in which they weigh 5/13.

    A factor of 0 gives that mean, 1 changes nothing, 2 doubles the distance. Values at the border stay, and so does an
    image of fewer than 3 rows or columns.
    """
    check_gray_or_rgb(image)
    check_not_negative("sharpness_factor", sharpness_factor)
    if not image.numel() or min(image.shape[-2:]) <= 2:
        return image
    if not layout.on_cpu(image):
        flat = image.flatten(0, -4) if image.ndim > 4 else image
        return sharpness.sharpen_reference(flat, sharpness_factor, max_value(image.dtype)).view(image.shape)
    sharpened = layout.dense_copy(image)
    for one in sharpened.flatten(0, -4) if sharpened.ndim > 3 else [sharpened]:
        sharpness.sharpen(one, sharpness_factor)
    return sharpened


def _adjust_sharpness_picture(image: Picture.Image, sharpness_factor: float) -> Picture.Image:
    return ImageEnhance.Sharpness(image).enhance(sharpness_factor)


@functional(image=adjust_sharpness_image, picture=_adjust_sharpness_picture)
def adjust_sharpness(inpt: Any, sharpness_factor: float) -> Any:
    """Sharpen an image by a factor of at least 0: 0 softens it, 1 changes nothing."""


@dataclass(frozen=True, slots=True)
class Sharpen(Retouch):
    """Sharpen each sample by a factor of its own."""

    kernels: ClassVar[Kernels] = Kernels(0, 11)
    factor: FloatArray  # [N]

    def change(self, row: int, image: Tensor) -> None:
        sharpness.sharpen(image, self.factor[row].item())

    def changed(self, row: int, image: Tensor) -> Tensor:
        return adjust_sharpness_image(image, self.factor[row].item())

    def calls(self) -> Iterator[Call]:
        yield Call(adjust_sharpness, {"sharpness_factor": self.factor[0].item()})


class RandomAdjustSharpness(RandomTransform):
    """Sharpen or soften the image with probability ``p``.

    Draws: one number for ``p``.

    Args:
        sharpness_factor: 0 softens, 1 changes nothing, 2 doubles the distance to the surroundings.
        p: probability of sharpening.

    Raises:
        InvalidInput: the image has neither 1 nor 3 channels.
    """

    def __init__(self, sharpness_factor: SharpnessFactor, p: Probability = 0.5) -> None:
        super().__init__()
        self.sharpness_factor = sharpness_factor
        self.p = p

    def draw_fired(self, lanes: Lanes, frames: Frames) -> Op:
        check_channels(frames, type(self).__name__)
        return Sharpen(np.full(len(frames), self.sharpness_factor, np.float64))
