"""What AutoAugment, RandAugment, TrivialAugmentWide and AugMix pick from: operations, and how strong they are."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Annotated, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from torch import Tensor

from augserve_pipelines.arguments import Words
from augserve_pipelines.errors import WrongKind
from augserve_pipelines.frames import Frames, IntArray
from augserve_pipelines.interpolation import InterpolationMode
from augserve_pipelines.lanes import Lanes
from augserve_pipelines.ops import NOTHING, BoolArray, Chain, Op, Select
from augserve_pipelines.samples import PICTURES, Sample
from augserve_pipelines.transforms.affine import AffineMap
from augserve_pipelines.transforms.base import Transform
from augserve_pipelines.transforms.channels import check_channels, check_dimensions
from augserve_pipelines.transforms.color import Jitter
from augserve_pipelines.transforms.conversion import max_value
from augserve_pipelines.transforms.fill import Fills, image_colors
from augserve_pipelines.transforms.histogram import Autocontrast, Equalize
from augserve_pipelines.transforms.pointwise import Invert, Posterize, Solarize
from augserve_pipelines.transforms.rotation import rotation
from augserve_pipelines.transforms.sharpness import Sharpen
from augserve_pipelines.transforms.warp import check_mode
from augserve_pipelines.tv_tensors import BoundingBoxes, KeyPoints, Mask

__all__ = [
    "MIXED",
    "MIXED_GEOMETRY",
    "USUAL",
    "WIDE",
    "Bins",
    "ImageAugmentation",
    "NameArray",
    "Space",
    "augmentations",
    "draw_names",
    "draw_signs",
    "has_magnitude",
]

NameArray: TypeAlias = NDArray[np.str_]
FloatArray: TypeAlias = NDArray[np.float64]
Bins = Annotated[int, Field(ge=2), Words("an integer of at least 2")]

_PLAIN = ("Identity", "AutoContrast", "Equalize", "Invert")
_ONE_SIGN = ("Posterize", "Solarize")
_COLORS = ("Brightness", "Contrast", "Color")  # in the order of Jitter's factors
_GEOMETRY = ("ShearX", "ShearY", "TranslateX", "TranslateY", "Rotate")
_USUAL_NAMES = ("Identity", *_GEOMETRY, "Brightness", "Color", "Contrast", "Sharpness", *_ONE_SIGN, *_PLAIN[1:3])
_MIXED_NAMES = (*_GEOMETRY, *_ONE_SIGN, *_PLAIN[1:3])


@dataclass(frozen=True, slots=True)
class Space:
    """Operations, in the order that they are numbered, and the greatest magnitude of each kind of them."""

    names: tuple[str, ...]
    shear: float
    shift: Callable[[int], float]  # in pixels, of a side
    turn: float  # degrees
    color: float  # a factor's distance from 1
    first_bits: int
    lost_bits: int  # from the first to the last magnitude

    def magnitudes(self, names: NameArray, places: IntArray, bins: int, frames: Frames) -> FloatArray:
        """The magnitudes at ``places`` of ``bins``, for each sample's operation and size; 0 where it has none."""
        found = np.zeros(len(names))
        rows = zip(names.tolist(), places.tolist(), frames.heights.tolist(), frames.widths.tolist(), strict=True)
        for row, (name, place, height, width) in enumerate(rows):
            if name not in _PLAIN:
                found[row] = self._table(name, bins, width if name == "TranslateX" else height)[place]
        return found

    def _table(self, name: str, bins: int, side: int) -> list[float]:
        if name == "Posterize":
            return _bits(self.first_bits, self.lost_bits, bins)
        if name == "Solarize":
            return _linear(1.0, 0.0, bins)
        reach = {"Shear": self.shear, "Translate": self.shift(side), "Rotate": self.turn}
        return _linear(0.0, reach.get(name.rstrip("XY"), self.color), bins)


def _shift_of_331_pixels(side: int) -> float:
    return 150.0 / 331.0 * side


def _shift_of_32_pixels(side: int) -> float:
    return 32.0


def _shift_of_a_third(side: int) -> float:
    return side / 3.0


USUAL = Space(_USUAL_NAMES, 0.3, _shift_of_331_pixels, 30.0, 0.9, first_bits=8, lost_bits=4)
WIDE = Space(_USUAL_NAMES, 0.99, _shift_of_32_pixels, 135.0, 0.99, first_bits=8, lost_bits=6)
MIXED_GEOMETRY = Space(_MIXED_NAMES, 0.3, _shift_of_a_third, 30.0, 0.9, first_bits=4, lost_bits=4)
MIXED = Space(
    (*_MIXED_NAMES, "Brightness", "Color", "Contrast", "Sharpness"),
    0.3,
    _shift_of_a_third,
    30.0,
    0.9,
    first_bits=4,
    lost_bits=4,
)


class ImageAugmentation(Transform):
    """Base of the transforms that change one image or video, and would leave its masks and boxes behind."""

    def check_sample(self, sample: Sample) -> None:
        name = type(self).__name__
        for kind in sample.kinds() & {Mask, BoundingBoxes, KeyPoints}:
            raise WrongKind(f"{name} does not act on {kind.__name__}: it would no longer fit the image")
        places = [place for place in sample.acts if sample.kind_at(place) in (Tensor, *PICTURES)]
        if len(places) != 1:
            raise WrongKind(f"{name} takes one image or video; there are {len(places)}")
        check_dimensions(sample.leaves[places[0]], name)


def draw_names(space: Space, lanes: Lanes) -> NameArray:
    """An operation for each sample."""
    names: NameArray = np.array(space.names)[lanes.integers(0, len(space.names))]
    return names


def draw_signs(names: NameArray, lanes: Lanes) -> FloatArray:
    """1 or -1 for each sample; a number is drawn where the operation goes both ways."""
    signs = np.ones(len(names))
    both = ~np.isin(names, (*_PLAIN, *_ONE_SIGN))
    signs[both] = np.where(lanes[both].rand() <= 0.5, -1.0, 1.0)
    return signs


def has_magnitude(names: NameArray) -> BoolArray:
    """Which operations have magnitudes."""
    found: BoolArray = ~np.isin(names, _PLAIN)
    return found


def augmentations(
    names: NameArray, magnitudes: FloatArray, frames: Frames, interpolation: InterpolationMode, fill: Fills
) -> Op:
    """Each sample's operation, those of one family together; magnitudes have their signs."""
    look = _Look(interpolation, fill)
    ops: list[Op] = []
    for members, make in _FAMILIES:
        rows = np.isin(names, members)
        if rows.any():
            ops.append(Select(rows, make(names[rows], magnitudes[rows], frames[rows], look)))
    return Chain(tuple(ops)) if ops else NOTHING


@dataclass(frozen=True, slots=True)
class _Look:
    """How images look that were warped."""

    interpolation: InterpolationMode
    fill: Fills


def _sheared(names: NameArray, magnitudes: FloatArray, frames: Frames, look: _Look) -> Op:
    shears = np.zeros((len(names), 2))
    degrees = [math.degrees(math.atan(magnitude)) for magnitude in magnitudes.tolist()]
    shears[np.arange(len(names)), (names == "ShearY").astype(np.int64)] = degrees
    return _mapped(np.zeros_like(shears, np.int64), shears, frames, look, center=(0.0, 0.0))


def _shifted(names: NameArray, magnitudes: FloatArray, frames: Frames, look: _Look) -> Op:
    shifts = np.zeros((len(names), 2), np.int64)
    shifts[np.arange(len(names)), (names == "TranslateY").astype(np.int64)] = magnitudes.astype(np.int64)
    return _mapped(shifts, np.zeros(shifts.shape), frames, look, center=None)


def _mapped(
    shifts: IntArray, shears: FloatArray, frames: Frames, look: _Look, center: tuple[float, float] | None
) -> Op:
    check_mode(look.interpolation, frames)
    zeros, ones = np.zeros(len(frames)), np.ones(len(frames))
    colors = image_colors(look.fill, frames)
    return AffineMap(zeros, shifts, ones, shears, colors, look.interpolation, look.fill, center)


def _turned(_: NameArray, magnitudes: FloatArray, frames: Frames, look: _Look) -> Op:
    return rotation(magnitudes, frames, look.interpolation, look.fill)


def _recolored(names: NameArray, magnitudes: FloatArray, frames: Frames, _: _Look) -> Op:
    check_channels(frames, f"{names[0]} of an augmentation")
    factors = np.full((len(names), 4), np.nan)
    factors[np.arange(len(names)), [_COLORS.index(name) for name in names.tolist()]] = 1.0 + magnitudes
    return Jitter(np.tile(np.arange(4), (len(names), 1)), factors)


def _sharpened(_: NameArray, magnitudes: FloatArray, frames: Frames, __: _Look) -> Op:
    check_channels(frames, "Sharpness of an augmentation")
    return Sharpen(1.0 + magnitudes)


def _stretched(_: NameArray, __: FloatArray, frames: Frames, ___: _Look) -> Op:
    check_channels(frames, "AutoContrast of an augmentation")
    return Autocontrast()


def _posterized(_: NameArray, magnitudes: FloatArray, __: Frames, ___: _Look) -> Op:
    return Posterize(magnitudes.astype(np.int64))


def _solarized(_: NameArray, magnitudes: FloatArray, frames: Frames, __: _Look) -> Op:
    greatest = np.array([max_value(dtype) for dtype in frames.dtypes], np.float64)
    return Solarize(greatest * magnitudes)


def _equalized(_: NameArray, __: FloatArray, ___: Frames, ____: _Look) -> Op:
    return Equalize()


def _inverted(_: NameArray, __: FloatArray, ___: Frames, ____: _Look) -> Op:
    return Invert()


_Family = Callable[[NameArray, FloatArray, Frames, _Look], Op]
_FAMILIES: Sequence[tuple[Sequence[str], _Family]] = (
    (_GEOMETRY[:2], _sheared),
    (_GEOMETRY[2:4], _shifted),
    (_GEOMETRY[4:], _turned),
    (_COLORS, _recolored),
    (("Sharpness",), _sharpened),
    (("Posterize",), _posterized),
    (("Solarize",), _solarized),
    (("AutoContrast",), _stretched),
    (("Equalize",), _equalized),
    (("Invert",), _inverted),
)


@lru_cache(maxsize=1024)
def _linear(first: float, last: float, bins: int) -> list[float]:
    values: list[float] = torch.linspace(first, last, bins).tolist()  # torch's steps, in float32
    return values


@lru_cache(maxsize=64)
def _bits(first: int, lost: int, bins: int) -> list[float]:
    values: list[float] = (first - torch.arange(bins) / ((bins - 1) / lost)).round().tolist()
    return values
