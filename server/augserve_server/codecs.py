"""Encoded images to pixels and back: JPEG through libjpeg-turbo, everything else through Pillow."""

from __future__ import annotations

from io import BytesIO
from typing import Any, Final, Protocol

import numpy as np
import numpy.typing as npt
import simplejpeg  # type: ignore[import-untyped]  # it has stubs, but no py.typed
from PIL import Image

from augserve.wire import JPEG, PNG, WEBP
from augserve_pipelines import InputRule
from augserve_pipelines.scaled import FACTORS
from augserve_server.formats import jpeg_segments, peek
from augserve_server.headers import DEFAULT_LIMITS, Header, ImageLimits, JpegHeader
from augserve_server.jpeg import EXACT, Way, check_scans, decode_jpeg
from augserve_server.picture_files import opened, stored_orientation
from augserve_server.pixels import INVERSE, Pixels, convert, luma, reduced, turn

__all__ = ["DEFAULT_LIMITS", "EXACT", "Header", "ImageLimits", "Way", "decode", "encode", "most_factor", "peek"]

# For a photograph of 224 x 224, against the defaults (6 and 4): half the time, and 7 % and 1 % more bytes.
_PNG_LEVEL: Final = 1
_WEBP_METHOD: Final = 2


def decode(data: bytes, header: Header, rule: InputRule, way: Way = EXACT, room: Pixels | None = None) -> Pixels:
    """The pixels of an image as ``rule`` wants them: [H, W, 3] for mode RGB, [H, W, 1] for L, in C order and writable.

    ``header`` is what :func:`peek` said of ``data``; H and W are its own, turned upright, or of a JPEG decoded smaller
    ``ceil(side / way.factor)``, where the factor is at most ``most_factor(header)``. Conversions are those of
    docs/inputs.md; an RGB image decoded exactly and in full equals Pillow's, bit for bit. ``room`` is memory of that
    shape which may be used, and is then what is returned; else there may be anything in it. May run in many threads at
    once. Raises ``ImageTruncated`` or ``ImageCorrupt`` for bytes that do not decode completely, ``FormatNotAllowed``
    for samples of a kind that has no rule, and ``ImageTooLarge``.
    """
    if way.factor > most_factor(header):
        raise ValueError(f"factor is {way.factor}; this {header.format} is decoded at {most_factor(header)} at most")
    if isinstance(header, JpegHeader) and header.components != 4:
        pixels, orientation = _decode_jpeg(data, header, rule, way, room)
    else:
        pixels, orientation = _decode_with_pillow(data, header, rule)
    return turn(pixels, orientation) if rule.orientation == "apply" else pixels


def most_factor(header: Header) -> int:
    """The largest factor that the sides of an image may be divided by as it is decoded."""
    return FACTORS[-1] if isinstance(header, JpegHeader) and header.components != 4 else 1


def _decode_jpeg(data: bytes, header: JpegHeader, rule: InputRule, way: Way, room: Pixels | None) -> tuple[Pixels, int]:
    gray = rule.mode == "L" and header.components == 1
    turned = rule.orientation == "apply" and header.orientation != 1
    pixels = decode_jpeg(data, header, gray, way, None if turned else room)
    if pixels is None:
        pixels, orientation = _decode_with_pillow(data, header, rule)
        return reduced(pixels, way.factor), orientation
    assert header.orientation is not None
    return luma(pixels) if rule.mode == "L" and not gray else pixels, header.orientation


def _decode_with_pillow(data: bytes, header: Header, rule: InputRule) -> tuple[Pixels, int]:
    """The pixels, and the orientation that is still to be applied."""
    if isinstance(header, JpegHeader):
        check_scans(data, header)
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
