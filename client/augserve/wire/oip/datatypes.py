"""The element types of the Open Inference Protocol."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import prod
from typing import Any, Final

import numpy as np

from augserve.wire.dtypes import InvalidBody

BYTES: Final = "BYTES"
"""Elements of any length: each is sent as its length, a little-endian uint32, and its bytes."""

NUMPY: Final[Mapping[str, np.dtype[Any]]] = {
    "BOOL": np.dtype("?"),
    "UINT8": np.dtype("u1"),
    "UINT16": np.dtype("<u2"),
    "UINT32": np.dtype("<u4"),
    "UINT64": np.dtype("<u8"),
    "INT8": np.dtype("i1"),
    "INT16": np.dtype("<i2"),
    "INT32": np.dtype("<i4"),
    "INT64": np.dtype("<i8"),
    "FP16": np.dtype("<f2"),
    "BF16": np.dtype("<u2"),
    "FP32": np.dtype("<f4"),
    "FP64": np.dtype("<f8"),
}
"""How numpy holds each element type but BYTES; BF16 as its 16 bits."""

NAMES: Final = (*NUMPY, BYTES)

BINARY_ONLY: Final = ("FP16", "BF16")
"""What cannot be sent as numbers of JSON."""

OF_DTYPE: Final[Mapping[str, str]] = {
    "bool": "BOOL",
    "uint8": "UINT8",
    "int8": "INT8",
    "uint16": "UINT16",
    "int16": "INT16",
    "uint32": "UINT32",
    "int32": "INT32",
    "uint64": "UINT64",
    "int64": "INT64",
    "float16": "FP16",
    "bfloat16": "BF16",
    "float32": "FP32",
    "float64": "FP64",
}
"""The protocol's name of an element type, by the name that torch and numpy have for it."""


def size_of(datatype: str, shape: Sequence[int]) -> int:
    """Bytes of a tensor of any type but BYTES; exact, however large the shape is."""
    return prod(shape) * NUMPY[datatype].itemsize


def check_datatype(name: str, datatype: str) -> None:
    """Raise ``InvalidBody`` for a type that the protocol does not have."""
    if datatype not in NAMES:
        raise InvalidBody(f"tensor {name!r} has datatype {datatype!r}; allowed: {', '.join(NAMES)}")


def short(value: object) -> str:
    """A value as the text of an error repeats it."""
    return repr(value)[:80]
