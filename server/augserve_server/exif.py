"""Which way up an image is: its EXIF orientation, or that of its XMP packet."""

from __future__ import annotations

import re
import struct
from typing import Final

from augserve_server.errors import ImageCorrupt
from augserve_server.tiff import ORIENTATION, Layout

_EXIF_HEADER: Final = b"Exif\0\0"
_XMP_ORIENTATION: Final = re.compile(rb'tiff:Orientation(?:="|>)([0-9])')


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
    except (struct.error, OverflowError, ImageCorrupt):  # it ends too early, points far outside, or has no end
        return None
    return entry.value if entry is not None and entry.count == 1 else None
