"""Directories of tags, as TIFF files and EXIF have them, read without trusting them; and TIFF headers."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from augserve_server.errors import ImageCorrupt, ImageTooLarge
from augserve_server.headers import MAX_FRAMES_COUNTED, Header

ORIENTATION: Final = 274
_SUBFILE, _WIDTH, _HEIGHT, _STRIP_OFFSETS = 254, 256, 257, 273
_TILE_WIDTH, _TILE_HEIGHT, _TILE_OFFSETS = 322, 323, 324
_SINGLE: Final = frozenset(
    {_WIDTH, _HEIGHT, _TILE_WIDTH, _TILE_HEIGHT, ORIENTATION, 259, 266, 277, 278, 282, 283, 284, 296}
)
_NOT_A_PAGE: Final = 0b101  # reduced resolution, or a mask

_MAX_ENTRIES: Final = 4096
_MAX_STRIPS: Final = 1 << 17
_ITEM_BYTES: Final = {3: 2, 4: 4, 5: 8, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8, 17: 8, 18: 8}  # others: 1
_INTEGERS: Final = {3: "H", 4: "L", 13: "L", 16: "Q"}


def read_tiff(data: bytes) -> Header:
    """The first directory, and how many pages there are; pyramids, masks and thumbnails of them do not count."""
    layout = Layout.read(data)
    assert layout is not None  # the magic bytes matched
    values: dict[int, int | None] = {}
    metadata_bytes = 0
    for entry in layout.entries(data, layout.first):
        _check_entry(entry, data)
        values.setdefault(entry.tag, entry.value)
        metadata_bytes += entry.size
    if metadata_bytes > len(data):
        raise ImageCorrupt("TIFF", "its tags share their values")
    width, height = values.get(_WIDTH), values.get(_HEIGHT)
    if width is None or height is None:
        raise ImageCorrupt("TIFF", "its first page has no width or no height")
    _check_tiles(values.get(_TILE_WIDTH), values.get(_TILE_HEIGHT), width, height)
    orientation = values.get(ORIENTATION)  # where it is not, an XMP packet may have it
    if orientation is not None and not 1 <= orientation <= 8:
        orientation = 1
    return Header("TIFF", width, height, orientation, _count_pages(data, layout), metadata_bytes)


def _check_entry(entry: Entry, data: bytes) -> None:
    """Refuse what Pillow would only warn of, and go on without."""
    if entry.offset + entry.size > len(data):
        raise struct.error(f"tag {entry.tag} is out of range")
    if entry.tag in _SINGLE and entry.count != 1:
        raise ImageCorrupt("TIFF", f"tag {entry.tag} has {entry.count} values")
    if entry.tag in (_STRIP_OFFSETS, _TILE_OFFSETS) and entry.count > _MAX_STRIPS:
        raise ImageTooLarge("segments", entry.count, _MAX_STRIPS)


def _check_tiles(tile_width: int | None, tile_height: int | None, width: int, height: int) -> None:
    """A tile is decoded whole: one far larger than its image only makes the decoder allocate."""
    if (tile_width or 1) > 2 * width + 4096 or (tile_height or 1) > 2 * height + 4096:
        raise ImageCorrupt("TIFF", f"it is {width} x {height} and has tiles of {tile_width} x {tile_height}")


def _count_pages(data: bytes, layout: Layout) -> int:
    pages, offset = 1, layout.next(data, layout.first)
    seen = {layout.first}
    while offset and offset not in seen and len(seen) < MAX_FRAMES_COUNTED:
        seen.add(offset)
        first = next(layout.entries(data, offset), None)  # entries are in order of their tags
        if first is None or first.tag != _SUBFILE or not (first.value or 0) & _NOT_A_PAGE:
            pages += 1
        offset = layout.next(data, offset)
    return pages


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
            raise ImageCorrupt("TIFF", f"a directory says it has {count} entries")
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
