"""Encoded images to pixels and back: JPEG through libjpeg-turbo, everything else through Pillow."""

from __future__ import annotations

import re
from io import BytesIO
from typing import Any, Final, Protocol

import numpy as np
import numpy.typing as npt
import simplejpeg  # type: ignore[import-untyped]  # it has stubs, but no py.typed
from PIL import Image

from augserve.wire import JPEG, PNG, WEBP
from augserve_pipelines import InputRule
from augserve_server.errors import ImageCorrupt, ImageTooLarge, ImageTruncated
from augserve_server.formats import jpeg_segments, peek
from augserve_server.headers import DEFAULT_LIMITS, Header, ImageLimits, JpegHeader
from augserve_server.picture_files import opened, stored_orientation
from augserve_server.pixels import INVERSE, Pixels, convert, luma, turn

__all__ = ["DEFAULT_LIMITS", "Header", "ImageLimits", "decode", "encode", "peek"]

MAX_JPEG_SCANS: Final = 100
"""A progressive JPEG has about ten scans; each is a pass over the whole image, however few bytes it has."""

# Warnings on which libjpeg-turbo still gives every pixel, and which cameras and old encoders are known to cause. More
# than a few bytes before the end mean that the data between was not decoded as it was written.
_HARMLESS: Final = re.compile(
    r"Corrupt JPEG data: [1-8] extraneous bytes before marker 0xd9"
    r"|Invalid SOS parameters for sequential JPEG"
    r"|Unknown Adobe color transform code"
    r"|Warning: unknown JFIF revision number"
)
_NOT_SUPPORTED: Final = "Could not determine subsampling level"

# For a photograph of 224 x 224, against the defaults (6 and 4): half the time, and 7 % and 1 % more bytes.
_PNG_LEVEL: Final = 1
_WEBP_METHOD: Final = 2


def decode(data: bytes, header: Header, rule: InputRule) -> Pixels:
    """The pixels of an image as ``rule`` wants them: [H, W, 3] for mode RGB, [H, W, 1] for L, in C order and writable.

    ``header`` is what :func:`peek` said of ``data``. Conversions are those of docs/inputs.md; an RGB image equals
    Pillow's, bit for bit. May run in many threads at once. Raises ``ImageTruncated`` or ``ImageCorrupt`` for bytes that
    do not decode completely, ``FormatNotAllowed`` for samples of a kind that has no rule, and ``ImageTooLarge``.
    """
    if isinstance(header, JpegHeader) and header.components != 4:
        pixels, orientation = _decode_jpeg(data, header, rule)
    else:
        pixels, orientation = _decode_with_pillow(data, header, rule)
    return turn(pixels, orientation) if rule.orientation == "apply" else pixels


def _decode_jpeg(data: bytes, header: JpegHeader, rule: InputRule) -> tuple[Pixels, int]:
    _check_scans(data, header)
    gray = rule.mode == "L" and header.components == 1
    buffer = np.empty((header.height, header.width, 1 if gray else 3), np.uint8)
    try:
        pixels = simplejpeg.decode_jpeg(data, "GRAY" if gray else "RGB", buffer=buffer)
    except ValueError as exc:
        if _HARMLESS.match(str(exc)) or _NOT_SUPPORTED in str(exc):
            return _decode_with_pillow(data, header, rule)
        ends = b"\xff\xd9" in data[header.scan_offset :] and "Premature end of JPEG file" not in str(exc)
        raise (ImageCorrupt if ends else ImageTruncated)("JPEG") from exc
    if pixels.shape != buffer.shape:
        raise ImageCorrupt("JPEG", "it has another size than its header says")
    if rule.mode == "L" and not gray:
        buffer = luma(buffer)
    assert header.orientation is not None
    return buffer, header.orientation


def _check_scans(data: bytes, header: JpegHeader) -> None:
    if not header.scans_interleave:
        scans = data.count(b"\xff\xda", header.scan_offset) + 1  # this pair of bytes occurs nowhere else in them
        if scans > MAX_JPEG_SCANS:
            raise ImageTooLarge("scans", scans, MAX_JPEG_SCANS)


def _decode_with_pillow(data: bytes, header: Header, rule: InputRule) -> tuple[Pixels, int]:
    """The pixels, and the orientation that is still to be applied."""
    if isinstance(header, JpegHeader):
        _check_scans(data, header)
        data = _without_metadata(data)
    with opened(data, header) as image:
        stored = stored_orientation(image, header)
        image.load()
        pixels = convert(image, rule)
        if header.format != "TIFF":
            return pixels, stored
        # Pillow has turned a TIFF upright already
        return (pixels if rule.orientation == "apply" else turn(pixels, INVERSE[stored])), 1


def _without_metadata(data: bytes) -> bytes:
    """A JPEG without its EXIF, XMP, colour profile and comments, which Pillow would parse, and warn about."""
    kept = [b"\xff\xd8"]
    end = 2
    for marker, start, end in jpeg_segments(data):
        if marker not in _METADATA_MARKERS:
            kept.append(data[start - 4 : end])
    return b"".join([*kept, data[end:]])


_METADATA_MARKERS: Final = frozenset({*range(0xE1, 0xF0), 0xFE}) - {0xEE}  # APP14 says how colours are stored


class ImageArray(Protocol):
    """What numpy can take as an array: an ndarray, or a torch tensor on the CPU."""

    def __array__(self, dtype: Any = None, /) -> npt.NDArray[Any]: ...


def encode(image: ImageArray, media_type: str, quality: int = 90) -> bytes:
    """A uint8 image [C, H, W] of 1 or 3 channels as a file without metadata.

    JPEG is written baseline with 4:2:0 chroma, WebP lossy, both with ``quality`` 1 to 100; PNG has none. Raises
    ``ValueError`` for another shape, dtype or media type, and for sides that the format does not have.
    """
    pixels = np.asarray(image)
    if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[0] not in (1, 3):
        raise ValueError(f"images are uint8 of shape [1 or 3, H, W], not {pixels.dtype} of {list(pixels.shape)}")
    pixels = np.ascontiguousarray(pixels.transpose(1, 2, 0))
    if media_type == JPEG:
        gray = pixels.shape[2] == 1
        return bytes(simplejpeg.encode_jpeg(pixels, quality, "GRAY" if gray else "RGB", "Gray" if gray else "420"))
    picture = Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels)
    buffer = BytesIO()
    if media_type == PNG:
        picture.save(buffer, "PNG", compress_level=_PNG_LEVEL)
    elif media_type == WEBP:
        picture.save(buffer, "WEBP", quality=quality, method=_WEBP_METHOD)
    else:
        raise ValueError(f"images are encoded as {JPEG}, {PNG} or {WEBP}, not {media_type!r}")
    return buffer.getvalue()
