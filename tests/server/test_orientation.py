"""Images are turned upright as Pillow turns them, or left alone."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from augserve_server.codecs import peek
from decoding import by_pillow, decoded
from factories import (
    encode_picture,
    make_file,
    make_picture,
    make_pixels,
    make_png,
)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP", "AVIF", "TIFF"])
def test_every_orientation_is_applied_as_pillow_does(format: str, orientation: int) -> None:
    data = make_file(format, (21, 34), orientation=orientation)
    upright = decoded(data)
    np.testing.assert_array_equal(upright, by_pillow(data))
    assert upright.shape == ((34, 21, 3) if orientation >= 5 else (21, 34, 3))


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP", "AVIF", "TIFF"])
def test_the_orientation_can_be_ignored(format: str, orientation: int) -> None:
    stored = make_file(format, (21, 34))
    data = make_file(format, (21, 34), orientation=orientation)
    np.testing.assert_array_equal(decoded(data, orientation="ignore"), decoded(stored))


@pytest.mark.parametrize("compression", ["tiff_lzw", "tiff_adobe_deflate", "jpeg"])
@pytest.mark.parametrize("rule", ["apply", "ignore"])
def test_a_compressed_tiff_is_turned_once_or_not_at_all(compression: str, rule: str) -> None:
    data = make_file("TIFF", (21, 34), orientation=6, compression=compression)
    stored = decoded(make_file("TIFF", (21, 34), compression=compression))
    expected = stored if rule == "ignore" else np.rot90(stored, -1)
    np.testing.assert_array_equal(decoded(data, orientation=rule), expected)


@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_gray_is_turned_too(mode: str) -> None:
    data = make_file("JPEG", (21, 34), "L", orientation=8)
    np.testing.assert_array_equal(decoded(data, mode=mode), by_pillow(data, mode))


@pytest.mark.parametrize("packet", [b'<a tiff:Orientation="6"/>', b"<tiff:Orientation>6</tiff:Orientation>"])
@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_the_orientation_of_an_xmp_packet_counts_where_there_is_no_exif(format: str, packet: bytes) -> None:
    picture = make_picture(size=(21, 34))
    if format == "PNG":
        data = make_png(np.asarray(picture), 2, (b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + packet))
    elif format == "TIFF":
        data = encode_picture(picture, format, tiffinfo={700: packet})
    else:
        data = encode_picture(picture, format, xmp=packet)
    np.testing.assert_array_equal(decoded(data), by_pillow(data))
    assert decoded(data).shape == (34, 21, 3)
    assert decoded(data, orientation="ignore").shape == (21, 34, 3)


def test_the_orientation_of_a_raw_profile_counts() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    profile = b"Raw profile type exif\0\nexif\n      26\n" + exif.tobytes().hex().encode()
    data = make_png(make_pixels(size=(21, 34)), 2, (b"tEXt", profile))
    np.testing.assert_array_equal(decoded(data), by_pillow(data))
    assert decoded(data).shape == (34, 21, 3)


EXIF = Image.Exif()
EXIF[0x0112] = 6


@pytest.mark.parametrize(
    "exif",
    [
        b"",
        b"nonsense",
        b"II*\0",
        b"II*\0\xff\xff\xff\xff",
        b"II*\0\x08\0\0\0\xff\xff",
        EXIF.tobytes()[:-14],
        EXIF.tobytes().replace(b"\x12\x01", b"\x13\x01").replace(b"\x01\x12", b"\x01\x13"),
        EXIF.tobytes()[:-8] + b"\0\x09\0\0\0\0\0\0",
    ],
)
def test_exif_that_says_nothing_sensible_is_ignored(exif: bytes) -> None:
    data = make_file("JPEG", (21, 34), exif=b"Exif\0\0" + exif.removeprefix(b"Exif\0\0"))
    np.testing.assert_array_equal(decoded(data), decoded(make_file("JPEG", (21, 34))))


@pytest.mark.parametrize("order", ["<", ">"])
def test_exif_of_either_byte_order_is_read(order: str) -> None:
    exif = Image.Exif()
    exif.endian = order
    exif[0x0112] = 8
    assert exif.tobytes()[6:8] == (b"II" if order == "<" else b"MM")
    data = make_file("JPEG", (21, 34), exif=exif.tobytes())
    assert peek(data).orientation == 8
    np.testing.assert_array_equal(decoded(data), by_pillow(data))
