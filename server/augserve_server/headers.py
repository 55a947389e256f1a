"""What an image says about itself before it is decoded, and whether that is within the limits."""

from __future__ import annotations

import struct
from dataclasses import dataclass

from augserve_server.errors import EmptyBody, FormatNotAllowed, ImageCorrupt, ImageTooLarge, ImageTruncated
from augserve_server.formats import FORMATS, Header


@dataclass(frozen=True, slots=True)
class ImageLimits:
    """The largest image that is taken. All are inclusive.

    ``max_frames`` is for animations and documents in PNG, WebP, AVIF and TIFF, of which the first frame is decoded; of
    a GIF it always is.
    """

    max_bytes: int = 32 << 20
    max_pixels: int = 50_000_000
    max_side: int = 16_384
    max_frames: int = 1
    max_metadata_bytes: int = 8 << 20

    def check(self, header: Header) -> None:
        """Raise ``ImageTooLarge`` for the first limit that ``header`` is over."""
        side = max(header.width, header.height)
        if side > self.max_side:
            raise ImageTooLarge("side", side, self.max_side)
        if header.pixels > self.max_pixels:
            raise ImageTooLarge("pixels", header.pixels, self.max_pixels)
        if header.frames > self.max_frames:
            raise ImageTooLarge("frames", header.frames, self.max_frames)
        if header.metadata_bytes > self.max_metadata_bytes:
            raise ImageTooLarge("metadata", header.metadata_bytes, self.max_metadata_bytes)


DEFAULT_LIMITS = ImageLimits()


def peek(data: bytes, limits: ImageLimits = DEFAULT_LIMITS) -> Header:
    """Read an image's header, by its magic bytes and whatever it is called; no pixel is decoded.

    Raises ``EmptyBody``, ``ImageTooLarge``, ``FormatNotAllowed``, ``ImageTruncated`` or ``ImageCorrupt``.
    """
    if not data:
        raise EmptyBody
    if len(data) > limits.max_bytes:
        raise ImageTooLarge("bytes", len(data), limits.max_bytes)
    for name, format in FORMATS.items():
        if format.matches(data):
            header = _read(name, data)
            if header.pixels < 1:
                raise ImageCorrupt(name, f"it is {header.width} x {header.height} pixels")
            limits.check(header)
            return header
    raise FormatNotAllowed(f"of no allowed format (it begins with {data[:8].hex(' ')})", list(FORMATS))


def _read(name: str, data: bytes) -> Header:
    try:
        return FORMATS[name].read(data)
    except (struct.error, IndexError, OverflowError) as exc:  # the readers read as if there were always more
        raise ImageTruncated(name) from exc
