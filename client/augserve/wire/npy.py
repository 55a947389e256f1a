"""The npy format, version 1.0: numpy's own file for one array. Pickled objects are never read."""

from __future__ import annotations

from collections.abc import Sequence
from io import BytesIO
from math import prod
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from numpy.lib import format as npy_format

from augserve.wire.dtypes import ELEMENT_TYPES, Buffer, InvalidBody, element_type, flat

_MAX_HEADER_BYTES: Final = 10_000  # numpy's own limit: the header is a Python literal, and parsing long ones is slow
_READERS: Final = {(1, 0): npy_format.read_array_header_1_0, (2, 0): npy_format.read_array_header_2_0}
_ITEM_TYPES: Final = frozenset(kind.numpy for name, kind in ELEMENT_TYPES.items() if name != "bfloat16")


def write_npy_header(dtype: str, shape: Sequence[int]) -> bytes:
    """What stands before the bytes of an array (little-endian, C order) to make them an npy file.

    ``dtype`` is spelled as torch does (``"float32"``). Raises ``ValueError`` for bfloat16, which npy does not have.
    """
    if dtype == "bfloat16":
        raise ValueError("npy has no bfloat16; use float32, float16, or the safetensors format")
    buffer = BytesIO()
    descr = npy_format.dtype_to_descr(element_type(dtype).numpy)
    header = {"descr": descr, "fortran_order": False, "shape": tuple(shape)}
    npy_format.write_array_header_1_0(buffer, header)
    return buffer.getvalue()


def read_npy(body: Buffer) -> npt.NDArray[Any]:
    """The array of an npy file, as a read-only view into ``body``.

    Raises ``InvalidBody`` for anything but a plain array of a known element type that fills the body exactly.
    """
    view = flat(body).toreadonly()
    shape, in_fortran_order, dtype, offset = _read_header(view)
    data = view[offset:]
    expected = prod(shape) * dtype.itemsize
    if data.nbytes != expected:
        raise InvalidBody(
            f"npy: {dtype} of shape {list(shape)} takes {expected} bytes; {data.nbytes} follow the header"
        )
    try:
        return np.frombuffer(data, dtype).reshape(shape, order="F" if in_fortran_order else "C")
    except ValueError as exc:  # more dimensions, or larger ones beside a zero, than numpy has
        raise InvalidBody(f"npy: numpy cannot hold an array of shape {list(shape)}") from exc


def _read_header(view: memoryview) -> tuple[tuple[int, ...], bool, np.dtype[Any], int]:
    """Shape, whether in Fortran order, element type, and where the data begins."""
    head = BytesIO(view[: _MAX_HEADER_BYTES + 16])
    try:
        reader = _READERS[npy_format.read_magic(head)]
        shape, in_fortran_order, dtype = reader(head, max_header_size=_MAX_HEADER_BYTES)
    except KeyError as exc:
        raise InvalidBody(f"npy: version {exc.args[0]} is not read; versions {sorted(_READERS)} are") from exc
    except (ValueError, TypeError, RecursionError, MemoryError) as exc:  # what parsing a hostile literal can raise
        raise InvalidBody(f"npy: the header cannot be read: {exc}") from exc
    if dtype.newbyteorder("<") not in _ITEM_TYPES:
        raise InvalidBody(f"npy: element type {dtype} is not read; known are booleans, integers and floats")
    if any(length < 0 for length in shape):
        raise InvalidBody(f"npy: shape {list(shape)} has a negative length")
    return shape, in_fortran_order, dtype, head.tell()
