"""Directories of tags, as in TIFF files and EXIF, read without trusting them; and the orientation they carry."""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

ORIENTATION: Final = 0x0112

_MAX_ENTRIES: Final = 4096
_ITEM_BYTES: Final = {3: 2, 4: 4, 5: 8, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8, 17: 8, 18: 8}  # others: 1
_INTEGERS: Final = {3: "H", 4: "L", 13: "L", 16: "Q"}
_EXIF_HEADER: Final = b"Exif\0\0"
_XMP_ORIENTATION: Final = re.compile(rb'tiff:Orientation(?:="|>)([0-9])')


@dataclass(frozen=True, slots=True)
class Entry:
    """One tag: how many bytes its values take, where they lie, and the first of them if it is an unsigned integer."""

    tag: int
    count: int
    size: int
    offset: int
    value: int | None


@dataclass(frozen=True, slots=True)
class Layout:
    """How a file writes its directories: byte order, and 4 or 8 bytes (BigTIFF) to an offset."""

    order: str
    big: bool
    first: int

    @classmethod
    def read(cls, data: bytes) -> Layout | None:
        """The layout that the first bytes of ``data`` announce, with the first directory's offset; None for others."""
        order = {b"II": "<", b"MM": ">"}.get(data[:2])
        if order is None:
            return None
        version = struct.unpack_from(order + "H", data, 2)[0]
        if version == 42:
            return cls(order, False, struct.unpack_from(order + "L", data, 4)[0])
        if version == 43:
            return cls(order, True, struct.unpack_from(order + "Q", data, 8)[0])
        return None

    def entries(self, data: bytes, offset: int) -> Iterator[Entry]:
        """The entries of the directory at ``offset``; raises ``struct.error`` where ``data`` ends before it does."""
        start, count = self._entry_count(data, offset)
        size = 20 if self.big else 12
        for position in range(start, start + size * count, size):
            yield self._entry(data, position)

    def next(self, data: bytes, offset: int) -> int:
        """Where the directory after the one at ``offset`` is: 0 after the last."""
        start, count = self._entry_count(data, offset)
        end = start + count * (20 if self.big else 12)
        return int(struct.unpack_from(self.order + ("Q" if self.big else "L"), data, end)[0])

    def _entry_count(self, data: bytes, offset: int) -> tuple[int, int]:
        kind, size = ("Q", 8) if self.big else ("H", 2)
        count = struct.unpack_from(self.order + kind, data, offset)[0]
        if count > _MAX_ENTRIES:
            raise struct.error(f"a directory of {count} entries")
        return offset + size, count

    def _entry(self, data: bytes, position: int) -> Entry:
        tag, kind, count = struct.unpack_from(self.order + ("HHQ" if self.big else "HHL"), data, position)
        inline, word = (8, "Q") if self.big else (4, "L")
        place = position + 4 + inline
        size = count * _ITEM_BYTES.get(kind, 1)
        offset = place if size <= inline else struct.unpack_from(self.order + word, data, place)[0]
        value = None
        if kind in _INTEGERS and 0 < size <= inline:
            value = struct.unpack_from(self.order + _INTEGERS[kind], data, place)[0]
        return Entry(tag, count, size, offset, value)


def find_orientation(exif: bytes = b"", xmp: bytes = b"") -> int:
    """The EXIF orientation, 1 to 8: of ``exif``, else of the XMP packet, else 1. What cannot be read is ignored."""
    value = _exif_orientation(exif)
    if value is None:
        found = _XMP_ORIENTATION.search(xmp)
        value = int(found[1]) if found else 1
    return value if 1 <= value <= 8 else 1


def _exif_orientation(exif: bytes) -> int | None:
    exif = exif.removeprefix(_EXIF_HEADER).removeprefix(_EXIF_HEADER)  # some cameras write it twice
    try:
        layout = Layout.read(exif)
        if layout is None:
            return None
        found = (entry for entry in layout.entries(exif, layout.first) if entry.tag == ORIENTATION)
        entry = next(found, None)
    except (struct.error, OverflowError):  # it ends too early, or points far outside
        return None
    return entry.value if entry is not None and entry.count == 1 else None
