"""What ``augment`` and ``replay`` can be asked for, in types: the form of results decides what they are."""

from __future__ import annotations

from typing import Literal, TypeAlias, TypedDict

from augserve.requests import DType

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
    """Of results that are drawn, as arrays and tensors."""

    seed: int | None
    dtype: DType | None


class DrawnFile(Drawn, TimedFile, total=False):
    """Of results that are drawn, as encoded files."""


class One(Drawn, total=False):
    """Of one image, whose result comes alone."""

    views: None


class OneFile(DrawnFile, total=False):
    """Of one image, whose result comes alone as an encoded file."""

    views: None


class Many(Drawn, total=False):
    """Of several results."""

    views: int | None


class ManyFile(DrawnFile, total=False):
    """Of several results as encoded files."""

    views: int | None
