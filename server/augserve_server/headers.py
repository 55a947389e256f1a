"""What is known of an image before it is decoded, and how large one may be."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from augserve_server.errors import ImageTooLarge

MAX_FRAMES_COUNTED: Final = 1000


@dataclass(slots=True)  # not frozen, as what is made for every image here: that takes three times as long
class Header:
    """What is known of an image before it is decoded; width and height in pixels, as stored.

    ``orientation`` is the EXIF orientation, 1 to 8, or None where only decoding tells. ``frames`` is the number of
    frames or pages, counted up to a thousand; always 1 for GIF.
    """

    format: str
    width: int
    height: int
    orientation: int | None = None
    frames: int = 1
    metadata_bytes: int = 0

    @property
    def pixels(self) -> int:
        """Width times height."""
        return self.width * self.height


@dataclass(slots=True)
class JpegHeader(Header):
    """Also the number of components (1 gray, 3 colour, 4 CMYK) and where the first scan begins."""

    components: int = 3
    scan_offset: int = 0
    scans_interleave: bool = True
    """Whether the first scan holds all components of a sequential image, so that there is only one."""


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
