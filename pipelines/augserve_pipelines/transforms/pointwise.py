"""Change every value by itself: invert, posterize, solarize."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image as Picture
from PIL import ImageOps
from torch import Tensor

from augserve_pipelines.arguments import shown
from augserve_pipelines.dispatch import Call, functional
from augserve_pipelines.errors import InvalidInput, WrongKind
from augserve_pipelines.frames import Frames, IntArray
from augserve_pipelines.kernels import color, layout
from augserve_pipelines.lanes import Lanes
from augserve_pipelines.ops import Kernels, Op, each_row
from augserve_pipelines.parameters import Bits, Probability, Threshold
from augserve_pipelines.transforms.base import RandomTransform
from augserve_pipelines.transforms.channels import tensors
from augserve_pipelines.transforms.conversion import max_value
from augserve_pipelines.transforms.pictures import by_pillow

__all__ = [
    "Invert",
    "Posterize",
    "RandomInvert",
    "RandomPosterize",
    "RandomSolarize",
    "Solarize",
    "invert",
    "invert_image",
    "posterize",
    "posterize_image",
    "solarize",
    "solarize_image",
]

FloatArray = NDArray[np.float64]


def invert_image(image: Tensor) -> Tensor:
    """The negative of an image of any shape: ``max - value``, where max is 1 for floats."""
    if image.is_floating_point():
        return 1.0 - image
    # Signed integers keep their sign bit, so that 0 and the maximum change places.
    return image.bitwise_not() if image.dtype == torch.uint8 else image.bitwise_xor(max_value(image.dtype))


def posterize_image(image: Tensor, bits: int) -> Tensor:
    """Keep the highest ``bits`` (0 to 8) of every value; floats are rounded down to ``2**bits`` levels below 1.

    Raises:
        TypeError: the bits are another number, or the image is of booleans.
    """
    if image.dtype == torch.bool:
        raise WrongKind("posterize takes numbers, not booleans")
    if not isinstance(bits, int) or not 0 <= bits <= 8:
        raise WrongKind(f"bits is {bits}; an integer of 0 to 8 is needed")
    if image.is_floating_point():
        levels = 1 << bits
        return image.mul(levels).floor_().clamp_(0, levels - 1).mul_(1.0 / levels)
    maximum = max_value(image.dtype)
    dropped = maximum.bit_length() - bits
    return image & (maximum >> dropped << dropped) if dropped > 0 else image


def solarize_image(image: Tensor, threshold: float) -> Tensor:
    """Invert the values from ``threshold`` on, which is in the units of the image: 0 to 255 for uint8.

    Raises:
        TypeError: the threshold is greater than any value of the image's dtype.
    """
    if threshold > max_value(image.dtype):
        raise WrongKind(f"threshold {shown(threshold)} is greater than {_greatest(image.dtype)}")
    if layout.on_cpu(image):
        solarized = layout.dense_copy(image)
        color.invert_from(solarized, threshold)
        return solarized
    return torch.where(image >= threshold, invert_image(image), image)


def _invert_picture(image: Picture.Image) -> Picture.Image:
    return by_pillow(ImageOps.invert, image)


@functional(image=invert_image, picture=_invert_picture)
def invert(inpt: Any) -> Any:
    """Make the negative of an image."""


def _posterize_picture(image: Picture.Image, bits: int) -> Picture.Image:
    return by_pillow(ImageOps.posterize, image, bits)


@functional(image=posterize_image, picture=_posterize_picture)
def posterize(inpt: Any, bits: int) -> Any:
    """Keep the highest ``bits`` (0 to 8) of every value."""


def _solarize_picture(image: Picture.Image, threshold: float) -> Picture.Image:
    return by_pillow(ImageOps.solarize, image, threshold)


@functional(image=solarize_image, picture=_solarize_picture)
def solarize(inpt: Any, threshold: float) -> Any:
    """Invert the values from ``threshold`` on, which is in the units of the image."""


@dataclass(frozen=True, slots=True)
class Invert(Op):
    """Make the negative."""

    def image(self, x: Tensor) -> Tensor:
        return invert_image(x)

    def calls(self) -> Iterator[Call]:
        yield Call(invert)


@dataclass(frozen=True, slots=True)
class Posterize(Op):
    """Keep the highest bits."""

    bits: IntArray  # [N]

    def image(self, x: Tensor) -> Tensor:
        return _by_value(posterize_image, x, self.bits)

    def calls(self) -> Iterator[Call]:
        yield Call(posterize, self.row("bits"))


@dataclass(frozen=True, slots=True)
class Solarize(Op):
    """Invert the values from a threshold on."""

    kernels: ClassVar[Kernels] = Kernels(3, 0)
    threshold: FloatArray  # [N]

    def image(self, x: Tensor) -> Tensor:
        return _by_value(solarize_image, x, self.threshold)

    def calls(self) -> Iterator[Call]:
        yield Call(solarize, self.row("threshold"))


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
        return Posterize(np.full(len(frames), self.bits))


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
        for dtype in set(frames.dtypes[tensors(frames)].tolist()):
            if self.threshold > max_value(dtype):
                raise InvalidInput(
                    f"RandomSolarize.threshold {shown(self.threshold)} is greater than {_greatest(dtype)}"
                )
        return Solarize(np.full(len(frames), self.threshold, np.float64))


def _greatest(dtype: torch.dtype) -> str:
    return f"{max_value(dtype)}, the maximum of {str(dtype).removeprefix('torch.')}"


def _by_value(kernel: Callable[[Tensor, Any], Tensor], x: Tensor, values: NDArray[Any]) -> Tensor:
    """``kernel(x[i], values[i])``, at once where the values are one."""
    return kernel(x, values[0].item()) if (values == values[0]).all() else each_row(kernel, x, values)
