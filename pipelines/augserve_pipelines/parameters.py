"""The types of the parameters of transforms: what torchvision accepts, with its ranges and in words.

The typed ``__init__`` of a transform is its schema. YAML knows no tuples and no dtypes, so lists are taken for tuples
and names for dtypes and modes; what reaches the transform is a tuple, a float, a torch.dtype, an InterpolationMode.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Literal

import torch
from pydantic import AfterValidator, Field

from augserve_pipelines.arguments import Words, shown, validated
from augserve_pipelines.constraints import DtypeName, Items, Modes, PerKind, Steps, for_kind
from augserve_pipelines.interpolation import InterpolationMode

if TYPE_CHECKING:
    from augserve_pipelines.transforms.base import Transform

__all__ = [
    "AreaRange",
    "Bits",
    "Center",
    "Channels",
    "Degrees",
    "Dtype",
    "DtypeOrMapping",
    "ErasedArea",
    "ErasedValue",
    "Factor",
    "Fill",
    "Flag",
    "Hue",
    "Interpolation",
    "KernelSize",
    "MaxSize",
    "Mean",
    "OptionalFlag",
    "OptionalPadding",
    "OptionalSize",
    "Padding",
    "PaddingMode",
    "Probability",
    "Ratio",
    "ResizeInterpolation",
    "ScaleRange",
    "Shear",
    "Sigma",
    "Size",
    "Std",
    "Threshold",
    "Transforms",
    "Translate",
    "WarpInterpolation",
    "Weights",
    "for_kind",
    "validated",
]


def _increasing(values: Sequence[float]) -> Sequence[float]:
    """Check [low, high], or [low, high, low, high]."""
    if any(low > high for low, high in zip(values[::2], values[1::2], strict=False)):
        raise ValueError(f"{shown(values)} is not [low, high]: {shown(values[0])} is greater than {shown(values[1])}")
    return values


def _odd(value: int) -> int:
    if value % 2 == 0:
        raise ValueError(f"{value} is not odd")
    return value


def _not_zero(value: float) -> float:
    if value == 0:
        raise ValueError("0 is not allowed: values are divided by it")
    return value


def _one_or_three(value: int) -> int:
    if value not in (1, 3):
        raise ValueError(f"{value} is neither 1 nor 3")
    return value


Positive = Annotated[float, Field(gt=0)]
NotNegative = Annotated[float, Field(ge=0)]
Pixels = Annotated[int, Field(ge=1)]
Fraction = Annotated[float, Field(ge=0, le=1)]
OddPixels = Annotated[int, Field(ge=1), AfterValidator(_odd)]
Range = Annotated[Sequence[float], Items((2,)), AfterValidator(_increasing)]
NotNegativeRange = Annotated[Sequence[NotNegative], Items((2,)), AfterValidator(_increasing)]
PositiveRange = Annotated[Sequence[Positive], Items((2,)), AfterValidator(_increasing)]
Numbers = Annotated[Sequence[float], Items(), Words("a list of numbers")]

Flag = Annotated[bool, Words("true or false")]
OptionalFlag = Annotated[bool | None, Words("true, false or null")]
Probability = Annotated[float, Field(ge=0, le=1), Words("a number")]

Size = Annotated[
    Pixels | Annotated[Sequence[Pixels], Items((1, 2))], Words("an integer or a list of one or two integers")
]
OptionalSize = Annotated[
    Pixels | Annotated[Sequence[Pixels], Items((1, 2))] | None,
    Words("an integer, a list of one or two integers, or null"),
]
MaxSize = Annotated[Pixels | None, Words("an integer or null")]
Padding = Annotated[
    int | Annotated[Sequence[int], Items((1, 2, 4))], Words("an integer or a list of one, two or four integers")
]
OptionalPadding = Annotated[
    int | Annotated[Sequence[int], Items((1, 2, 4))] | None,
    Words("an integer, a list of one, two or four integers, or null"),
]
PaddingMode = Annotated[
    Literal["constant", "edge", "reflect", "symmetric"], Words("one of constant, edge, reflect, symmetric")
]
Fill = Annotated[
    float | Numbers | Annotated[Mapping[type | Literal["others"], float | Numbers | None], PerKind()] | None,
    Words("a number, a list of numbers (one a channel), null, or a mapping from kinds of input to these"),
]

_MODE_WORDS = Words("an interpolation mode")
_ModeLike = str | InterpolationMode | int
Interpolation = Annotated[_ModeLike, Modes(tuple(InterpolationMode)), _MODE_WORDS]
ResizeInterpolation = Annotated[
    _ModeLike,
    Modes(
        (
            InterpolationMode.NEAREST,
            InterpolationMode.NEAREST_EXACT,
            InterpolationMode.BILINEAR,
            InterpolationMode.BICUBIC,
        )
    ),
    _MODE_WORDS,
]
WarpInterpolation = Annotated[_ModeLike, Modes((InterpolationMode.NEAREST, InterpolationMode.BILINEAR)), _MODE_WORDS]

Dtype = Annotated[torch.dtype, DtypeName(), Words("a dtype")]
DtypeOrMapping = Annotated[
    Dtype | Annotated[Mapping[type | Literal["others"], Dtype | None], PerKind()],
    Words("a dtype, or a mapping from kinds of input to dtypes"),
]

AreaRange = Annotated[NotNegativeRange, Words("two numbers [low, high]")]
ErasedArea = Annotated[Sequence[Fraction], Items((2,)), AfterValidator(_increasing), Words("two numbers [low, high]")]
Ratio = Annotated[PositiveRange, Words("two numbers [low, high]")]
ScaleRange = Annotated[PositiveRange | None, Words("two numbers [low, high], or null")]
Degrees = Annotated[NotNegative | Range, Words("a number or two numbers [low, high]")]
Shear = Annotated[
    NotNegative | Annotated[Sequence[float], Items((2, 4)), AfterValidator(_increasing)] | None,
    Words("a number, two or four numbers [low, high, low, high], or null"),
]
Translate = Annotated[
    Annotated[Sequence[Fraction], Items((2,))] | None, Words("two numbers [horizontal, vertical], or null")
]
Center = Annotated[Annotated[Sequence[float], Items((2,))] | None, Words("two numbers [x, y], or null")]

Factor = Annotated[NotNegative | NotNegativeRange | None, Words("a number, two numbers [low, high], or null")]
Hue = Annotated[
    Annotated[float, Field(ge=0, le=0.5)]
    | Annotated[Sequence[Annotated[float, Field(ge=-0.5, le=0.5)]], Items((2,)), AfterValidator(_increasing)]
    | None,
    Words("a number, two numbers [low, high], or null"),
]
KernelSize = Annotated[
    OddPixels | Annotated[Sequence[OddPixels], Items((1, 2))],
    Words("an odd integer or a list of one or two odd integers [horizontal, vertical]"),
]
Sigma = Annotated[
    Positive | Annotated[Sequence[Positive], Items((1, 2)), AfterValidator(_increasing)],
    Words("a number or two numbers [low, high]"),
]
Channels = Annotated[int, AfterValidator(_one_or_three), Words("1 or 3")]
Bits = Annotated[int, Field(ge=0, le=8), Words("an integer")]
Threshold = Annotated[float, Words("a number")]
ErasedValue = Annotated[
    float | Numbers | Literal["random"], Words('a number, a list of numbers (one a channel), or "random"')
]
Mean = Annotated[Numbers, Words("a list of numbers, one a channel")]
Std = Annotated[
    Sequence[Annotated[float, AfterValidator(_not_zero)]], Items(), Words("a list of numbers, one a channel")
]
Weights = Annotated[Annotated[Sequence[NotNegative], Items()] | None, Words("a list of numbers or null")]

if TYPE_CHECKING:
    Transforms = Sequence[Transform]
else:
    Transforms = Annotated[Sequence, Steps(), Words("a list of transforms")]
