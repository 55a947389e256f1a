"""Standardise pixels, on the way from bytes to what a network takes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, ClassVar

import numpy as np
import torch
from PIL import Image as Picture
from torch import Tensor

from augserve_pipelines.arguments import shown
from augserve_pipelines.dispatch import Call, functional
from augserve_pipelines.errors import InvalidInput, WrongKind
from augserve_pipelines.frames import Frames
from augserve_pipelines.kernels.launching import launches
from augserve_pipelines.kernels.lookup import lookup
from augserve_pipelines.kernels.resample_pixels import Arithmetic, arithmetic, every_byte
from augserve_pipelines.lanes import Lanes
from augserve_pipelines.ops import Kernels, Op
from augserve_pipelines.parameters import Flag, Mean, Std
from augserve_pipelines.samples import Sample
from augserve_pipelines.transforms.base import Transform
from augserve_pipelines.transforms.conversion import IMAGES, CastTo, max_value

__all__ = ["Finish", "Normalize", "Standardize", "check_no_pictures", "normalize", "normalize_image"]


def normalize_image(image: Tensor, mean: Sequence[float], std: Sequence[float], inplace: bool = False) -> Tensor:
    """``(image - mean) / std`` of floats ``[..., C, H, W]``, channel by channel.

    Args:
        image: floats.
        mean: one value for each channel, or for all of them.
        std: likewise; none of them 0.
        inplace: write into the image.

    Raises:
        TypeError: the image holds integers.
        InvalidInput: it has less than three dimensions, or a standard deviation is 0.
    """
    if not image.is_floating_point():
        raise WrongKind(f"normalize takes floats, got {image.dtype}: to_dtype(image, torch.float32, True) goes before")
    if image.ndim < 3:
        raise InvalidInput(f"normalize takes [..., C, H, W], got {[*image.shape]}")
    columns = [torch.as_tensor(values, dtype=image.dtype, device=image.device) for values in (mean, std)]
    if not all(np.ravel(std)):
        raise InvalidInput(f"std is {shown(std)}: values are divided by it, and none may be 0")
    means, deviations = (values.view(-1, 1, 1) if values.ndim == 1 else values for values in columns)
    return (image.sub_(means) if inplace else image.sub(means)).div_(deviations)


@functional(image=normalize_image)
def normalize(inpt: Any, mean: Sequence[float], std: Sequence[float], inplace: bool = False) -> Any:
    """Standardise the channels of an image or a video of floats; see ``Normalize``.

    Raises:
        TypeError: it holds integers, or is no image.
    """


@dataclass(frozen=True, slots=True)
class Standardize(Op):
    """Subtract a mean and divide by a standard deviation, channel by channel."""

    kernels: ClassVar[Kernels] = Kernels(2, 0)
    mean: tuple[float, ...]
    std: tuple[float, ...]

    def image(self, x: Tensor) -> Tensor:
        mean, std = self._columns(x)
        return x.sub(mean).div_(std)

    def calls(self) -> Iterator[Call]:
        yield Call(normalize, {"mean": list(self.mean), "std": list(self.std), "inplace": False})

    def write(self, x: Tensor, out: Tensor) -> None:
        mean, std = self._columns(x)
        torch.sub(x, mean, out=out).div_(std)

    def _columns(self, x: Tensor) -> tuple[Tensor, Tensor]:
        mean, std = (torch.tensor(values, dtype=x.dtype, device=x.device) for values in (self.mean, self.std))
        return mean.view(-1, 1, 1), std.view(-1, 1, 1)


@dataclass(frozen=True, slots=True)
class Finish(Op):
    """``CastTo``, then ``Standardize``, of integers, and a cast of that, one sample at a time while it is in cache."""

    cast: CastTo
    standardize: Standardize
    dtype: torch.dtype  # of the result

    def frames(self, frames: Frames) -> Frames:
        return frames.with_dtype(self.dtype)

    def image(self, x: Tensor) -> Tensor:
        out = torch.empty(x.shape, dtype=self.dtype, device=x.device)
        self.write(x, out)
        return out

    def write(self, x: Tensor, out: Tensor) -> None:
        if x.dtype == torch.uint8 and launches(x.device):
            lookup(x, self.tables(x.shape[-3]), out)
        else:
            self._compute(x, out)

    def _compute(self, x: Tensor, out: Tensor) -> None:
        if self.dtype != self.cast.dtype:
            cast = torch.empty(x.shape, dtype=self.cast.dtype, device=x.device)
            replace(self, dtype=self.cast.dtype)._compute(x, cast)
            out.copy_(cast)
            return
        mean, std = self.standardize._columns(out)
        for pixels, result in zip(x, out, strict=True):
            self.cast.write(pixels, result)
            result.sub_(mean).div_(std)

    def tables(self, channels: int) -> Tensor:
        """What becomes of each byte, in all samples alike: ``[1, C, 256]``, on the CPU."""
        return _tables(self, channels)

    def arithmetic(self) -> Arithmetic | None:
        """The same for loops over pixels of three channels, where it gives the same bytes."""
        return _arithmetic(self)


class Normalize(Transform):
    """Standardise the channels: ``(value - mean) / std``.

    Args:
        mean: what to subtract, for each channel or for all of them.
        std: what to divide by then, for each channel or for all of them.
        inplace: eagerly, write into the input.

    Raises:
        TypeError: there is a PIL image in the sample.
        InvalidInput: the image holds integers, or has another number of channels.
    """

    acts_on = IMAGES

    def __init__(self, mean: Mean, std: Std, inplace: Flag = False) -> None:
        super().__init__()
        if len(mean) != len(std) and 1 not in (len(mean), len(std)):
            raise ValueError(f"mean has {len(mean)} values and std has {len(std)}: one for each channel is needed")
        self.mean = mean
        self.std = std
        self.inplace = inplace

    def check_sample(self, sample: Sample) -> None:
        check_no_pictures(sample, type(self).__name__)

    def draw(self, lanes: Lanes, frames: Frames) -> Op:
        wanted = max(len(self.mean), len(self.std))
        imaged = frames.imaged()
        for channels, dtype in set(zip(imaged.channels.tolist(), imaged.dtypes.tolist(), strict=True)):
            if not dtype.is_floating_point:
                raise InvalidInput(f"Normalize takes floats, got {dtype}: ToDtype(float32, scale=True) goes before it")
            if wanted not in (1, channels):
                raise InvalidInput(f"Normalize has values for {wanted} channels, and the image has {channels}")
        return Standardize(tuple(self.mean), tuple(self.std))


def check_no_pictures(sample: Sample, name: str) -> None:
    """Refuse samples with PIL images.

    Raises:
        TypeError: there is one.
    """
    if any(isinstance(leaf, Picture.Image) for leaf in sample.leaves):
        raise WrongKind(f"{name} does not act on PIL images: ToImage() goes before it")


@lru_cache(maxsize=64)
def _tables(finish: Finish, channels: int) -> Tensor:
    every = torch.arange(256, dtype=torch.uint8).repeat(1, channels, 1, 1)
    values = torch.empty(every.shape, dtype=finish.dtype)
    finish._compute(every, values)
    return values.view(1, channels, 256)


@lru_cache(maxsize=64)
def _arithmetic(finish: Finish) -> Arithmetic | None:
    if finish.cast.dtype != torch.float32 or finish.dtype not in (torch.float32, torch.float16):
        return None
    scale = 1.0 / max_value(torch.uint8) if finish.cast.scale else 1.0
    found = arithmetic(scale, finish.standardize.mean, finish.standardize.std, finish.dtype)
    bits = torch.int32 if finish.dtype == torch.float32 else torch.int16
    return found if torch.equal(every_byte(found).view(bits), finish.tables(3)[0].view(bits)) else None
