"""Change what an input is: a PIL image, an array, a tensor marked as an image, a tensor marked as nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Annotated, Any

import numpy as np
import torch
from PIL import Image as Picture
from torch import Tensor

from augserve_pipelines.arguments import Words
from augserve_pipelines.dispatch import Call, functional
from augserve_pipelines.errors import InvalidInput
from augserve_pipelines.frames import Frames
from augserve_pipelines.lanes import Lanes
from augserve_pipelines.ops import NOTHING, Op, Select
from augserve_pipelines.samples import PICTURES, Pending, Sample
from augserve_pipelines.transforms.base import Transform
from augserve_pipelines.transforms.conversion import CastTo
from augserve_pipelines.transforms.fill import pixel_kinds
from augserve_pipelines.transforms.pictures import (
    bytes_to_floats_image,
    deprecated,
    floats_to_bytes_image,
    picture_of,
    pil_to_tensor,
    tensor_of,
    to_image,
    to_pil_image,
)
from augserve_pipelines.tv_tensors import BoundingBoxes, Image, KeyPoints, Mask, TVTensor, Video
from augserve_pipelines.tv_tensors.interop import kind_of

__all__ = [
    "AsImage",
    "AsPicture",
    "AsPixels",
    "AsPure",
    "BytesToFloats",
    "PILToTensor",
    "ToImage",
    "ToPILImage",
    "ToPureTensor",
    "ToTensor",
    "bytes_to_floats",
    "floats_to_bytes",
]

Mode = Annotated[str | None, Words("the name of a PIL mode, or null", example="RGB")]
ARRAYS: tuple[type, ...] = (Tensor, Image, np.ndarray)
MARKED = (Image, Video, Mask, BoundingBoxes, KeyPoints, TVTensor)


@functional(image=bytes_to_floats_image)
def bytes_to_floats(inpt: Any, dtype: torch.dtype = torch.float32) -> Any:
    """What ``ToTensor`` does to the pixels of an image."""


@functional(image=floats_to_bytes_image)
def floats_to_bytes(inpt: Any) -> Any:
    """What ``ToPILImage`` does to the pixels of an image."""


@dataclass(frozen=True, slots=True)
class Relabel(Op):
    """The base of ops that change what a leaf is and no pixel."""

    def image(self, x: Tensor) -> Tensor:
        return x

    def parts(self) -> Op:
        return NOTHING

    def calls(self) -> Iterator[Call]:
        return iter(())


@dataclass(frozen=True, slots=True)
class AsImage(Relabel):
    """Mark PIL images, arrays and tensors as images."""

    def leaf(self, leaf: Any) -> Any:
        return to_image(leaf) if kind_of(leaf) in (Tensor, Picture.Image) or isinstance(leaf, np.ndarray) else leaf

    def leaves(self, sample: Sample) -> Sample:
        return _repended(sample, (Tensor, Picture.Image), Image).mapped(self.leaf)


@dataclass(frozen=True, slots=True)
class AsPixels(Relabel):
    """Make tensors of PIL images."""

    def leaf(self, leaf: Any) -> Any:
        return pil_to_tensor(leaf) if isinstance(leaf, Picture.Image) else leaf


@dataclass(frozen=True, slots=True)
class AsPure(Relabel):
    """Make tensors that are marked as nothing of all tensors; only the image is acted on from then on."""

    def leaf(self, leaf: Any) -> Any:
        return leaf.as_subclass(Tensor) if kind_of(leaf) in MARKED else leaf

    def leaves(self, sample: Sample) -> Sample:
        images = tuple(place for place in sample.acts if _is_image(sample.leaves[place]))
        pure = sample.with_leaves({place: self.leaf(sample.leaves[place]) for place in sample.acts})
        return replace(_repended(pure, PICTURES, Tensor), acts=images)


@dataclass(frozen=True, slots=True)
class AsPicture(Op):
    """Make PIL images of images; batches of pixels stay tensors, and become the bytes of such images."""

    mode: str | None

    def frames(self, frames: Frames) -> Frames:
        return frames if self.mode == "F" else _with_dtypes(frames, lambda dtype: dtype.is_floating_point, torch.uint8)

    def image(self, x: Tensor) -> Tensor:
        return x if self.mode == "F" else floats_to_bytes_image(x)

    def calls(self) -> Iterator[Call]:
        if self.mode != "F":
            yield Call(floats_to_bytes, {}, (Tensor, Image))

    def leaf(self, leaf: Any) -> Any:
        is_image = kind_of(leaf) in (Tensor, Image) or isinstance(leaf, np.ndarray)
        return to_pil_image(leaf, self.mode) if is_image else leaf


@dataclass(frozen=True, slots=True)
class BytesToFloats(CastTo):
    """Divide bytes by 255; other dtypes stay. PIL images and arrays become tensors."""

    def frames(self, frames: Frames) -> Frames:
        return _with_dtypes(frames, lambda dtype: dtype == torch.uint8, self.dtype).planar()

    def image(self, x: Tensor) -> Tensor:
        return bytes_to_floats_image(x, self.dtype)

    def calls(self) -> Iterator[Call]:
        yield Call(bytes_to_floats, {"dtype": self.dtype}, self.kinds)

    def leaf(self, leaf: Any) -> Any:
        if isinstance(leaf, Picture.Image | np.ndarray):
            return tensor_of(leaf)
        return CastTo.leaf(self, leaf)

    def write(self, x: Tensor, out: Tensor) -> None:
        out.copy_(x)
        if x.dtype == torch.uint8:
            out.div_(255)


class ToImage(Transform):
    """Make an image ``[C, H, W]`` of a PIL image, an array ``[H, W, C]`` or ``[H, W]``, or a tensor marked as nothing.

    No value changes. In a pipeline PIL images are images already.
    """

    transformed_types = (Tensor, Picture.Image, np.ndarray)

    def __init__(self) -> None:
        super().__init__()

    def draw(self, lanes: Lanes, frames: Frames) -> Op:
        return AsImage()


class PILToTensor(Transform):
    """Make a tensor ``[C, H, W]`` of a PIL image. No value changes. In a pipeline PIL images are images already."""

    acts_on = (Picture.Image,)
    transformed_types = (Picture.Image,)

    def __init__(self) -> None:
        super().__init__()

    def draw(self, lanes: Lanes, frames: Frames) -> Op:
        return AsPixels()


class ToPILImage(Transform):
    """Make a PIL image of an image.

    In a pipeline the image stays a tensor: floats become bytes, as they do on the way to a PIL image.

    Args:
        mode: the mode, where it is not the usual one for the number of channels.

    Raises:
        InvalidInput: no such mode has so many channels of the image's dtype.
    """

    acts_on = (Tensor, Image)
    transformed_types = ARRAYS

    def __init__(self, mode: Mode = None) -> None:
        super().__init__()
        self.mode = mode

    def draw(self, lanes: Lanes, frames: Frames) -> Op:
        op = AsPicture(self.mode)
        kinds, after = pixel_kinds(frames), op.frames(frames)
        imaged = [i for i, kind in enumerate(kinds) if kind in ARRAYS and frames.channels[i]]
        for shape, dtype in {(after.shape(i), after.dtypes[i]) for i in imaged}:
            self._check(shape, dtype)
        return Select(np.array([kind is not Video for kind in kinds], bool), op)

    def _check(self, shape: tuple[int, ...], dtype: torch.dtype) -> None:
        if len(shape) != 3:
            raise InvalidInput(f"a PIL image has [C, H, W], got {[*shape]}")
        try:
            picture_of(torch.zeros((shape[0], 1, 1), dtype=dtype), self.mode)
        except ValueError as error:
            raise InvalidInput(f"ToPILImage: {error}") from error


class ToPureTensor(Transform):
    """Make tensors that are marked as nothing of images, videos, masks, boxes and key points. No value changes.

    From then on, steps of a pipeline act on nothing but the image.
    """

    acts_on = MARKED[:-1]

    def __init__(self) -> None:
        super().__init__()

    def draw(self, lanes: Lanes, frames: Frames) -> Op:
        return AsPure()


class ToTensor(Transform):
    """Make a tensor ``[C, H, W]`` of a PIL image or an array, and floats in [0, 1] of bytes. Of v1.

    The newer way is ``ToImage`` and ``ToDtype(float32, scale=True)``, which multiplies by 1 / 255 where this divides by
    255. In a pipeline images are tensors already; their bytes become floats.
    """

    acts_on = (Picture.Image,)
    transformed_types = (Picture.Image, np.ndarray)

    def __init__(self) -> None:
        deprecated("ToTensor()", "ToImage(), then ToDtype(torch.float32, scale=True)")
        super().__init__()

    def draw(self, lanes: Lanes, frames: Frames) -> Op:
        return BytesToFloats(torch.get_default_dtype(), scale=True)


def _repended(sample: Sample, kinds: tuple[type, ...], kind: type) -> Sample:
    """The sample with what is pending and of one of these kinds of another kind."""
    pending = ((place, leaf) for place, leaf in enumerate(sample.leaves) if isinstance(leaf, Pending))
    return sample.with_leaves({place: Pending(kind) for place, leaf in pending if leaf.kind in kinds})


def _is_image(leaf: Any) -> bool:
    return (leaf.kind if isinstance(leaf, Pending) else kind_of(leaf)) in (Tensor, *PICTURES)


def _with_dtypes(frames: Frames, changes: Callable[[torch.dtype], bool], dtype: torch.dtype) -> Frames:
    dtypes = frames.dtypes.copy()
    for i in np.flatnonzero(frames.channels):
        dtypes[i] = dtype if changes(dtypes[i]) else dtypes[i]
    return replace(frames, dtypes=dtypes)
