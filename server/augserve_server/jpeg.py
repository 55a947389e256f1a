"""JPEG through libjpeg-turbo: in full, or by its transform at a half, a quarter or an eighth of the size."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
import simplejpeg  # type: ignore[import-untyped]  # it has stubs, but no py.typed

from augserve_pipelines.scaled import FACTORS, scaled_side
from augserve_server.errors import ImageCorrupt, ImageTooLarge, ImageTruncated
from augserve_server.headers import JpegHeader
from augserve_server.pixels import Pixels

__all__ = ["EXACT", "MAX_JPEG_SCANS", "Way", "check_scans", "decode_jpeg"]

MAX_JPEG_SCANS: Final = 100
"""A progressive JPEG has about ten scans; each is a pass over the whole image, however few bytes it has."""

MAX_SCANNED_PIXELS: Final = 1_000_000_000
"""Pixels times scans, beyond the scans that any image may have: 100 of 50 megapixels would take 3 s of a core."""

_ANY_SCANS: Final = 20

# Warnings on which libjpeg-turbo still gives every pixel, and which cameras and old encoders are known to cause. More
# than a few bytes before the end mean that the data between was not decoded as it was written.
_HARMLESS: Final = re.compile(
    r"Corrupt JPEG data: [1-8] extraneous bytes before marker 0xd9"
    r"|Invalid SOS parameters for sequential JPEG"
    r"|Unknown Adobe color transform code"
    r"|Warning: unknown JFIF revision number"
)
_NOT_SUPPORTED: Final = "Could not determine subsampling level"


@dataclass(frozen=True, slots=True)
class Way:
    """How to decode a JPEG: its chroma interpolated (exact) or repeated (fast), its sides divided by ``factor``."""

    jpeg: Literal["exact", "fast"] = "exact"
    factor: int = 1

    def __post_init__(self) -> None:
        if self.factor not in FACTORS:
            raise ValueError(f"factor is {self.factor}; allowed: {', '.join(map(str, FACTORS))}")

    def size(self, header: JpegHeader) -> tuple[int, int]:
        """Height and width of what is decoded so, as stored."""
        return scaled_side(header.height, self.factor), scaled_side(header.width, self.factor)


EXACT: Final = Way()


def decode_jpeg(
    data: bytes, header: JpegHeader, gray: bool, way: Way = EXACT, room: Pixels | None = None
) -> Pixels | None:
    """The pixels as stored, [h, w, 3], or [h, w, 1] if ``gray``: of ``way.size(header)``, in ``room`` if it fits them.

    None where libjpeg-turbo has the pixels, and simplejpeg does not hand them out. Raises ``ImageTruncated``,
    ``ImageCorrupt`` or ``ImageTooLarge``. In either case there is anything in ``room``, and nothing outside of it.
    """
    check_scans(data, header)
    height, width = way.size(header)
    shape = height, width, 1 if gray else 3
    buffer = room if room is not None and room.shape == shape else np.empty(shape, np.uint8)
    # It takes the least of all eighths that gives this size; from 8 pixels a side on that is the factor's.
    least = {} if way.factor == 1 else {"min_height": height, "min_width": width, "min_factor": way.factor}
    try:
        pixels = simplejpeg.decode_jpeg(
            data, "GRAY" if gray else "RGB", fastupsample=way.jpeg == "fast", buffer=buffer, **least
        )
    except ValueError as exc:
        if _HARMLESS.match(str(exc)) or _NOT_SUPPORTED in str(exc):
            return None
        ends = b"\xff\xd9" in data[header.scan_offset :] and "Premature end of JPEG file" not in str(exc)
        raise (ImageCorrupt if ends else ImageTruncated)("JPEG") from exc
    if pixels.shape != buffer.shape:
        raise ImageCorrupt("JPEG", "it has another size than its header says")
    return buffer


def check_scans(data: bytes, header: JpegHeader) -> None:
    """Refuse a JPEG of more scans than any program writes. Raises ``ImageTooLarge``."""
    if not header.scans_interleave:
        scans = data.count(b"\xff\xda", header.scan_offset) + 1  # this pair of bytes occurs nowhere else in them
        allowed = min(MAX_JPEG_SCANS, max(_ANY_SCANS, MAX_SCANNED_PIXELS // header.pixels))
        if scans > allowed:
            raise ImageTooLarge("scans", scans, allowed)
