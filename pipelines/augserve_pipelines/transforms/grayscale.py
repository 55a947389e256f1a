"""Take the colour out of images."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from augserve_pipelines.frames import Frames, IntArray
from augserve_pipelines.kernels import color, layout
from augserve_pipelines.lanes import Lanes
from augserve_pipelines.ops import Op
from augserve_pipelines.parameters import Channels, Probability
from augserve_pipelines.transforms.base import RandomTransform, Transform
from augserve_pipelines.transforms.channels import check_channels

__all__ = ["Grayscale", "RandomGrayscale", "ToGray", "luminance", "rgb_to_grayscale_image"]


def rgb_to_grayscale_image(image: Tensor, num_output_channels: int = 1) -> Tensor:
    """The luminance of ``[..., 3, H, W]``, of the same dtype, truncated for integers: ``[..., 1 or 3, H, W]``.

    Three channels of it are one that is seen three times. An image of one channel is luminance already. The weights
    .2989, .587 and .114 are torchvision's; they do not quite add up to 1, so white bytes become 254.
    """
    if image.shape[-3] == 1:
        gray = image.clone() if num_output_channels == 1 else image
    elif layout.on_cpu(image):
        images = layout.dense(image).view(-1, *image.shape[-3:])
        gray = torch.cat([color.gray_bytes(one) for one in images]).view(*image.shape[:-3], 1, *image.shape[-2:])
    else:
        gray = luminance(image).to(image.dtype)
    return gray.expand(*image.shape[:-3], num_output_channels, *image.shape[-2:])


def luminance(image: Tensor) -> Tensor:
    """``.2989 R + .587 G + .114 B`` of ``[..., 3, H, W]`` as floats, ``[..., 1, H, W]``; the sums are fused."""
    red, green, blue = image.unbind(-3)
    return red.mul(0.2989).add_(green, alpha=0.587).add_(blue, alpha=0.114).unsqueeze(-3)


@dataclass(frozen=True, slots=True)
class ToGray(Op):
    """Replace colours by their luminance, in as many channels as each sample is to have: 1 or 3."""

    channels: IntArray  # [N]

    def frames(self, frames: Frames) -> Frames:
        return frames.with_channels(self.channels)

    def image(self, x: Tensor) -> Tensor:
        return rgb_to_grayscale_image(x, int(self.channels[0]))


class Grayscale(Transform):
    """Replace colours by their luminance.

    Args:
        num_output_channels: channels of the result, 1 or 3.

    Raises:
        InvalidInput: the image has neither 1 nor 3 channels.
    """

    def __init__(self, num_output_channels: Channels = 1) -> None:
        super().__init__()
        self.num_output_channels = num_output_channels

    def draw(self, lanes: Lanes, frames: Frames) -> Op:
        check_channels(frames, type(self).__name__)
        return ToGray(np.full(len(frames), self.num_output_channels))


class RandomGrayscale(RandomTransform):
    """Replace colours by their luminance with probability ``p``; the image keeps its number of channels.

    Draws: one number for ``p``.

    Args:
        p: probability of taking the colour out.

    Raises:
        InvalidInput: the image has neither 1 nor 3 channels.
    """

    def __init__(self, p: Probability = 0.1) -> None:
        super().__init__()
        self.p = p

    def draw_fired(self, lanes: Lanes, frames: Frames) -> Op:
        check_channels(frames, type(self).__name__)
        return ToGray(frames.channels)
