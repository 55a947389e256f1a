"""Change what an input is: a PIL image, an array, a tensor marked as an image, a tensor marked as nothing."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Annotated, Any

import numpy as np
import torch
from numpy.typing import NDArray
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
from augserve_pipelines.transforms.conversion import CastTo, kinds_of_images
from augserve_pipelines.transforms.pictures import picture_of
from augserve_pipelines.tv_tensors import BoundingBoxes, Image, KeyPoints, Mask, TVTensor, Video
from augserve_pipelines.tv_tensors.interop import kind_of
from augserve_pipelines.tv_tensors.picture import pil_to_tensor as pixels_of

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
    "pil_to_tensor",
    "to_image",
    "to_pil_image",
    "to_tensor",
]

Mode = Annotated[str | None, Words("the name of a PIL mode, or null", example="RGB")]
Array = NDArray[Any]
ARRAYS: tuple[type, ...] = (Tensor, Image, np.ndarray)
MARKED = (Image, Video, Mask, BoundingBoxes, KeyPoints, TVTensor)


def pil_to_tensor(pic: Any) -> Tensor:
    """The pixels of a PIL image, ``[C, H, W]``, in the dtype that Pillow gives them: no value changes.

    Raises:
        TypeError: it is no PIL image.
    """
    if not isinstance(pic, Picture.Image):
        raise TypeError(f"pil_to_tensor takes a PIL image, got {type(pic).__name__}")
    return pixels_of(pic)


def to_image(inpt: Tensor | Picture.Image | Array) -> Image:
    """A tensor, a PIL image or an array ``[H, W, C]`` or ``[H, W]`` as an Image ``[C, H, W]``: no value changes.

    Raises:
        TypeError: it is none of these.
        InvalidInput: the array has another number of dimensions.
    """
    if isinstance(inpt, np.ndarray):
        return Image(_channels_first(inpt))
    if isinstance(inpt, Picture.Image):
        return Image(pixels_of(inpt))
    if isinstance(inpt, Tensor):
        return Image(inpt.as_subclass(Tensor))
    raise TypeError(f"to_image takes a tensor, a PIL image or an array, got {type(inpt).__name__}")


def to_pil_image(pic: Tensor | Array, mode: str | None = None) -> Picture.Image:
    """A tensor ``[C, H, W]`` or ``[H, W]``, or an array ``[H, W, C]`` or ``[H, W]``, as a PIL image.

    Args:
        pic: the pixels; floats are in [0, 1] and become bytes by truncating 255 times their value, but in mode F.
        mode: the mode, where it is not the usual one of so many channels.

    Raises:
        TypeError: it is no tensor and no array.
        ValueError: no such mode has so many channels of its dtype, or it has another number of dimensions.
    """
    if not isinstance(pic, Tensor | np.ndarray):
        raise TypeError(f"to_pil_image takes a tensor or an array, got {type(pic).__name__}")
    pixels = _channels_first(pic) if isinstance(pic, np.ndarray) else pic.as_subclass(Tensor)
    pixels = pixels.unsqueeze(0) if pixels.ndim == 2 else pixels
    if pixels.ndim != 3:
        raise InvalidInput(f"a PIL image has [C, H, W], got {[*pixels.shape]}")
    return picture_of(pixels if mode == "F" else floats_to_bytes_image(pixels), mode)


def to_tensor(inpt: Any) -> Tensor:
    """A PIL image or an array as a tensor ``[C, H, W]``; bytes become floats in [0, 1]. Of v1: ``to_image`` is newer.

    Raises:
        TypeError: it is neither.
        InvalidInput: the array has another number of dimensions.
    """
    _deprecated("to_tensor(...)", "to_image(...), then to_dtype(..., torch.float32, scale=True)")
    return _to_tensor(inpt)


def bytes_to_floats_image(image: Tensor, dtype: torch.dtype = torch.float32) -> Tensor:
    """Bytes divided by 255, which for some is not what multiplying by 1 / 255 gives; other dtypes stay."""
    return image.to(dtype).div_(255) if image.dtype == torch.uint8 else image


def floats_to_bytes_image(image: Tensor) -> Tensor:
    """Floats in [0, 1] as bytes, by truncating 255 times their value; other dtypes stay."""
    if not image.is_floating_point():
        return image
    if image.device.type != "cpu":
        return image.mul(255).to(torch.uint8)
    return torch.from_numpy((image.numpy(force=True) * 255).astype(np.uint8))


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
        return _with_dtypes(frames, lambda dtype: dtype == torch.uint8, self.dtype)

    def image(self, x: Tensor) -> Tensor:
        return bytes_to_floats_image(x, self.dtype)

    def calls(self) -> Iterator[Call]:
        yield Call(bytes_to_floats, {"dtype": self.dtype}, self.kinds)

    def leaf(self, leaf: Any) -> Any:
        if isinstance(leaf, Picture.Image | np.ndarray):
            return _to_tensor(leaf)
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
        kinds, after = kinds_of_images(frames), op.frames(frames)
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
        _deprecated("ToTensor()", "ToImage(), then ToDtype(torch.float32, scale=True)")
        super().__init__()

    def draw(self, lanes: Lanes, frames: Frames) -> Op:
        return BytesToFloats(torch.get_default_dtype(), scale=True)


def _to_tensor(inpt: Any) -> Tensor:
    if isinstance(inpt, np.ndarray):
        pixels = _channels_first(inpt)
    elif isinstance(inpt, Picture.Image):
        pixels = pixels_of(inpt).contiguous()
        if inpt.mode == "1":
            pixels = pixels.to(torch.uint8) * 255
        elif inpt.mode.startswith("I;16"):
            pixels = pixels.view(torch.int16)
    else:
        raise TypeError(f"to_tensor takes a PIL image or an array, got {type(inpt).__name__}")
    return bytes_to_floats_image(pixels, torch.get_default_dtype())


def _channels_first(array: Array) -> Tensor:
    if array.ndim not in (2, 3):
        raise InvalidInput(f"an array of an image has [H, W, C] or [H, W], got {[*array.shape]}")
    pixels = np.ascontiguousarray(np.atleast_3d(array).transpose(2, 0, 1))
    return torch.from_numpy(pixels if pixels.flags.writeable else pixels.copy())


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


def _deprecated(what: str, instead: str) -> None:
    # of the category that torchvision gives, which is shown without asking
    warnings.warn(f"{what} is deprecated and will be removed: the newer way is {instead}", stacklevel=3)
