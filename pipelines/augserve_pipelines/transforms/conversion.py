"""Change what pixels are stored as: dtypes and value ranges."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from augserve_pipelines.constraints import OTHERS
from augserve_pipelines.dispatch import ALL_KINDS, Call, functional
from augserve_pipelines.errors import InvalidInput
from augserve_pipelines.frames import Frames
from augserve_pipelines.lanes import Lanes
from augserve_pipelines.ops import NOTHING, Chain, Kernels, Op, Select
from augserve_pipelines.parameters import Dtype, DtypeOrMapping, Flag, for_kind
from augserve_pipelines.samples import Pending, Sample
from augserve_pipelines.transforms.base import Transform
from augserve_pipelines.transforms.fill import pixel_kinds
from augserve_pipelines.tv_tensors import Image, Video
from augserve_pipelines.tv_tensors.interop import kind_of

__all__ = [
    "IMAGES",
    "CastKinds",
    "CastTo",
    "ConvertImageDtype",
    "ToDtype",
    "convert_image_dtype",
    "max_value",
    "to_dtype",
    "to_dtype_image",
]

IMAGES = (Tensor, Image, Video)
TENSORS = tuple(kind for kind in ALL_KINDS if issubclass(kind, Tensor))

_VALUE_BITS = {
    torch.uint8: 8,
    torch.uint16: 16,
    torch.int8: 7,
    torch.int16: 15,
    torch.int32: 31,
    torch.int64: 63,
    torch.bool: 1,  # of a PIL image in mode 1
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


def _cast(inpt: Tensor, dtype: torch.dtype) -> Tensor:
    return inpt.to(dtype)


@functional(image=to_dtype_image, mask=_cast, boxes=_cast, keypoints=_cast)
def to_dtype(inpt: Any, dtype: torch.dtype = torch.float32, scale: bool = False) -> Any:
    """Cast an image or a video, with ``scale`` from the value range of its dtype to that of the other; see ``ToDtype``.

    Masks, boxes and key points are cast and never scaled.

    Raises:
        InvalidInput: the integers are too wide for the floats to fill.
    """


def convert_image_dtype(image: Tensor, dtype: torch.dtype = torch.float32) -> Tensor:
    """``to_dtype_image(image, dtype, scale=True)``, under the name that it had in v1."""
    return to_dtype_image(image, dtype, scale=True)


@dataclass(frozen=True, slots=True)
class CastTo(Op):
    """Cast to a dtype, scaling values to its range or not."""

    kernels: ClassVar[Kernels] = Kernels(2, 0)
    dtype: torch.dtype
    scale: bool
    kinds: tuple[type, ...] | None = IMAGES  # None: masks, boxes and points too

    def frames(self, frames: Frames) -> Frames:
        return frames.with_dtype(self.dtype)

    def image(self, x: Tensor) -> Tensor:
        return to_dtype_image(x, self.dtype, self.scale)

    def calls(self) -> Iterator[Call]:
        yield Call(to_dtype, {"dtype": self.dtype, "scale": self.scale}, self.kinds)

    def write(self, x: Tensor, out: Tensor) -> None:
        if self.dtype.is_floating_point and not x.is_floating_point():
            out.copy_(x)
            if self.scale:
                out.mul_(1.0 / max_value(x.dtype))
        else:
            out.copy_(self.image(x))


@dataclass(frozen=True, slots=True)
class CastKinds(Op):
    """Cast each kind of input to a dtype of its own; ``pixels`` is what that is for the image of each sample."""

    dtypes: tuple[tuple[torch.dtype, tuple[type, ...]], ...]
    scale: bool
    pixels: Op

    def __getitem__(self, rows: Any) -> CastKinds:
        return replace(self, pixels=self.pixels[rows])

    def frames(self, frames: Frames) -> Frames:
        return self.pixels.frames(frames)

    def image(self, x: Tensor) -> Tensor:
        return self.pixels.image(x)

    def parts(self) -> Op:
        return self.pixels

    def calls(self) -> Iterator[Call]:
        for dtype, kinds in self.dtypes:
            yield Call(to_dtype, {"dtype": dtype, "scale": self.scale}, kinds)


class ToDtype(Transform):
    """Cast the image to a dtype.

    Args:
        dtype: the dtype of images and videos, or a mapping with one for each kind of input, null for those that are to
            be left as they are. In a mapping, images that are marked as nothing are a ``Tensor``, or an ``Image`` where
            only that is given, and a kind must be in it, or ``others``.
        scale: whether to scale the values of images and videos from the range of the one dtype to that of the other: 0
            to 255 for uint8, 0 to 1 for floats.

    Raises:
        InvalidInput: the mapping has nothing for an input, or the values cannot be scaled.
    """

    acts_on = TENSORS
    transformed_types = (Tensor,)

    def __init__(self, dtype: DtypeOrMapping, scale: Flag = False) -> None:
        super().__init__()
        self.dtype = dtype
        self.scale = scale

    def draw(self, lanes: Lanes, frames: Frames) -> Op:
        if isinstance(self.dtype, torch.dtype):
            return _cast_of_pixels(frames, self.dtype, self.scale)
        samples = [] if frames.samples is None else frames.samples.tolist()
        for kind in {kind for sample in samples for kind in _kinds_in(sample)}:
            self._dtype_of(kind)
        by_dtype = {dtype: _kinds_of(dtype, self.dtype) for dtype in self.dtype.values() if dtype is not None}
        return CastKinds(tuple(by_dtype.items()), self.scale, self._pixels(frames))

    def _pixels(self, frames: Frames) -> Op:
        kinds = pixel_kinds(frames)
        if frames.samples is None and isinstance(self.dtype, Mapping) and Tensor not in self.dtype:
            kinds = [Image if Image in self.dtype else Tensor] * len(frames)
        imaged = zip(kinds, frames.channels.tolist(), strict=True)
        wanted = [self._dtype_of(kind) if channels and kind in IMAGES else None for kind, channels in imaged]
        ops: list[Op] = []
        for dtype in {dtype for dtype in wanted if dtype is not None}:
            rows = np.array([own is dtype for own in wanted], bool)
            ops.append(Select(rows, _cast_of_pixels(frames[rows], dtype, self.scale)))
        return Chain(tuple(ops))

    def _dtype_of(self, kind: type) -> torch.dtype | None:
        if kind in TENSORS and isinstance(self.dtype, Mapping) and kind not in self.dtype and OTHERS not in self.dtype:
            raise InvalidInput(f"ToDtype.dtype has nothing for {kind.__name__}: give it a dtype or null, or 'others'")
        dtype: torch.dtype | None = for_kind(self.dtype, kind)
        return dtype


class ConvertImageDtype(Transform):
    """Cast the image to a dtype and scale its values to the range of that one. Of v1: ``ToDtype`` is the newer way.

    Masks, boxes and key points are cast too, and not scaled.

    Args:
        dtype: the dtype.

    Raises:
        InvalidInput: the values cannot be scaled.
    """

    acts_on = TENSORS

    def __init__(self, dtype: Dtype = torch.float32) -> None:
        super().__init__()
        self.dtype = dtype

    def draw(self, lanes: Lanes, frames: Frames) -> Op:
        for present in set(frames.imaged().dtypes.tolist()):
            _check_fits(present, self.dtype)
        return CastTo(self.dtype, scale=True, kinds=None)


def _cast_of_pixels(frames: Frames, dtype: torch.dtype, scale: bool) -> Op:
    imaged = frames.imaged()
    dtypes = set(imaged.dtypes.tolist())
    if dtypes == {dtype} and len(imaged) == len(frames):
        return NOTHING
    if scale:
        for present in dtypes:
            _check_fits(present, dtype)
    return CastTo(dtype, scale)


def _kinds_of(dtype: torch.dtype, mapping: Mapping[Any, torch.dtype | None]) -> tuple[type, ...]:
    return tuple(kind for kind in TENSORS if for_kind(mapping, kind) is dtype)


def _kinds_in(sample: Sample) -> list[type]:
    """The kinds of what is acted on; those of pixels are pending when one draws."""
    leaves = (sample.leaves[place] for place in sample.acts)
    return [leaf.kind if isinstance(leaf, Pending) else kind_of(leaf) or object for leaf in leaves]


def _shifted(image: Tensor, dtype: torch.dtype) -> Tensor:
    if torch.bool in (image.dtype, dtype):
        raise InvalidInput(f"{image.dtype} cannot be scaled to {dtype}: cast to floats in between")
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
