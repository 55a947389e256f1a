"""Change every value by itself: invert, posterize, solarize."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from augserve_pipelines.arguments import shown
from augserve_pipelines.errors import InvalidInput
from augserve_pipelines.frames import Frames
from augserve_pipelines.kernels import color, layout
from augserve_pipelines.lanes import Lanes
from augserve_pipelines.ops import Op
from augserve_pipelines.parameters import Bits, Probability, Threshold
from augserve_pipelines.transforms.base import RandomTransform
from augserve_pipelines.transforms.conversion import max_value

__all__ = [
    "Invert",
    "Posterize",
    "RandomInvert",
    "RandomPosterize",
    "RandomSolarize",
    "Solarize",
    "invert_image",
    "posterize_image",
    "solarize_image",
]


def invert_image(image: Tensor) -> Tensor:
    """The negative of an image of any shape: ``max - value``, where max is 1 for floats."""
    if image.is_floating_point():
        return 1.0 - image
    # Signed integers keep their sign bit, so that 0 and the maximum change places.
    return image.bitwise_not() if image.dtype == torch.uint8 else image.bitwise_xor(max_value(image.dtype))


def posterize_image(image: Tensor, bits: int) -> Tensor:
    """Keep the highest ``bits`` (0 to 8) of every value; floats are rounded down to ``2**bits`` levels below 1."""
    if image.is_floating_point():
        levels = 1 << bits
        return image.mul(levels).floor_().clamp_(0, levels - 1).mul_(1.0 / levels)
    maximum = max_value(image.dtype)
    dropped = maximum.bit_length() - bits
    return image & (maximum >> dropped << dropped) if dropped > 0 else image


def solarize_image(image: Tensor, threshold: float) -> Tensor:
    """Invert the values from ``threshold`` on, which is in the units of the image: 0 to 255 for uint8."""
    if layout.on_cpu(image):
        solarized = layout.dense_copy(image)
        color.invert_from(solarized, threshold)
        return solarized
    return torch.where(image >= threshold, invert_image(image), image)


@dataclass(frozen=True, slots=True)
class Invert(Op):
    """Make the negative."""

    def image(self, x: Tensor) -> Tensor:
        return invert_image(x)


@dataclass(frozen=True, slots=True)
class Posterize(Op):
    """Keep the highest bits."""

    bits: int

    def image(self, x: Tensor) -> Tensor:
        return posterize_image(x, self.bits)


@dataclass(frozen=True, slots=True)
class Solarize(Op):
    """Invert the values from a threshold on."""

    threshold: float

    def image(self, x: Tensor) -> Tensor:
        return solarize_image(x, self.threshold)


class RandomInvert(RandomTransform):
    """Make the negative of the image with probability ``p``.

    Draws: one number for ``p``.

    Args:
        p: probability of inverting.
    """

    def __init__(self, p: Probability = 0.5) -> None:
        super().__init__()
        self.p = p

    def draw_fired(self, lanes: Lanes, frames: Frames) -> Op:
        return Invert()


class RandomPosterize(RandomTransform):
    """Keep only the highest bits of every value with probability ``p``.

    Draws: one number for ``p``.

    Args:
        bits: bits to keep, 0 to 8.
        p: probability of posterizing.
    """

    def __init__(self, bits: Bits, p: Probability = 0.5) -> None:
        super().__init__()
        self.bits = bits
        self.p = p

    def draw_fired(self, lanes: Lanes, frames: Frames) -> Op:
        return Posterize(self.bits)


class RandomSolarize(RandomTransform):
    """Invert all values from a threshold on with probability ``p``.

    Draws: one number for ``p``.

    Args:
        threshold: the least value that is inverted, in the units of the image: 0 to 255 for uint8, 0 to 1 for floats.
        p: probability of solarizing.

    Raises:
        InvalidInput: the threshold is greater than the image's values can be.
    """

    def __init__(self, threshold: Threshold, p: Probability = 0.5) -> None:
        super().__init__()
        self.threshold = threshold
        self.p = p

    def draw_fired(self, lanes: Lanes, frames: Frames) -> Op:
        for dtype in set(frames.dtypes.tolist()):
            if self.threshold > max_value(dtype):
                raise InvalidInput(
                    f"RandomSolarize.threshold {shown(self.threshold)} is greater than {max_value(dtype)}, "
                    f"the maximum of {str(dtype).removeprefix('torch.')}"
                )
        return Solarize(self.threshold)
