"""Change what pixels are stored as: tensors of images, dtypes and value ranges, standardised values."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.utils import _pytree as pytree

from augserve_pipelines.errors import InvalidInput
from augserve_pipelines.frames import Frames
from augserve_pipelines.lanes import Lanes
from augserve_pipelines.ops import NOTHING, Op
from augserve_pipelines.parameters import DtypeOrMapping, Flag, Mean, Std, for_kind
from augserve_pipelines.transforms.base import Transform

_VALUE_BITS = {
    torch.uint8: 8,
    torch.uint16: 16,
    torch.int8: 7,
    torch.int16: 15,
    torch.int32: 31,
    torch.int64: 63,
}

# float16 and bfloat16 are narrower still, and upstream lets them pass
_TOO_WIDE = ((torch.float32, torch.int32), (torch.float32, torch.int64), (torch.float64, torch.int64))


def max_value(dtype: torch.dtype) -> int:
    """The value that stands for full intensity: 1 for floats, the greatest one for integers."""
    return 1 if dtype.is_floating_point else (1 << _VALUE_BITS[dtype]) - 1


def to_dtype_image(image: Tensor, dtype: torch.dtype = torch.float32, scale: bool = False) -> Tensor:
    """Cast an image; with ``scale``, from the value range of its dtype to that of the other (§5 of the parity notes).

    Integers become floats by ``x * (1 / max)``, floats become integers by truncating ``x * (max + 0.999)``, integers
    become other integers by a shift of bits.

    Raises:
        InvalidInput: the integers are too wide for the floats to fill.
    """
    if image.dtype == dtype:
        return image
    if not scale or (image.is_floating_point() and dtype.is_floating_point):
        return image.to(dtype)
    if image.is_floating_point():
        _check_fits(image.dtype, dtype)
        return image.mul(max_value(dtype) + 1.0 - 1e-3).to(dtype)
    if dtype.is_floating_point:
        return image.to(dtype).mul_(1.0 / max_value(image.dtype))
    return _shifted(image, dtype)


def normalize_image(image: Tensor, mean: Tensor, std: Tensor) -> Tensor:
    """``(image - mean) / std``, channel by channel; ``mean`` and ``std`` are ``[C, 1, 1]``, on the image's device."""
    return image.sub(mean).div_(std)


@dataclass(frozen=True, slots=True)
class CastTo(Op):
    """Cast to a dtype, scaling values to its range or not."""

    dtype: torch.dtype
    scale: bool

    def frames(self, frames: Frames) -> Frames:
        return frames.with_dtype(self.dtype)

    def image(self, x: Tensor) -> Tensor:
        return to_dtype_image(x, self.dtype, self.scale)

    def write(self, x: Tensor, out: Tensor) -> None:
        if self.dtype.is_floating_point and not x.is_floating_point():
            out.copy_(x)
            if self.scale:
                out.mul_(1.0 / max_value(x.dtype))
        else:
            out.copy_(self.image(x))


@dataclass(frozen=True, slots=True)
class Standardize(Op):
    """Subtract a mean and divide by a standard deviation, channel by channel."""

    mean: tuple[float, ...]
    std: tuple[float, ...]

    def image(self, x: Tensor) -> Tensor:
        return normalize_image(x, *self._columns(x))

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
        if self.dtype != self.cast.dtype:
            out.copy_(replace(self, dtype=self.cast.dtype).image(x))
            return
        mean, std = self.standardize._columns(out)
        for pixels, result in zip(x, out, strict=True):
            self.cast.write(pixels, result)
            result.sub_(mean).div_(std)

    def table(self, channels: int) -> Tensor:
        """What becomes of each byte: ``[C, 256]``, on the CPU."""
        return _table(self, channels)


class ToImage(Transform):
    """Make a tensor ``[C, H, W]`` of a PIL image or an array ``[H, W, C]`` or ``[H, W]``; leave tensors as they are."""

    def __init__(self) -> None:
        super().__init__()

    def draw(self, lanes: Lanes, frames: Frames) -> Op:
        return NOTHING

    def forward(self, *inputs: Any) -> Any:
        """Convert every PIL image and array of a nested structure."""
        sample = inputs if len(inputs) != 1 else inputs[0]
        return pytree.tree_map(to_image, sample)


class ToDtype(Transform):
    """Cast the image to a dtype.

    Args:
        dtype: the dtype, or one for each kind of input.
        scale: whether to scale the values from the range of the one dtype to that of the other: 0 to 255 for uint8, 0
            to 1 for floats.
    """

    def __init__(self, dtype: DtypeOrMapping, scale: Flag = False) -> None:
        super().__init__()
        self.dtype = dtype
        self.scale = scale

    def draw(self, lanes: Lanes, frames: Frames) -> Op:
        dtype = for_kind(self.dtype, Tensor)
        if dtype is None or all(present == dtype for present in frames.dtypes):
            return NOTHING
        if self.scale:
            for present in set(frames.dtypes.tolist()):
                _check_fits(present, dtype)
        return CastTo(dtype, self.scale)


class Normalize(Transform):
    """Standardise the channels: ``(value - mean) / std``.

    Args:
        mean: what to subtract, for each channel or for all of them.
        std: what to divide by then, for each channel or for all of them.
        inplace: eagerly, write into the input.

    Raises:
        InvalidInput: the image holds integers, or has another number of channels.
    """

    def __init__(self, mean: Mean, std: Std, inplace: Flag = False) -> None:
        super().__init__()
        if len(mean) != len(std) and 1 not in (len(mean), len(std)):
            raise ValueError(f"mean has {len(mean)} values and std has {len(std)}: one for each channel is needed")
        self.mean = mean
        self.std = std
        self.inplace = inplace

    def draw(self, lanes: Lanes, frames: Frames) -> Op:
        wanted = max(len(self.mean), len(self.std))
        for channels, dtype in set(zip(frames.channels.tolist(), frames.dtypes.tolist(), strict=True)):
            if not dtype.is_floating_point:
                raise InvalidInput(f"Normalize takes floats, got {dtype}: ToDtype(float32, scale=True) goes before it")
            if wanted not in (1, channels):
                raise InvalidInput(f"Normalize has values for {wanted} channels, and the image has {channels}")
        return Standardize(tuple(self.mean), tuple(self.std))


def to_image(item: Any) -> Any:
    """A PIL image or an array as a tensor ``[C, H, W]`` of its dtype; anything else as it is."""
    if isinstance(item, Image.Image):
        pixels = torch.from_numpy(np.array(item))
    elif isinstance(item, np.ndarray):
        pixels = torch.from_numpy(item)
    else:
        return item
    return pixels.unsqueeze(0) if pixels.ndim == 2 else pixels.movedim(-1, -3)


@lru_cache(maxsize=64)
def _table(finish: Finish, channels: int) -> Tensor:
    every = torch.arange(256, dtype=torch.uint8).expand(channels, 1, 256)
    return finish.image(every.unsqueeze(0)).reshape(channels, 256)


def _shifted(image: Tensor, dtype: torch.dtype) -> Tensor:
    before, after = _VALUE_BITS[image.dtype], _VALUE_BITS[dtype]
    if torch.uint16 in (image.dtype, dtype):
        wide = image.long()  # torch has no shifts of uint16
        return (wide >> before - after if before > after else wide << after - before).to(dtype)
    if before > after:
        return image.bitwise_right_shift(before - after).to(dtype)
    return image.to(dtype).bitwise_left_shift_(after - before)


def _check_fits(before: torch.dtype, after: torch.dtype) -> None:
    if (before, after) in _TOO_WIDE:
        raise InvalidInput(f"{before} cannot be scaled to {after}: it has too few digits to fill it")
