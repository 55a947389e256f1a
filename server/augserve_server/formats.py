"""The image formats that are taken: how each is known by its first bytes, and what its header says.

Readers look only at headers, and raise ``struct.error`` or ``IndexError`` where the data ends too early. They count
what they step over, so that no file can make them walk for long.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from io import BytesIO
from typing import Final, Protocol

from PIL import AvifImagePlugin

from augserve_server.errors import EmptyBody, FormatNotAllowed, ImageCorrupt, ImageTooLarge, ImageTruncated
from augserve_server.exif import find_orientation
from augserve_server.foreign import foreign_errors
from augserve_server.headers import DEFAULT_LIMITS, Header, ImageLimits, JpegHeader
from augserve_server.tiff import read_tiff

MAX_SEGMENTS: Final = 1024
"""Fewer segments, chunks or boxes than this may come before the pixels."""

_MAX_GIF_BLOCKS: Final = 1 << 16  # of at most 255 bytes each


def peek(data: bytes, limits: ImageLimits = DEFAULT_LIMITS) -> Header:
    """Read an image's header, by its magic bytes and whatever it is called; no pixel is decoded.

    Raises ``EmptyBody``, ``ImageTooLarge``, ``FormatNotAllowed``, ``ImageTruncated`` or ``ImageCorrupt``.
    """
    if not data:
        raise EmptyBody
    if len(data) > limits.max_bytes:
        raise ImageTooLarge("bytes", len(data), limits.max_bytes)
    name = format_of(data)
    if name is None:
        raise FormatNotAllowed(f"of no allowed format (it begins with {data[:8].hex(' ')})", list(FORMATS))
    header, cut_off = _read(name, data)
    if header.pixels < 1:
        raise ImageCorrupt(name, f"it is {header.width} x {header.height} pixels")
    limits.check(header)
    if cut_off:
        raise ImageTruncated(name)
    return header


def format_of(data: bytes) -> str | None:
    """The name of the format that the first bytes are of, or None."""
    for name, format in FORMATS.items():
        if format.matches(data):
            return name
    return None


def _read(name: str, data: bytes) -> tuple[Header, bool]:
    """The header, and whether the file ends in the middle of it, where what was read already tells the size."""
    try:
        return FORMATS[name].read(data), False
    except _CutOff as exc:
        return exc.header, True
    except (struct.error, IndexError, OverflowError) as exc:  # the readers read as if there were always more
        raise ImageTruncated(name) from exc


class _CutOff(Exception):
    """The file ends before its header does; too large is too large all the same."""

    def __init__(self, header: Header) -> None:
        self.header = header
        super().__init__()


class Format(Protocol):
    """How to know a format by its first bytes, and how to read its header."""

    def matches(self, data: bytes) -> bool: ...
    def read(self, data: bytes) -> Header: ...


@dataclass(frozen=True, slots=True)
class _Format:
    matches: Callable[[bytes], bool]
    read: Callable[[bytes], Header]


def read_jpeg(data: bytes) -> JpegHeader:
    """Walk the segments up to the first scan. Coding processes that browsers do not show are not allowed."""
    frame: tuple[int, int, int, int] | None = None
    exif: list[bytes] = []
    xmp = b""
    for marker, start, end in jpeg_segments(data):
        if marker == 0xE1:
            if data.startswith(b"Exif\0\0", start):
                exif.append(data[start + 6 : end])
            elif data.startswith(b"http://ns.adobe.com/xap/1.0/\0", start):
                xmp = data[start:end]
        elif 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            frame = (marker, *_jpeg_frame(data, marker, start))
        elif marker == 0xDA:
            break
    if frame is None:
        raise ImageCorrupt("JPEG", "there is no frame header before the first scan")
    kind, height, width, components = frame
    return JpegHeader(
        "JPEG",
        width,
        height,
        find_orientation(b"".join(exif), xmp),
        metadata_bytes=start,
        components=components,
        scan_offset=start,
        scans_interleave=kind != 0xC2 and data[start] == components,
    )


def jpeg_segments(data: bytes) -> Iterator[tuple[int, int, int]]:
    """The segments up to and with the first scan's header: marker, and where its content begins and ends."""
    position = 2
    for _ in range(MAX_SEGMENTS):
        lead, marker, length = _JPEG_SEGMENT(data, position)
        if lead != 0xFF or marker in (0x00, 0xD8, 0xD9):
            raise ImageCorrupt("JPEG", f"there is no marker segment at byte {position}")
        if marker == 0xFF:  # padding
            position += 1
            continue
        if length < 2:
            raise ImageCorrupt("JPEG", f"the segment at byte {position} says it has {length} bytes")
        end = position + 2 + length
        yield marker, position + 4, end
        if marker == 0xDA:
            return
        position = end
    raise ImageTooLarge("segments", MAX_SEGMENTS, MAX_SEGMENTS)


_JPEG_SEGMENT: Final = struct.Struct(">BBH").unpack_from
_JPEG_FRAME: Final = struct.Struct(">BHHB").unpack_from


def _jpeg_frame(data: bytes, marker: int, start: int) -> tuple[int, int, int]:
    """Height, width and number of components that a frame header says."""
    bits, height, width, components = _JPEG_FRAME(data, start)
    if marker not in (0xC0, 0xC1, 0xC2) or bits != 8 or components not in (1, 3, 4):
        raise FormatNotAllowed(
            f"a JPEG of process SOF{marker - 0xC0}, {bits} bits and {components} components",
            ["JPEG of process SOF0, SOF1 or SOF2 (baseline, extended, progressive), 8 bits, 1, 3 or 4 components"],
        )
    return height, width, components


def read_png(data: bytes) -> Header:
    """IHDR, then the chunks before the pixels: how long they are, and whether there is an animation."""
    if data[12:16] != b"IHDR":
        raise ImageCorrupt("PNG", "it does not begin with IHDR")
    width, height = struct.unpack_from(">II", data, 16)
    position, frames = 8, 1
    for _ in range(MAX_SEGMENTS):
        if position + 8 > len(data):
            raise _CutOff(Header("PNG", width, height, frames=frames, metadata_bytes=min(position, len(data))))
        length, kind = struct.unpack_from(">I4s", data, position)
        if kind == b"IDAT":
            return Header("PNG", width, height, frames=frames, metadata_bytes=position)
        if kind == b"IEND":
            raise ImageCorrupt("PNG", "it has no IDAT")
        if kind == b"acTL":
            frames = max(1, struct.unpack_from(">I", data, position + 8)[0])
        position += length + 12
    raise ImageTooLarge("segments", MAX_SEGMENTS, MAX_SEGMENTS)


def read_webp(data: bytes) -> Header:
    """The canvas of an extended file, or the frame of a simple one."""
    if struct.unpack_from("<I", data, 4)[0] + 8 > len(data):
        raise struct.error("the RIFF chunk is longer than the data")
    kind = data[12:16]
    if kind == b"VP8X":
        return _read_webp_canvas(data)
    if kind == b"VP8 " and data[23:26] == b"\x9d\x01\x2a":
        width, height = struct.unpack_from("<HH", data, 26)
        return Header("WebP", width & 0x3FFF, height & 0x3FFF, 1)
    if kind == b"VP8L" and data[20] == 0x2F:
        bits = struct.unpack_from("<I", data, 21)[0]
        return Header("WebP", (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1, 1)
    raise ImageCorrupt("WebP", "it begins with no VP8, VP8L or VP8X chunk")


def _read_webp_canvas(data: bytes) -> Header:
    width, height = struct.unpack_from("<3s3s", data, 24)
    frames = metadata_bytes = 0
    for kind, length in _webp_chunks(data):
        if kind == b"ANMF":
            frames += 1
        elif kind not in (b"VP8 ", b"VP8L", b"ALPH"):
            metadata_bytes += length + 8
    return Header(
        "WebP",
        int.from_bytes(width, "little") + 1,
        int.from_bytes(height, "little") + 1,
        frames=max(frames, 1),
        metadata_bytes=metadata_bytes,
    )


def _webp_chunks(data: bytes) -> Iterator[tuple[bytes, int]]:
    position = 12
    for _ in range(MAX_SEGMENTS):
        if position + 8 > len(data):
            return
        kind, length = struct.unpack_from("<4sI", data, position)
        yield kind, length
        position += 8 + length + length % 2
    raise ImageTooLarge("segments", MAX_SEGMENTS, MAX_SEGMENTS)


def read_gif(data: bytes) -> Header:
    """The screen, grown to hold the first image: the frame that is decoded."""
    width, height, flags = struct.unpack_from("<HHB", data, 6)
    start = 13 + gif_palette_bytes(flags)
    position = _skip_gif_extensions(data, start)
    if data[position] != 0x2C:
        raise ImageCorrupt("GIF", "it has no image")
    left, top, image_width, image_height = struct.unpack_from("<HHHH", data, position + 1)
    width, height = max(width, left + image_width), max(height, top + image_height)
    return Header("GIF", width, height, metadata_bytes=position - start)


def gif_palette_bytes(flags: int) -> int:
    """Bytes of the palette that the flags of a screen or of an image announce."""
    return 3 << (flags & 7) + 1 if flags & 0x80 else 0


def _skip_gif_extensions(data: bytes, position: int) -> int:
    inside = False  # an extension is a run of blocks, each after its length, up to one of no length
    for _ in range(_MAX_GIF_BLOCKS):
        if inside:
            inside = data[position] > 0
            position += 1 + data[position]
        elif data[position] == 0x21:
            inside = True
            position += 2
        else:
            return position
    raise ImageTooLarge("segments", _MAX_GIF_BLOCKS, _MAX_GIF_BLOCKS)


def read_bmp(data: bytes) -> Header:
    """The file's info header. Run-length and embedded compression are not allowed."""
    size = struct.unpack_from("<I", data, 14)[0]
    if size == 12:
        width, height = struct.unpack_from("<HH", data, 18)
        return Header("BMP", width, height, 1)
    if size not in (40, 52, 56, 64, 108, 124):
        raise ImageCorrupt("BMP", f"its info header says it has {size} bytes")
    width, height, compression = struct.unpack_from("<ii4xI", data, 18)
    if compression not in (0, 3):
        raise FormatNotAllowed(f"a BMP of compression {compression}", ["BMP of compression 0 (none) or 3 (bit fields)"])
    return Header("BMP", max(width, 0), abs(height), 1)


def read_avif(data: bytes) -> Header:
    """What libavif finds in the boxes; it reads them all, and decodes nothing."""
    if not AvifImagePlugin.SUPPORTED:
        raise FormatNotAllowed("AVIF, for which this server's Pillow was built without a decoder", [*FORMATS][:-1])
    with foreign_errors("AVIF"), AvifImagePlugin.AvifImageFile(BytesIO(data)) as image:
        metadata_bytes = sum(len(image.info.get(name, b"")) for name in ("icc_profile", "exif", "xmp"))
        return Header("AVIF", *image.size, frames=image.n_frames, metadata_bytes=metadata_bytes)


def _is_avif(data: bytes) -> bool:
    """Whether there is a file type box that names an AVIF brand, as its own or a compatible one."""
    if data[4:8] != b"ftyp":
        return False
    brands = data[8 : min(struct.unpack_from(">I", data)[0], 256)]
    return any(brands[i : i + 4] in (b"avif", b"avis") for i in range(0, len(brands), 4))


FORMATS: Final[Mapping[str, Format]] = {
    "JPEG": _Format(lambda data: data.startswith(b"\xff\xd8\xff"), read_jpeg),
    "PNG": _Format(lambda data: data.startswith(b"\x89PNG\r\n\x1a\n"), read_png),
    "WebP": _Format(lambda data: data.startswith(b"RIFF") and data[8:12] == b"WEBP", read_webp),
    "GIF": _Format(lambda data: data.startswith((b"GIF87a", b"GIF89a")), read_gif),
    "BMP": _Format(lambda data: data.startswith(b"BM"), read_bmp),
    "TIFF": _Format(lambda data: data.startswith((b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")), read_tiff),
    "AVIF": _Format(_is_avif, read_avif),
}
