"""JPEG decodes to Pillow's pixels, by another decoder; what is damaged is refused."""

from __future__ import annotations

import struct

import numpy as np
import pytest
import simplejpeg

from augserve_server.codecs import peek
from augserve_server.errors import (
    ImageCorrupt,
    ImageTooLarge,
    ImageTruncated,
)
from decoding import by_pillow, decoded
from factories import (
    SIZES,
    encode_picture,
    make_file,
    make_picture,
    make_pixels,
    photograph_path,
)

ANY_SIZE = [*SIZES, (8, 8), (16, 15), (9, 2)]


@pytest.mark.parametrize("name", ["china", "flower", "grace_hopper", "hubble", "retina", "rocket"])
@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_photographs_decode_to_pillows_pixels(name: str, mode: str) -> None:
    data = photograph_path(name).read_bytes()
    np.testing.assert_array_equal(decoded(data, mode=mode), by_pillow(data, mode))


@pytest.mark.parametrize("size", ANY_SIZE)
@pytest.mark.parametrize("subsampling", ["4:4:4", "4:2:2", "4:2:0", "4:1:1"])
@pytest.mark.parametrize("progressive", [False, True], ids=["baseline", "progressive"])
def test_jpeg_of_every_subsampling_equals_pillow(size: tuple[int, int], subsampling: str, progressive: bool) -> None:
    for quality in (30, 95):
        data = make_file("JPEG", size, subsampling=subsampling, progressive=progressive, quality=quality)
        np.testing.assert_array_equal(decoded(data), by_pillow(data))


@pytest.mark.parametrize("size", ANY_SIZE)
def test_jpeg_of_4_4_0_equals_pillow(size: tuple[int, int]) -> None:
    data = simplejpeg.encode_jpeg(make_pixels(size=size), 90, "RGB", "440")
    np.testing.assert_array_equal(decoded(data), by_pillow(data))


@pytest.mark.parametrize("size", ANY_SIZE)
@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_gray_jpeg_equals_pillow(size: tuple[int, int], mode: str) -> None:
    data = make_file("JPEG", size, "L")
    np.testing.assert_array_equal(decoded(data, mode=mode), by_pillow(data, mode))


def test_jpeg_stored_as_rgb_equals_pillow() -> None:
    data = make_file("JPEG", (33, 47), keep_rgb=True)
    np.testing.assert_array_equal(decoded(data), by_pillow(data))


@pytest.mark.parametrize("colours", ["CMYK", "YCCK"])
def test_jpeg_of_four_components_equals_pillow(colours: str) -> None:
    if colours == "CMYK":
        data = make_file("JPEG", (33, 47), "CMYK", orientation=6)
    else:
        pixels = 255 - np.ascontiguousarray(make_picture(size=(33, 47), mode="CMYK"))  # as Adobe programs store it
        data = simplejpeg.encode_jpeg(pixels, 90, "CMYK", "420")
    assert peek(data).components == 4  # type: ignore[attr-defined]  # a JpegHeader
    np.testing.assert_array_equal(decoded(data), by_pillow(data))
    assert decoded(data).std() > 20


def test_the_first_picture_of_a_multi_picture_jpeg_is_decoded() -> None:
    first, second = make_picture("china", (40, 50)), make_picture("flower", (40, 50))
    data = encode_picture(first, "MPO", save_all=True, append_images=[second])
    np.testing.assert_array_equal(decoded(data), by_pillow(data))


@pytest.mark.parametrize("progressive", [False, True])
def test_a_jpeg_cut_anywhere_is_truncated(progressive: bool) -> None:
    data = make_file("JPEG", (64, 80), progressive=progressive)
    for length in [*range(4, 700, 7), *range(700, len(data), 101), len(data) - 2, len(data) - 1]:
        with pytest.raises(ImageTruncated, match="the JPEG image ends before it is complete"):
            decoded(data[:length])


def test_a_jpeg_whose_data_ends_early_but_tidily_is_corrupt() -> None:
    data = make_file("JPEG", (64, 80))
    with pytest.raises(ImageCorrupt):
        decoded(data[: len(data) // 2] + b"\xff\xd9")


def test_a_jpeg_with_other_bytes_in_its_middle_is_corrupt() -> None:
    data = make_file("JPEG", (200, 300))
    middle = len(data) // 2
    with pytest.raises(ImageCorrupt):
        decoded(data[:middle] + b"\xff\x01\xff\x02" * 10 + data[middle + 40 :])


def test_a_few_stray_bytes_before_the_end_of_a_jpeg_are_harmless() -> None:
    data = make_file("JPEG", (64, 80))
    stray = data[:-2] + bytes(9) + data[-2:]  # of which the decoder takes some for bits
    with pytest.raises(ValueError, match="extraneous bytes before marker 0xd9"):
        simplejpeg.decode_jpeg(stray)
    np.testing.assert_array_equal(decoded(stray), by_pillow(data))
    with pytest.raises(ImageCorrupt):
        decoded(data[:-2] + bytes(100) + data[-2:])


def test_bytes_after_the_end_of_a_jpeg_are_ignored() -> None:
    data = make_file("JPEG", (64, 80))
    np.testing.assert_array_equal(decoded(data + b"trailer" * 100), by_pillow(data))


def test_a_jpeg_of_many_scans_is_refused_before_they_are_decoded() -> None:
    data = make_file("JPEG", (64, 80), progressive=True)
    last = data.rindex(b"\xff\xda")
    with pytest.raises(ImageTooLarge, match="scans; at most 100 are allowed") as caught:
        decoded(data[:last] + data[last:-2] * 200 + data[-2:])
    assert caught.value.members["measure"] == "scans"


def test_a_large_jpeg_may_have_fewer_scans() -> None:
    data = make_file("JPEG", (64, 80), progressive=True)
    frame, last = data.index(b"\xff\xc2") + 5, data.rindex(b"\xff\xda")
    large = data[:frame] + struct.pack(">HH", 5000, 8000) + data[frame + 4 : last]
    with pytest.raises(ImageTooLarge, match="the JPEG has 39 scans; at most 25 are allowed"):
        decoded(large + data[last:-2] * 30 + data[-2:])
