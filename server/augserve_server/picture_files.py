"""Encoded pictures opened with Pillow's readers, each by the one of its format; nothing is guessed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from io import BytesIO
from typing import Any, Final

from PIL import (
    AvifImagePlugin,
    BmpImagePlugin,
    GifImagePlugin,
    ImageFile,
    JpegImagePlugin,
    PngImagePlugin,
    TiffImagePlugin,
    WebPImagePlugin,
)

from augserve_server.errors import FormatNotAllowed, ImageCorrupt, ImageTooLarge
from augserve_server.exif import find_orientation
from augserve_server.foreign import foreign_errors
from augserve_server.headers import Header
from augserve_server.pixels import WITH_ALPHA

MAX_PNG_DATA_CHUNKS: Final = 1 << 16
"""Pillow walks the chunks in Python; encoders write chunks of 8 KiB and more."""

_READERS: Final[Mapping[str, Callable[[BytesIO], ImageFile.ImageFile]]] = {
    "JPEG": JpegImagePlugin.JpegImageFile,
    "PNG": PngImagePlugin.PngImageFile,
    "WebP": WebPImagePlugin.WebPImageFile,
    "GIF": GifImagePlugin.GifImageFile,
    "BMP": BmpImagePlugin.BmpImageFile,
    "TIFF": TiffImagePlugin.TiffImageFile,
    "AVIF": AvifImagePlugin.AvifImageFile,
}
_CONVERTED: Final = frozenset({"1", "L", "P", "RGB", "RGBX", "CMYK", "YCbCr"}) | WITH_ALPHA
_SAMPLES: Final = {"I": "32-bit or signed samples", "F": "floating-point samples", "LAB": "L*a*b* colours"}


@contextmanager
def opened(data: bytes, header: Header) -> Iterator[ImageFile.ImageFile]:
    """The picture whose header :func:`~augserve_server.codecs.peek` read, not yet decoded.

    Raises, here and for what is done with it inside, ``ImageTruncated``, ``ImageCorrupt``, ``ImageTooLarge`` or
    ``FormatNotAllowed``.
    """
    if header.format == "PNG":
        _check_chunks(data)
    with foreign_errors(header.format), _READERS[header.format](BytesIO(data)) as image:
        if sorted(image.size) != sorted((header.width, header.height)):
            raise ImageCorrupt(header.format, "it has another size than its header says")
        _check_mode(image, header.format)
        yield image


def stored_orientation(image: ImageFile.ImageFile, header: Header) -> int:
    """The orientation as Pillow finds it, but read without its parser, which believes what it reads."""
    if header.orientation is not None:
        return header.orientation
    info: Mapping[Any, Any] = image.info
    exif = info.get("exif") or _raw_profile(info.get("Raw profile type exif"))
    xmp = info.get("XML:com.adobe.xmp") or info.get("xmp") or b""
    return find_orientation(exif, xmp.encode("utf-8", "replace") if isinstance(xmp, str) else xmp)


def _check_chunks(data: bytes) -> None:
    chunks = data.count(b"IDAT") + data.count(b"fdAT")
    if chunks > MAX_PNG_DATA_CHUNKS:
        raise ImageTooLarge("segments", chunks, MAX_PNG_DATA_CHUNKS)


def _check_mode(image: ImageFile.ImageFile, format: str) -> None:
    if image.mode not in _CONVERTED and not image.mode.startswith("I;16"):
        found = f"a {format} of {_SAMPLES.get(image.mode, f'mode {image.mode}')}"
        raise FormatNotAllowed(found, ["samples of 1 to 16 bits, unsigned: gray, palette, RGB, CMYK or YCbCr"])


def _raw_profile(text: str | None) -> bytes:
    """The EXIF that older programs write into a text of a PNG, in hexadecimal after three lines."""
    try:
        return bytes.fromhex("".join(text.split("\n")[3:])) if text else b""
    except ValueError:
        return b""
