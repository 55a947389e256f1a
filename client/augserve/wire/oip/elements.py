"""The elements of tensors: as bytes, as strings with lengths in front, and as numbers of JSON."""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from itertools import chain
from math import prod
from typing import Any, Final

import numpy as np

from augserve.wire.dtypes import Buffer, InvalidBody, flat
from augserve.wire.oip.datatypes import BINARY_ONLY, BYTES, NUMPY, short, size_of

MAX_STRINGS: Final = 1 << 17
"""Elements of a tensor of BYTES: they are read one by one, a microsecond each."""

_LENGTH: Final = struct.Struct("<I")
_SHORT: Final = 128
"""Up to so many bytes, a copy is smaller than a view."""
_MAX_NESTING: Final = 32
_JSON_TYPES: Final[Mapping[str, set[type]]] = {"b": {bool}, "f": {int, float}}
"""What an element may be in JSON, by kind of numpy's types; an integer for the others."""


def read_elements(name: str, datatype: str, shape: Sequence[int], blob: Buffer) -> Buffer | list[Buffer]:
    """What a tensor's ``data`` is where these are its bytes; raises ``InvalidBody`` unless they are exactly its shape.

    Nothing is copied: the elements of BYTES are views of the blob.
    """
    if datatype == BYTES:
        return read_strings(name, prod(shape), blob)
    size, expected = memoryview(blob).nbytes, size_of(datatype, shape)
    if size != expected:
        raise InvalidBody(f"tensor {name!r}: {datatype} of shape {list(shape)} takes {expected} bytes, not {size}")
    return blob


def read_strings(name: str, count: int, blob: Buffer) -> list[Buffer]:
    """The elements of BYTES: views of the blob, but for short ones. ``InvalidBody`` unless they are just ``count``."""
    view, place = flat(blob), 0
    if count > MAX_STRINGS:
        raise InvalidBody(f"tensor {name!r}: {count} elements of BYTES; at most {MAX_STRINGS} are allowed")
    if count * _LENGTH.size > len(view):
        raise InvalidBody(f"tensor {name!r}: {count} elements of BYTES do not fit in {len(view)} bytes")
    elements: list[Buffer] = []
    for index in range(count):
        start = place + _LENGTH.size
        length = _LENGTH.unpack_from(view, place)[0] if start <= len(view) else 0
        place = start + length
        if place > len(view):
            raise InvalidBody(f"tensor {name!r}: element {index} of BYTES ends at byte {place} of {len(view)}")
        elements.append(view[start:place] if length > _SHORT else bytes(view[start:place]))
    if place != len(view):
        raise InvalidBody(f"tensor {name!r}: {len(view) - place} bytes follow its {count} elements of BYTES")
    return elements


def write_strings(elements: Sequence[Buffer]) -> list[Buffer]:
    """Each element's length, and the element itself, which is not copied."""
    return [*chain.from_iterable((_LENGTH.pack(memoryview(each).nbytes), each) for each in elements)]


def read_json(name: str, datatype: str, shape: Sequence[int], data: object) -> Buffer | list[Buffer]:
    """The elements of a tensor whose ``data`` is a list, flat or nested; raises ``InvalidBody`` where it is not."""
    if not isinstance(data, list):
        raise InvalidBody(f"tensor {name!r}: data is a list of its elements, not {short(data)}")
    if datatype in BINARY_ONLY:
        raise InvalidBody(f"tensor {name!r}: {datatype} cannot be sent as JSON; send it as binary data")
    values, count = _flatten(name, data), prod(shape)
    if len(values) != count:
        raise InvalidBody(f"tensor {name!r}: shape {list(shape)} takes {count} elements, and data has {len(values)}")
    if datatype == BYTES:
        return [_text(name, value) for value in values]
    return _numbers(name, datatype, values)


def write_json(name: str, datatype: str, shape: Sequence[int], buffers: Sequence[Buffer]) -> list[Any]:
    """The elements of a tensor for JSON, flat; raises ``InvalidBody`` where JSON has no way to say them."""
    blob = b"".join(buffers)
    if datatype in BINARY_ONLY:
        raise InvalidBody(f"output {name!r} is {datatype}, which cannot be sent as JSON; ask for binary data")
    if datatype == BYTES:
        return [_string(name, element) for element in read_strings(name, prod(shape), blob)]
    values = np.frombuffer(blob, NUMPY[datatype])
    if values.dtype.kind == "f" and not np.isfinite(values).all():
        raise InvalidBody(f"output {name!r} has values that are not finite, which JSON cannot say; ask for binary data")
    listed: list[Any] = values.tolist()
    return listed


def _flatten(name: str, data: list[Any]) -> list[Any]:
    values = data
    for _ in range(_MAX_NESTING):
        lists = sum(isinstance(value, list) for value in values)
        if not lists:
            return values
        if lists < len(values):
            raise InvalidBody(f"tensor {name!r}: data has lists and elements side by side")
        values = [*chain.from_iterable(values)]
    raise InvalidBody(f"tensor {name!r}: data is nested more than {_MAX_NESTING} deep")


def _text(name: str, value: object) -> bytes:
    try:
        if isinstance(value, str):
            return value.encode()
    except UnicodeEncodeError:  # half of a surrogate pair
        pass
    raise InvalidBody(f"tensor {name!r}: an element of BYTES in JSON is a string of UTF-8, not {short(value)}")


def _string(name: str, element: Buffer) -> str:
    try:
        return bytes(element).decode()
    except UnicodeDecodeError as exc:
        raise InvalidBody(f"output {name!r} is not UTF-8 and cannot be sent as JSON; ask for binary data") from exc


def _numbers(name: str, datatype: str, values: list[Any]) -> bytes:
    dtype = NUMPY[datatype]
    allowed = _JSON_TYPES.get(dtype.kind, {int})
    if not {type(value) for value in values} <= allowed:
        wrong = next(value for value in values if type(value) not in allowed)
        raise InvalidBody(f"tensor {name!r}: {short(wrong)} is not a value of {datatype}")
    try:
        with np.errstate(over="ignore"):
            numbers = np.array(values, dtype)
    except OverflowError as exc:
        raise InvalidBody(f"tensor {name!r}: a value is out of the range of {datatype}") from exc
    if dtype.kind == "f" and not np.isfinite(numbers).all():
        raise InvalidBody(f"tensor {name!r}: a value is out of the range of {datatype}")
    return numbers.tobytes()
