"""What ``augment`` and ``replay`` can be asked for, in types: the form of results decides what they are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal, TypeAlias, TypedDict

from augserve.requests import DType
from augserve.wire import Wire

if TYPE_CHECKING:
    from augserve.torch import Device

Numpy: TypeAlias = Literal["numpy"]
Torch: TypeAlias = Literal["torch"]
Bytes: TypeAlias = Literal["bytes"]

On: TypeAlias = Literal[True]
Off: TypeAlias = Literal[False]


class Timed(TypedDict, total=False):
    """Of every call."""

    timeout: float | None


class TimedFile(Timed, total=False):
    """Of every call for encoded files."""

    media_type: str | None
    quality: int | None


class Drawn(Timed, total=False):
    """Of results that are drawn."""

    seed: int | None
    dtype: DType | None


class DrawnFile(Drawn, TimedFile, total=False):
    """Of results that are drawn, as encoded files."""


class DrawnArray(Drawn, total=False):
    """Of results that are drawn, as arrays and tensors."""

    wire: Wire | None


class One(DrawnArray, total=False):
    """Of one image, whose result comes alone."""

    views: None


class OneTensor(One, total=False):
    """Of one image, whose result comes alone as a tensor."""

    device: Device | None


class OneFile(DrawnFile, total=False):
    """Of one image, whose result comes alone as an encoded file."""

    views: None


class Many(DrawnArray, total=False):
    """Of several results."""

    views: int | None
    seeds: Sequence[int] | None


class ManyTensor(Many, total=False):
    """Of several results as tensors."""

    device: Device | None


class ManyFile(DrawnFile, total=False):
    """Of several results as encoded files."""

    views: int | None
    seeds: Sequence[int] | None
