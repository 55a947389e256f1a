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


MOST_PIXELS_A_SIDE = 2**31 - 1
"""Of two sides the product is an int64 all the same."""


def increasing(values: Sequence[float]) -> Sequence[float]:
    """Check that the values are pairs [low, high].

    Raises:
        ValueError: they are not.
    """
    for low, high in zip(values[::2], values[1::2], strict=True):
        if low > high:
            raise ValueError(f"{shown(values)} is not [low, high]: {shown(low)} is greater than {shown(high)}")
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
NotZero = Annotated[float, Field(json_schema_extra={"not": {"const": 0}}), AfterValidator(_not_zero)]
Fraction = Annotated[float, Field(ge=0, le=1)]
Pixels = Annotated[int, Field(ge=1, le=MOST_PIXELS_A_SIDE)]
OddPixels = Annotated[
    int, Field(ge=1, le=MOST_PIXELS_A_SIDE, json_schema_extra={"not": {"multipleOf": 2}}), AfterValidator(_odd)
]

OneOrTwoPixels = Annotated[Sequence[Pixels], Items((1, 2))]
Edges = Annotated[Sequence[int], Items((1, 2, 4))]
Numbers = Annotated[Sequence[float], Items(), Words("a list of numbers")]
Pair = Annotated[Sequence[float], Items((2,))]
Range = Annotated[Pair, AfterValidator(increasing)]
FractionRange = Annotated[Sequence[Fraction], Items((2,)), AfterValidator(increasing)]
NotNegativeRange = Annotated[Sequence[NotNegative], Items((2,)), AfterValidator(increasing)]
PositiveRange = Annotated[Sequence[Positive], Items((2,)), AfterValidator(increasing)]
HueRange = Annotated[Sequence[Annotated[float, Field(ge=-0.5, le=0.5)]], Items((2,)), AfterValidator(increasing)]

Flag = Annotated[bool, Words("true or false")]
OptionalFlag = Annotated[bool | None, Words("true, false or null")]
Probability = Annotated[Fraction, Words("a number")]

Size = Annotated[Pixels | OneOrTwoPixels, Words("an integer or a list of one or two integers", example=224)]
OptionalSize = Annotated[
    Pixels | OneOrTwoPixels | None, Words("an integer, a list of one or two integers, or null", example=256)
]
MaxSize = Annotated[Pixels | None, Words("an integer or null")]
Padding = Annotated[int | Edges, Words("an integer or a list of one, two or four integers", example=4)]
OptionalPadding = Annotated[
    int | Edges | None, Words("an integer, a list of one, two or four integers, or null", example=4)
]
PaddingMode = Literal["constant", "edge", "reflect", "symmetric"]
Fill = Annotated[
    float | Numbers | Annotated[Mapping[type | Literal["others"], float | Numbers | None], PerKind()] | None,
    Words("a number, a list of numbers (one a channel), null, or a mapping from kinds of input to these"),
]

ModeLike = str | InterpolationMode | int
MODES = Words("an interpolation mode")
NEAREST, NEAREST_EXACT = InterpolationMode.NEAREST, InterpolationMode.NEAREST_EXACT
BILINEAR, BICUBIC = InterpolationMode.BILINEAR, InterpolationMode.BICUBIC
Interpolation = Annotated[ModeLike, Modes(tuple(InterpolationMode)), MODES]
ResizeInterpolation = Interpolation
WarpInterpolation = Annotated[ModeLike, Modes((NEAREST, NEAREST_EXACT, BILINEAR, BICUBIC)), MODES]

Dtype = Annotated[torch.dtype, DtypeName(), Words("a dtype", example="float32")]
DtypeOrMapping = Annotated[
    Dtype | Annotated[Mapping[type | Literal["others"], Dtype | None], PerKind()],
    Words("a dtype, or a mapping from kinds of input to dtypes", example="float32"),
]

AreaRange = Annotated[NotNegativeRange, Words("two numbers [low, high]")]
ErasedArea = Annotated[FractionRange, Words("two numbers [low, high]")]
Ratio = Annotated[PositiveRange, Words("two numbers [low, high]")]
ScaleRange = Annotated[PositiveRange | None, Words("two numbers [low, high], or null", example=[0.8, 1.2])]
Degrees = Annotated[NotNegative | Range, Words("a number or two numbers [low, high]", example=15)]
Shear = Annotated[
    NotNegative | Annotated[Sequence[float], Items((2, 4)), AfterValidator(increasing)] | None,
    Words("a number, two numbers [low, high], four [low, high, low, high], or null", example=10),
]
Translate = Annotated[
    Annotated[Sequence[Fraction], Items((2,))] | None,
    Words("two numbers [horizontal, vertical], or null", example=[0.1, 0.1]),
]
Center = Annotated[Pair | None, Words("two numbers [x, y], or null")]

Factor = Annotated[NotNegative | NotNegativeRange | None, Words("a number, two numbers [low, high], or null", 0.4)]
Hue = Annotated[
    Annotated[float, Field(ge=0, le=0.5)] | HueRange | None,
    Words("a number, two numbers [low, high], or null", example=0.1),
]
KernelSize = Annotated[
    OddPixels | Annotated[Sequence[OddPixels], Items((1, 2))],
    Words("an odd integer or a list of one or two odd integers [horizontal, vertical]", example=23),
]
Sigma = Annotated[
    Positive | Annotated[Sequence[Positive], Items((1,))] | PositiveRange,
    Words("a number or two numbers [low, high]"),
]
Channels = Annotated[int, Field(json_schema_extra={"enum": [1, 3]}), AfterValidator(_one_or_three), Words("1 or 3")]
Bits = Annotated[int, Field(ge=0, le=8), Words("an integer", example=4)]
Threshold = Annotated[float, Words("a number", example=128)]
ErasedValue = Annotated[
    float | Numbers | Literal["random"], Words("a number, a list of numbers (one a channel), or 'random'")
]
Mean = Annotated[Numbers, Words("a list of numbers, one a channel", example=[0.485, 0.456, 0.406])]
Std = Annotated[Sequence[NotZero], Items(), Words("a list of numbers, one a channel", example=[0.229, 0.224, 0.225])]
Weights = Annotated[Annotated[Sequence[NotNegative], Items()] | None, Words("a list of numbers or null")]

if TYPE_CHECKING:
    Transforms = Sequence[Transform]
else:
    Transforms = Annotated[Sequence, Steps(), Words("a list of transforms", example=["RandomHorizontalFlip"])]
