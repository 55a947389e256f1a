"""What ``augment`` can be asked for besides the form of its results, which decides their type."""

from __future__ import annotations

from typing import TypedDict

from augserve.requests import DType


class Options(TypedDict, total=False):
    """Of results as arrays and tensors."""

    seed: int | None
    dtype: DType | None
    timeout: float | None


class FileOptions(Options, total=False):
    """Of results as encoded files."""

    media_type: str | None
    quality: int | None


class OneOptions(Options, total=False):
    """Of one image, whose result comes alone."""

    views: None


class OneFileOptions(FileOptions, total=False):
    """Of one image, whose result comes alone as an encoded file."""

    views: None


class ManyOptions(Options, total=False):
    """Of several results."""

    views: int | None


class ManyFileOptions(FileOptions, total=False):
    """Of several results as encoded files."""

    views: int | None
