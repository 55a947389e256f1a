"""The element types that travel: one name each, as torch and numpy spell it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any, Final, TypeAlias

import numpy as np
import numpy.typing as npt

Buffer: TypeAlias = bytes | bytearray | memoryview
"""Bytes to send. Multi-dimensional views are sent in C order."""


class InvalidBody(ValueError):
    """Bytes that are not what their media type says; the message says what is wrong and where."""


@dataclass(frozen=True, slots=True)
class ElementType:
    """How one element type is called in safetensors, and how numpy holds it (bfloat16: as its 16 bits)."""

    safetensors: str
    numpy: np.dtype[Any]


ELEMENT_TYPES: Final[Mapping[str, ElementType]] = {
    "bool": ElementType("BOOL", np.dtype("?")),
    "uint8": ElementType("U8", np.dtype("u1")),
    "int8": ElementType("I8", np.dtype("i1")),
    "uint16": ElementType("U16", np.dtype("<u2")),
    "int16": ElementType("I16", np.dtype("<i2")),
    "uint32": ElementType("U32", np.dtype("<u4")),
    "int32": ElementType("I32", np.dtype("<i4")),
    "uint64": ElementType("U64", np.dtype("<u8")),
    "int64": ElementType("I64", np.dtype("<i8")),
    "float16": ElementType("F16", np.dtype("<f2")),
    "bfloat16": ElementType("BF16", np.dtype("<u2")),
    "float32": ElementType("F32", np.dtype("<f4")),
    "float64": ElementType("F64", np.dtype("<f8")),
}


def element_type(name: str) -> ElementType:
    """The element type called ``name``; raises ``ValueError`` for one that does not travel."""
    try:
        return ELEMENT_TYPES[name]
    except KeyError:
        raise ValueError(f"no element type named {name!r}; there are {', '.join(ELEMENT_TYPES)}") from None


def flat(data: Buffer) -> memoryview:
    """The same memory as one row of bytes, without a copy; raises ``ValueError`` where it is not in C order."""
    view = memoryview(data)
    if not view.c_contiguous:
        raise ValueError(f"a buffer of shape {view.shape} and strides {view.strides} is not contiguous in C order")
    return view.cast("B") if view.nbytes else memoryview(b"")


def check_size(dtype: str, shape: Sequence[int], data: memoryview) -> None:
    """Raise ``ValueError`` unless ``data`` holds exactly a ``shape`` of ``dtype``."""
    expected = prod(shape) * element_type(dtype).numpy.itemsize
    if data.nbytes != expected:
        raise ValueError(f"{dtype} of shape {list(shape)} takes {expected} bytes, not {data.nbytes}")


def widen(bits: npt.NDArray[np.uint16]) -> npt.NDArray[np.float32]:
    """The float32 values of bfloat16 ``bits``: exact, for bfloat16 is the upper half of a float32."""
    return (bits.astype(np.uint32) << np.uint32(16)).view(np.float32)


def narrow(values: npt.NDArray[np.float32]) -> npt.NDArray[np.uint16]:
    """The bits of the nearest bfloat16 values, of two as near the even one; ``values`` have no NaN."""
    bits = values.view(np.uint32)
    return ((bits + np.uint32(0x7FFF) + (bits >> np.uint32(16) & np.uint32(1))) >> np.uint32(16)).astype(np.uint16)
