"""Masks: the numbers that a PNG stores come out, and go in again."""

from __future__ import annotations

import struct
import zlib
from io import BytesIO

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from augserve_server.errors import ImageTooLarge, ImageTruncated, TargetInvalid
from augserve_server.headers import ImageLimits
from augserve_server.masks import decode_mask, encode_mask, fits_png, peek_mask
from factories import encode_picture, make_chunk, make_file, make_png

SHAPE = (7, 13)


def decoded(data: bytes) -> npt.NDArray[np.generic]:
    return decode_mask(data, peek_mask(data, ImageLimits()))


def numbers(bits: int) -> npt.NDArray[np.uint16]:
    """Every number of so many bits, or the lowest and the highest of them."""
    values = np.arange(91) % (1 << bits) if bits < 16 else np.linspace(0, 65535, 91)
    return values.astype(np.uint16).reshape(SHAPE)


def packed_png(mask: npt.NDArray[np.uint16], bits: int, colour_type: int) -> bytes:
    """A PNG of numbers of 1, 2, 4 or 8 bits, with a palette in no order where its colours are of one."""
    height, width = mask.shape
    rows = (np.unpackbits(row.astype(np.uint8)[:, None], axis=1)[:, 8 - bits :].reshape(-1) for row in mask)
    data = b"".join(b"\0" + np.packbits(row).tobytes() for row in rows)
    header = struct.pack(">IIBBBBB", width, height, bits, colour_type, 0, 0, 0)
    palette = bytes(np.random.default_rng(1).integers(0, 256, 3 << bits, np.uint8))
    chunks = [(b"IHDR", header), *([(b"PLTE", palette)] if colour_type == 3 else [])]
    chunks += [(b"IDAT", zlib.compress(data)), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(make_chunk(*chunk) for chunk in chunks)


@pytest.mark.parametrize("colour_type", [0, 3], ids=["gray", "palette"])
@pytest.mark.parametrize("bits", [1, 2, 4, 8])
def test_the_stored_numbers_come_out(bits: int, colour_type: int) -> None:
    found = decoded(packed_png(numbers(bits), bits, colour_type))
    assert found.dtype == np.uint8
    np.testing.assert_array_equal(found, numbers(bits))


def test_sixteen_bits_come_out_whole() -> None:
    found = decoded(make_png(numbers(16).astype(">u2"), 0))
    assert found.dtype == np.int32
    np.testing.assert_array_equal(found, numbers(16))


def test_transparency_is_no_number() -> None:
    mask = Image.fromarray(numbers(8).astype(np.uint8)).convert("P")
    for transparency in (0, bytes(range(90))):
        data = encode_picture(mask, "PNG", transparency=transparency)
        np.testing.assert_array_equal(decoded(data), np.asarray(mask))


@pytest.mark.parametrize("dtype", ["uint8", "int8", "int16", "int32", "int64"])
def test_what_is_written_is_read_again(dtype: str) -> None:
    mask = (numbers(8) % 120).astype(dtype)
    assert fits_png(mask)
    data = encode_mask(mask)
    np.testing.assert_array_equal(decoded(data), mask)
    with Image.open(BytesIO(data)) as image:
        assert image.mode == ("L" if dtype in ("uint8", "int8") else "I;16")


def test_only_one_mask_of_small_numbers_fits() -> None:
    assert fits_png(np.array([[0, 65535]]))
    for other in (np.array([[65536]]), np.array([[-1]]), np.zeros((2, 3, 4), np.uint8), np.zeros((0, 4), np.uint8)):
        assert not fits_png(other)


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "LA"])
def test_colours_are_no_mask(mode: str) -> None:
    with pytest.raises(TargetInvalid, match="a PNG of colours"):
        decoded(make_file("PNG", SHAPE, mode))


def test_other_formats_are_no_mask() -> None:
    with pytest.raises(TargetInvalid, match="PNG or npy, not JPEG"):
        decoded(make_file("JPEG", SHAPE, "L"))


def test_a_mask_has_the_limits_of_an_image() -> None:
    with pytest.raises(ImageTooLarge):
        peek_mask(make_file("PNG", SHAPE, "L"), ImageLimits(max_pixels=90))
    with pytest.raises(ImageTruncated):
        decoded(make_file("PNG", (60, 60), "L")[:700])
