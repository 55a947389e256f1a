"""The npy format: numpy's own file for one array. Pickled objects are never read, and nothing is evaluated."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from io import BytesIO
from math import prod
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from numpy.lib import format as npy_format

from augserve.wire.dtypes import ELEMENT_TYPES, Buffer, InvalidBody, element_type, flat

NPY_MAGIC: Final = b"\x93NUMPY"
_LENGTH_BYTES: Final = {b"\x01\x00": 2, b"\x02\x00": 4, b"\x03\x00": 4}  # by version
_MAX_HEADER_BYTES: Final = 1 << 10

# The header is a Python dict of three keys in any order. numpy's reader evaluates it, with a tokenizer behind, and lets
# their errors and warnings through; a plain array needs no more than this.
_ITEM: Final = (
    r"""['"](?:descr['"]\s*:\s*['"](?P<descr{0}>[<>|=]?[a-z]\d{{1,2}})['"]"""
    r"""|fortran_order['"]\s*:\s*(?P<order{0}>True|False)"""
    r"""|shape['"]\s*:\s*\((?P<shape{0}>[\d,\s]*)\))"""
)
_HEADER: Final = re.compile(r"\{\s*" + r"\s*,\s*".join(_ITEM.format(i) for i in range(3)) + r"\s*,?\s*\}\s*")
_DTYPES: Final[Mapping[str, np.dtype[Any]]] = {
    dtype.str: dtype
    for name, kind in ELEMENT_TYPES.items()
    if name != "bfloat16"
    for dtype in (kind.numpy, kind.numpy.newbyteorder(">"))
}


@lru_cache(maxsize=256)
def write_npy_header(dtype: str, shape: tuple[int, ...]) -> bytes:
    """What stands before the bytes of an array (little-endian, C order) to make them an npy file.

    ``dtype`` is spelled as torch does (``"float32"``). Raises ``ValueError`` for bfloat16, which npy does not have.
    """
    if dtype == "bfloat16":
        raise ValueError("npy has no bfloat16; use float32, float16, or the safetensors format")
    buffer = BytesIO()
    descr = npy_format.dtype_to_descr(element_type(dtype).numpy)
    header = {"descr": descr, "fortran_order": False, "shape": shape}
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
    length_bytes = _LENGTH_BYTES.get(bytes(view[6:8]))
    if bytes(view[:6]) != NPY_MAGIC or length_bytes is None:
        raise InvalidBody(
            f"npy: the body begins with {bytes(view[:8])!r}, not with {NPY_MAGIC!r} and version 1.0 to 3.0"
        )
    start = 8 + length_bytes
    end = start + int.from_bytes(view[8:start], "little")
    if end > min(view.nbytes, start + _MAX_HEADER_BYTES):
        raise InvalidBody(f"npy: the header says it has {end - start} bytes; {_MAX_HEADER_BYTES} are allowed")
    return *_parse(bytes(view[start:end]).decode("latin-1")), end


def _parse(header: str) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    found = _HEADER.fullmatch(header)
    values = {name[:-1]: text for name, text in found.groupdict().items() if text is not None} if found else {}
    if len(values) != 3:
        raise InvalidBody(f"npy: the header {header.strip()!r} is not that of a plain array")
    dtype = _DTYPES.get(values["descr"])
    if dtype is None:
        raise InvalidBody(f"npy: element type {values['descr']!r} is not read; {', '.join(_DTYPES)} are")
    shape = tuple(int(length) for length in values["shape"].replace(",", " ").split())
    return shape, values["order"] == "True", dtype
