from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from PIL import Image

from augserve import InvalidInput
from augserve.inputs import UNCOMPRESSED_LIMIT_BYTES, read_source
from augserve.samples import Items, listed
from augserve.tiff import Photometric, write_tiff
from factories import make_file, make_image, make_picture, make_pixels

EXACT_MODES = ("L", "LA", "RGB", "RGBA", "CMYK", "I;16")


def sent(image: object) -> bytes:
    source = read_source(image)
    data = b"".join(source.read())
    assert len(data) <= source.size_bytes
    return data


def decoded(image: object) -> Image.Image:
    return Image.open(io.BytesIO(sent(image)))


@pytest.mark.parametrize("as_given", [bytes, bytearray, memoryview])
def test_an_encoded_image_is_sent_as_it_is(as_given: type) -> None:
    file = make_file("JPEG", (20, 30))
    assert sent(as_given(file)) == file
    assert read_source(as_given(file)).media_type == "application/octet-stream"


@pytest.mark.parametrize("as_given", [str, Path])
def test_a_path_is_read_when_its_request_is_built(tmp_path: Path, as_given: type) -> None:
    path = tmp_path / "photograph.jpg"
    path.write_bytes(b"1" * 100)
    source = read_source(as_given(path))
    path.write_bytes(b"2" * 100)
    assert source.size_bytes == 100
    assert b"".join(source.read()) == b"2" * 100


def test_a_path_that_is_not_there_is_known_before_anything_is_sent(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"gone\.jpg"):
        read_source(tmp_path / "gone.jpg")


@given(
    pixels=npst.arrays(np.uint8, npst.array_shapes(min_dims=3, max_dims=3, max_side=40).filter(lambda s: s[2] <= 4)),
    deflate=st.booleans(),
)
def test_pillow_decodes_exactly_the_pixels_that_were_written(pixels: np.ndarray, deflate: bool) -> None:
    channels = pixels.shape[2]
    photometric = Photometric.GRAY if channels < 3 else Photometric.RGB
    file = b"".join(write_tiff(pixels, photometric, alpha=channels in (2, 4), deflate=deflate))
    with Image.open(io.BytesIO(file)) as image:
        assert image.mode == {1: "L", 2: "LA", 3: "RGB", 4: "RGBA"}[channels]
        assert image.n_frames == 1
        assert np.array_equal(np.asarray(image).reshape(pixels.shape), pixels)


@pytest.mark.parametrize("size", [(1, 1), (1, 17), (17, 1), (7, 13), (423, 213)])
@pytest.mark.parametrize("mode", EXACT_MODES)
def test_a_picture_travels_exactly_in_its_mode(mode: str, size: tuple[int, int]) -> None:
    picture = make_picture(size=size, mode="L" if mode == "I;16" else mode)
    if mode == "I;16":
        picture = Image.fromarray(np.asarray(picture).astype(np.uint16) * 257)
    arrived = decoded(picture)
    assert arrived.mode == mode
    assert np.array_equal(np.asarray(arrived), np.asarray(picture))


@pytest.mark.parametrize(
    ("mode", "by_way_of", "arrives_as"),
    [
        ("1", "L", "L"),
        ("P", "RGB", "RGB"),
        ("YCbCr", "RGB", "RGB"),
        ("HSV", "RGB", "RGB"),
        ("PA", "P", "RGBA"),
        ("La", "LA", "LA"),
        ("RGBa", "RGBA", "RGBA"),
    ],
)
def test_a_picture_of_another_mode_travels_as_pillow_converts_it(mode: str, by_way_of: str, arrives_as: str) -> None:
    picture = make_picture(size=(31, 20), mode=by_way_of).convert(mode)
    arrived = decoded(picture)
    assert arrived.mode == arrives_as
    assert np.array_equal(np.asarray(arrived), np.asarray(picture.convert(arrives_as)))


def test_a_palette_with_transparency_keeps_it() -> None:
    picture = make_picture(size=(20, 30), mode="P")
    picture.info["transparency"] = picture.getpixel((0, 0))
    arrived = decoded(picture)
    assert arrived.mode == "RGBA"
    assert arrived.getpixel((0, 0))[3] == 0


def test_big_endian_pixels_of_16_bits_travel_exactly() -> None:
    values = np.arange(600, dtype=np.uint16).reshape(20, 30) * 100
    picture = Image.frombytes("I;16B", (30, 20), values.astype(">u2").tobytes())
    arrived = decoded(picture)
    assert arrived.mode == "I;16"
    assert np.array_equal(np.asarray(arrived), values)


@pytest.mark.parametrize("mode", ["F", "I"])
def test_a_picture_without_a_range_is_refused(mode: str) -> None:
    with pytest.raises(InvalidInput, match=f"mode {mode} has no range"):
        read_source(make_picture(size=(4, 4), mode=mode))


def test_the_orientation_of_a_picture_is_not_sent() -> None:
    picture = Image.open(io.BytesIO(make_file("JPEG", (20, 30), orientation=6)))
    arrived = decoded(picture)
    assert arrived.getexif().get(0x0112, 1) == 1
    assert np.array_equal(np.asarray(arrived), np.asarray(picture))


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_an_array_has_its_channels_last(channels: int) -> None:
    mode = {1: "L", 2: "LA", 3: "RGB", 4: "RGBA"}[channels]
    pixels = np.asarray(make_picture(size=(12, 7), mode=mode)).reshape(12, 7, channels)
    arrived = decoded(pixels)
    assert arrived.mode == mode
    assert np.array_equal(np.asarray(arrived).reshape(pixels.shape), pixels)


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_a_tensor_has_its_channels_first(channels: int) -> None:
    tensor = torch.randint(0, 256, (channels, 12, 7), dtype=torch.uint8)
    pixels = np.asarray(decoded(tensor)).reshape(12, 7, channels)
    assert np.array_equal(pixels, tensor.permute(1, 2, 0).numpy())


def test_arrays_and_tensors_of_two_dimensions_are_gray() -> None:
    gray = make_pixels(size=(12, 7), channels=1)[:, :, 0]
    for image in (gray, torch.from_numpy(gray)):
        arrived = decoded(image)
        assert arrived.mode == "L"
        assert np.array_equal(np.asarray(arrived), gray)


def test_views_of_other_memory_travel_exactly() -> None:
    pixels = make_pixels(size=(40, 60))[::-2, 3:50:3, ::-1]
    assert np.array_equal(np.asarray(decoded(pixels)), pixels)
    tensor = make_image((40, 60)).flip(2)[:, 1::2]
    assert np.array_equal(np.asarray(decoded(tensor)), tensor.permute(1, 2, 0).numpy())


def test_pixels_over_the_limit_of_one_image_are_compressed_exactly() -> None:
    pixels = np.tile(make_pixels(size=(500, 500)), (7, 7, 1))
    assert pixels.nbytes > UNCOMPRESSED_LIMIT_BYTES
    assert len(sent(pixels)) < UNCOMPRESSED_LIMIT_BYTES
    assert np.array_equal(np.asarray(decoded(pixels)), pixels)


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (3, "cannot send a int"),
        (None, "cannot send a NoneType"),
        (np.zeros((4, 4, 3), np.float32), "uint8 in 0..255, not float32"),
        (torch.zeros(3, 4, 4), "uint8 in 0..255, not float32"),
        (np.zeros((3, 4, 5), np.uint8), r"\(3, 4, 5\) are no image"),
        (np.zeros(4, np.uint8), r"\(4,\) are no image"),
        (np.zeros((0, 4, 3), np.uint8), r"\(0, 4, 3\) are no image"),
        (np.zeros((2, 4, 4, 3), np.uint8), r"send list\(batch\)"),
        (torch.zeros((2, 3, 4, 4), dtype=torch.uint8), r"send list\(batch\)"),
    ],
)
def test_what_is_no_image_is_refused_with_what_is(image: object, message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        read_source(image)


@pytest.mark.parametrize("image", [b"1", bytearray(b"1"), memoryview(b"1"), "a.jpg", Path("a.jpg")])
def test_an_image_alone_is_not_taken_for_several(image: Items) -> None:
    assert listed(image) == [image]


def test_pixels_alone_are_not_taken_for_several() -> None:
    for image in (make_pixels(size=(4, 4)), make_image((4, 4)), make_picture(size=(4, 4))):
        assert len(listed(image)) == 1
        assert len(listed([image, image])) == 2
        assert len(listed(iter((image, image)))) == 2
