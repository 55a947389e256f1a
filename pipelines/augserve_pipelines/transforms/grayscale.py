"""Take the colour out of images, or give gray ones three channels."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from PIL import Image as Picture
from torch import Tensor

from augserve_pipelines.dispatch import Call, functional
from augserve_pipelines.errors import InvalidInput, WrongKind
from augserve_pipelines.frames import Frames, IntArray
from augserve_pipelines.kernels import color, layout
from augserve_pipelines.lanes import Lanes
from augserve_pipelines.ops import Kernels, Op, Select
from augserve_pipelines.parameters import Channels, Probability
from augserve_pipelines.transforms.base import RandomTransform, Transform
from augserve_pipelines.transforms.channels import check_channels, check_gray_or_rgb, tensors

__all__ = [
    "RGB",
    "Grayscale",
    "RandomGrayscale",
    "ToGray",
    "ToRgb",
    "grayscale_to_rgb",
    "grayscale_to_rgb_image",
    "luminance",
    "rgb_to_grayscale",
    "rgb_to_grayscale_image",
    "to_grayscale",
]


def rgb_to_grayscale_image(image: Tensor, num_output_channels: int = 1) -> Tensor:
    """The luminance of ``[..., 3, H, W]``, of the same dtype, truncated for integers: ``[..., 1 or 3, H, W]``.

    Three channels of it are one that is seen three times. An image of one channel is luminance already. The weights
    .2989, .587 and .114 are torchvision's; they do not quite add up to 1, so white bytes become 254.
    """
    _check_output(num_output_channels)
    check_gray_or_rgb(image)
    if image.shape[-3] == 1:
        gray = image.clone() if num_output_channels == 1 else image
    elif layout.on_cpu(image) and image.numel():
        images = layout.dense(image).view(-1, *image.shape[-3:])
        gray = torch.cat([color.gray_bytes(one) for one in images]).view(*image.shape[:-3], 1, *image.shape[-2:])
    else:
        gray = luminance(image).to(image.dtype)
    return gray.expand(*image.shape[:-3], num_output_channels, *image.shape[-2:])


def luminance(image: Tensor) -> Tensor:
    """``.2989 R + .587 G + .114 B`` of ``[..., 3, H, W]`` as floats, ``[..., 1, H, W]``; the sums are fused."""
    red, green, blue = image.unbind(-3)
    return red.mul(0.2989).add_(green, alpha=0.587).add_(blue, alpha=0.114).unsqueeze(-3)


def grayscale_to_rgb_image(image: Tensor) -> Tensor:
    """Three equal channels of one; an image of three or more comes back as it is.

    Raises:
        ValueError: the image has two channels.
    """
    if image.shape[-3] == 2:
        raise ValueError("an image of 1 channel, or of 3 and more, is needed; got one of 2")
    return image if image.shape[-3] > 2 else image.repeat_interleave(3, dim=-3)


def _rgb_to_grayscale_picture(image: Picture.Image, num_output_channels: int = 1) -> Picture.Image:
    _check_output(num_output_channels)
    gray = image.convert("L")
    return gray if num_output_channels == 1 else Picture.merge("RGB", (gray, gray, gray))


def _grayscale_to_rgb_picture(image: Picture.Image) -> Picture.Image:
    return image.convert("RGB")


@functional(image=rgb_to_grayscale_image, video=None, picture=_rgb_to_grayscale_picture)
def rgb_to_grayscale(inpt: Any, num_output_channels: int = 1) -> Any:
    """Replace colours by their luminance, in one channel or in three equal ones."""


@functional(image=grayscale_to_rgb_image, video=None, picture=_grayscale_to_rgb_picture)
def grayscale_to_rgb(inpt: Any) -> Any:
    """Make three equal channels of one; what has more comes back as it is."""


to_grayscale = rgb_to_grayscale


@dataclass(frozen=True, slots=True)
class ToGray(Op):
    """Replace colours by their luminance, in as many channels as each sample is to have: 1 or 3."""

    kernels: ClassVar[Kernels] = Kernels(4, 0)
    channels: IntArray  # [N]

    def frames(self, frames: Frames) -> Frames:
        return frames.with_channels(np.where(frames.channels > 0, self.channels, 0)).planar()

    def image(self, x: Tensor) -> Tensor:
        return rgb_to_grayscale_image(x, int(self.channels[0]))

    def calls(self) -> Iterator[Call]:
        yield Call(rgb_to_grayscale, {"num_output_channels": int(self.channels[0])})


@dataclass(frozen=True, slots=True)
class ToRgb(Op):
    """Repeat the one channel of gray samples."""

    def frames(self, frames: Frames) -> Frames:
        return frames.with_channels(np.where(frames.channels == 1, 3, frames.channels))

    def image(self, x: Tensor) -> Tensor:
        return grayscale_to_rgb_image(x)

    def calls(self) -> Iterator[Call]:
        yield Call(grayscale_to_rgb)


class Grayscale(Transform):
    """Replace colours by their luminance. Videos stay as they are.

    Args:
        num_output_channels: channels of the result, 1 or 3.

    Raises:
        InvalidInput: the image has neither 1 nor 3 channels.
    """

    def __init__(self, num_output_channels: Channels = 1) -> None:
        super().__init__()
        self.num_output_channels = num_output_channels

    def draw(self, lanes: Lanes, frames: Frames) -> Op:
        return _but_for_videos(frames, self._gray)

    def _gray(self, frames: Frames) -> Op:
        check_channels(frames, type(self).__name__)
        return ToGray(np.full(len(frames), self.num_output_channels))


class RandomGrayscale(RandomTransform):
    """Replace colours by their luminance with probability ``p``; the image keeps its number of channels.

    Videos stay as they are.

    Draws: one number for ``p``.

    Args:
        p: probability of taking the colour out.

    Raises:
        InvalidInput: the image has neither 1 nor 3 channels.
        TypeError: there is no image.
    """

    def __init__(self, p: Probability = 0.1) -> None:
        super().__init__()
        self.p = p

    def draw_fired(self, lanes: Lanes, frames: Frames) -> Op:
        if len(frames.imaged()) < len(frames):
            raise WrongKind("RandomGrayscale keeps the channels of the image, and there is none")
        return _but_for_videos(frames, self._gray)

    def _gray(self, frames: Frames) -> Op:
        check_channels(frames, type(self).__name__)
        return ToGray(frames.channels)


class RGB(Transform):
    """Make three equal channels of one; images of three or more channels, and videos, stay as they are.

    Raises:
        InvalidInput: the image has two channels.
    """

    def __init__(self) -> None:
        super().__init__()

    def draw(self, lanes: Lanes, frames: Frames) -> Op:
        return _but_for_videos(frames, self._rgb)

    def _rgb(self, frames: Frames) -> Op:
        if (frames.channels[tensors(frames)] == 2).any():
            raise InvalidInput("RGB takes images of 1 channel, or of 3 and more; got one of 2")
        return ToRgb()


def _but_for_videos(frames: Frames, draw: Callable[[Frames], Op]) -> Op:
    """What is drawn for the samples that are no videos: torchvision has no such kernel for these."""
    if frames.videos is None or not frames.videos.any():
        return draw(frames)
    return Select(~frames.videos, draw(frames[~frames.videos]))


def _check_output(num_output_channels: int) -> None:
    if num_output_channels not in (1, 3):
        raise ValueError(f"num_output_channels is {num_output_channels}; 1 and 3 are allowed")
