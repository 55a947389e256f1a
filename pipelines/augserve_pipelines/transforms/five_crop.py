"""Cut out the four corners and the middle, of the image alone or of its mirror image too."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, TypeVar

import PIL.Image
import torch
from torch import Tensor

from augserve_pipelines.dispatch import Call, functional
from augserve_pipelines.errors import InvalidInput, WrongKind
from augserve_pipelines.frames import Frames
from augserve_pipelines.lanes import Lanes
from augserve_pipelines.ops import Op
from augserve_pipelines.parameters import Flag, Size
from augserve_pipelines.samples import Sample
from augserve_pipelines.transforms.base import Transform
from augserve_pipelines.transforms.center_crop import center_crop_image, center_crop_picture
from augserve_pipelines.transforms.crop import crop_image, crop_picture
from augserve_pipelines.transforms.flip import horizontal_flip, vertical_flip
from augserve_pipelines.transforms.resize import height_and_width
from augserve_pipelines.tv_tensors import BoundingBoxes, KeyPoints, Mask

__all__ = [
    "FiveCrop",
    "FiveCrops",
    "TenCrop",
    "TenCrops",
    "five_crop",
    "five_crop_image",
    "five_crop_picture",
    "ten_crop",
    "ten_crop_image",
    "ten_crop_picture",
]

P = TypeVar("P", Tensor, PIL.Image.Image)
Sides = int | Sequence[int]


def five_crop_image(image: Tensor, size: Sides) -> tuple[Tensor, ...]:
    """The corners and the middle of ``[..., C, H, W]``, in the order of ``five_crop``.

    Raises:
        InvalidInput: the image is smaller than that.
    """
    corners = [crop_image(image, *window) for window in _corners(size, (image.shape[-2], image.shape[-1]))]
    return (*corners, center_crop_image(image, size))


def five_crop_picture(picture: PIL.Image.Image, size: Sides) -> tuple[PIL.Image.Image, ...]:
    """``five_crop_image`` for PIL images."""
    corners = [crop_picture(picture, *window) for window in _corners(size, (picture.height, picture.width))]
    return (*corners, center_crop_picture(picture, size))


def ten_crop_image(image: Tensor, size: Sides, vertical_flip: bool = False) -> tuple[Tensor, ...]:
    """``five_crop_image`` of ``[..., C, H, W]``, then of its mirror image; see ``ten_crop``."""
    return (*five_crop_image(image, size), *five_crop_image(_flipped(image, vertical_flip), size))


def ten_crop_picture(picture: PIL.Image.Image, size: Sides, vertical_flip: bool = False) -> tuple[PIL.Image.Image, ...]:
    """``ten_crop_image`` for PIL images."""
    return (*five_crop_picture(picture, size), *five_crop_picture(_flipped(picture, vertical_flip), size))


def _geometry(height: int, width: int, size: Sides, **_others: Any) -> tuple[None, tuple[int, int]]:
    _corners(size, (height, width))
    return None, height_and_width(size)


@functional(image=five_crop_image, picture=five_crop_picture, geometry=_geometry)
def five_crop(inpt: Any, size: Sides) -> Any:
    """The upper left, upper right, lower left and lower right corner and the middle, as a tuple.

    Args:
        inpt: what to cut them from.
        size: height and width of each in pixels; one number gives squares.
    """


@functional(image=ten_crop_image, picture=ten_crop_picture, geometry=_geometry)
def ten_crop(inpt: Any, size: Sides, vertical_flip: bool = False) -> Any:
    """What ``five_crop`` gives, then what it gives of the mirror image, as one tuple.

    Args:
        inpt: what to cut them from.
        size: height and width of each in pixels; one number gives squares.
        vertical_flip: whether to mirror top to bottom, not left to right.
    """


@dataclass(frozen=True, slots=True)
class FiveCrops(Op):
    """Cut out the corners and the middle: a tuple of a leaf, one more dimension of pixels."""

    count: ClassVar[int] = 5
    transform: ClassVar[str] = "FiveCrop"

    height: int
    width: int

    def frames(self, frames: Frames) -> Frames:
        return frames.resized(self.height, self.width).led(self.count)

    def image(self, x: Tensor) -> Tensor:
        return torch.stack(five_crop_image(x, (self.height, self.width)), -4)

    def calls(self) -> Iterator[Call]:
        yield Call(five_crop, {"size": [self.height, self.width]})

    def leaves(self, sample: Sample) -> Sample:
        if sample.pixel_places() and sample.places(KeyPoints):  # eagerly: in a pipeline, pixels are still pending here
            warnings.warn(f"{self.transform} leaves key points as they are: they do not fit the crops", stacklevel=2)
        return Op.leaves(self, sample)


@dataclass(frozen=True, slots=True)
class TenCrops(FiveCrops):
    """Cut out the corners and the middle, and those of the mirror image."""

    count: ClassVar[int] = 10
    transform: ClassVar[str] = "TenCrop"

    vertical_flip: bool

    def image(self, x: Tensor) -> Tensor:
        return torch.stack(ten_crop_image(x, (self.height, self.width), self.vertical_flip), -4)

    def calls(self) -> Iterator[Call]:
        yield Call(ten_crop, {"size": [self.height, self.width], "vertical_flip": self.vertical_flip})


class FiveCrop(Transform):
    """Cut out the four corners and the middle.

    Eagerly the image becomes a tuple: upper left, upper right, lower left, lower right, middle. In a pipeline they lie
    along one more dimension, in front of the channels. Key points stay as they are,
    eagerly with a warning.

    Draws: nothing.

    Args:
        size: height and width of each crop in pixels; one number gives squares.

    Raises:
        TypeError: the sample has boxes or masks.
        InvalidInput: the image is smaller than the crops.
    """

    def __init__(self, size: Size) -> None:
        super().__init__()
        self.size = height_and_width(size)

    def draw(self, lanes: Lanes, frames: Frames) -> Op:
        _check(self, self.size, frames)
        return FiveCrops(*self.size)


class TenCrop(Transform):
    """Cut out the four corners and the middle, and those of the mirror image.

    Eagerly the image becomes a tuple: upper left, upper right, lower left, lower right, middle; then the same of the
    mirror image. In a pipeline they lie along one more dimension, in front of the channels. Key points stay as they
    are, eagerly with a warning.

    Draws: nothing.

    Args:
        size: height and width of each crop in pixels; one number gives squares.
        vertical_flip: whether to mirror top to bottom, not left to right.

    Raises:
        TypeError: the sample has boxes or masks.
        InvalidInput: the image is smaller than the crops.
    """

    def __init__(self, size: Size, vertical_flip: Flag = False) -> None:
        super().__init__()
        self.size = height_and_width(size)
        self.vertical_flip = vertical_flip

    def draw(self, lanes: Lanes, frames: Frames) -> Op:
        _check(self, self.size, frames)
        return TenCrops(*self.size, self.vertical_flip)


def _check(transform: Transform, size: tuple[int, int], frames: Frames) -> None:
    name, images = type(transform).__name__, frames.imaged()
    kinds = set() if frames.samples is None else {kind for sample in frames.samples for kind in sample.kinds()}
    if kinds & {BoundingBoxes, Mask}:
        raise WrongKind(f"{name} does not act on boxes and masks: a sample of an image and labels is needed")
    small = (images.heights < size[0]) | (images.widths < size[1])
    if small.any():
        row = int(small.argmax())
        raise InvalidInput(_too_small(size, (int(images.heights[row]), int(images.widths[row]))))


def _corners(size: Sides, image_size: tuple[int, int]) -> list[tuple[int, int, int, int]]:
    height, width = height_and_width(size)
    last_top, last_left = image_size[0] - height, image_size[1] - width
    if last_top < 0 or last_left < 0:
        raise InvalidInput(_too_small((height, width), image_size))
    return [(top, left, height, width) for top in (0, last_top) for left in (0, last_left)]


def _too_small(size: tuple[int, int], image_size: tuple[int, int]) -> str:
    return (
        f"crops of {size[0]} x {size[1]} pixels (height x width) cannot be cut from {image_size[0]} x {image_size[1]}: "
        "a larger image is needed"
    )


def _flipped(image: P, vertically: bool) -> P:
    flip = vertical_flip if vertically else horizontal_flip
    flipped: P = flip(image)
    return flipped
