"""What a message is made of, looked at before it is parsed.

Protobuf parses a message in one go, and nothing else runs meanwhile: 64 MiB of tiny fields would stop the server for
seconds. The few fields that an honest request has are counted in microseconds.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, TypeAlias

from augserve.wire import InvalidBody

MAX_FIELDS: Final = 16_384
"""Of a message and all those within it; each element of typed BYTES is one."""
PACKED_BYTES: Final = 64
"""So many bytes of typed numbers count as a field: a MiB of them is the most there may be."""

Tree: TypeAlias = Mapping[int, "Tree"]

_ENTRY: Final[Tree] = {2: {}}  # of parameters: its value
_CONTENTS: Final[Tree] = {}
REQUEST: Final[Tree] = {4: _ENTRY, 5: {4: _ENTRY, 5: _CONTENTS}, 6: {2: _ENTRY}}
"""Which fields of a ``ModelInferRequest`` are messages, and which of theirs."""
_BYTES_CONTENTS: Final = 8

_VARINT, _DOUBLE, _SIZED, _FLOAT = 0, 1, 2, 5


def check_fields(data: bytes) -> None:
    """Raise ``InvalidBody`` for a ``ModelInferRequest`` of more fields than are allowed, or of broken ones."""
    _check(_count(data, 0, len(data), REQUEST, 0))


def _count(data: bytes, place: int, end: int, tree: Tree, fields: int) -> int:
    while place < end:
        fields += 1
        _check(fields)
        tag, place = _varint(data, place, end)
        start, place = _skip(data, place, end, tag & 7)
        if tag & 7 == _SIZED and (inner := tree.get(tag >> 3)) is not None:
            fields = _count(data, start, place, inner, fields)
        elif tree is _CONTENTS and tag >> 3 != _BYTES_CONTENTS:
            fields += (place - start) // PACKED_BYTES
    return fields


def _check(fields: int) -> None:
    if fields > MAX_FIELDS:
        raise InvalidBody(
            f"the message has more than {MAX_FIELDS} fields (with {PACKED_BYTES} bytes of typed numbers for one); "
            "send large tensors in raw_input_contents"
        )


def _skip(data: bytes, place: int, end: int, kind: int) -> tuple[int, int]:
    """Where the value of a field begins and ends."""
    if kind == _VARINT:
        return place, _varint(data, place, end)[1]
    size, start = _varint(data, place, end) if kind == _SIZED else ({_DOUBLE: 8, _FLOAT: 4}.get(kind, end), place)
    if start + size > end:
        raise InvalidBody(f"the message is broken at byte {place}")
    return start, start + size


def _varint(data: bytes, place: int, end: int) -> tuple[int, int]:
    value = shift = 0
    while place < end and shift < 70:
        byte = data[place]
        place += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, place
        shift += 7
    raise InvalidBody(f"the message is broken at byte {place}")
