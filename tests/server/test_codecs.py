"""Every format decodes or is refused, in any thread; results encode."""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO

import numpy as np
import pytest
import simplejpeg
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from augserve_pipelines import InputRule
from augserve_server.codecs import decode, encode, peek
from augserve_server.errors import (
    FormatNotAllowed,
    ImageCorrupt,
    ImageError,
    ImageTruncated,
    ServiceError,
)
from decoding import decoded
from factories import (
    NAMES,
    SIZES,
    encode_picture,
    make_file,
    make_files,
    make_image,
    make_picture,
)

FORMATS = ["JPEG", "PNG", "WEBP", "AVIF", "GIF", "BMP", "TIFF"]


@pytest.mark.parametrize("format", FORMATS)
def test_a_file_cut_anywhere_is_refused(format: str) -> None:
    data = make_file(format, (40, 60))
    # A PNG is complete without its last chunk (12 bytes), two check sums (4 and 4) and the end of its deflate stream; a
    # GIF without its last byte or two.
    complete = len(data) - {"PNG": 24, "GIF": 2}.get(format, 0)
    for length in [*range(1, 64), *range(64, complete, 97), complete - 1]:
        with pytest.raises((ImageError, FormatNotAllowed)) as caught:
            decoded(data[:length])
        if length > 30:
            assert isinstance(caught.value, ImageTruncated | ImageCorrupt), length


@pytest.mark.parametrize("format", FORMATS)
def test_a_file_cut_in_half_is_called_truncated(format: str) -> None:
    data = make_file(format, (40, 60))
    with pytest.raises(ImageTruncated, match=re.compile(f"the {format} image ends before it is complete", re.I)):
        decoded(data[: len(data) // 2])


def test_noise_in_the_pixels_of_a_png_is_corrupt() -> None:
    data = make_file("PNG", (40, 60))
    start = data.index(b"IDAT") + 60
    with pytest.raises(ImageCorrupt, match="its data cannot be decoded"):
        decoded(data[:start] + np.random.default_rng(0).bytes(200) + data[start + 200 :])


@pytest.mark.parametrize("format", FORMATS)
def test_a_header_that_is_not_the_files_is_refused(format: str) -> None:
    header = peek(make_file(format, (50, 60)))
    for size in ((40, 60), (100, 200)):
        with pytest.raises(ImageCorrupt, match=r"another size|cannot be decoded"):
            decode(make_file(format, size), header, InputRule())


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_a_mutated_file_decodes_or_raises_a_service_error(data: st.DataObject) -> None:
    file = bytearray(make_file(data.draw(st.sampled_from(FORMATS)), (12, 17)))
    for _ in range(data.draw(st.integers(1, 4))):
        position = data.draw(st.integers(0, len(file) - 1))
        file[position : position + data.draw(st.integers(0, 3))] = data.draw(st.binary(max_size=4))
    mode = data.draw(st.sampled_from(["RGB", "L"]))
    try:
        header = peek(bytes(file))
        pixels = decode(bytes(file), header, InputRule(mode=mode, alpha=data.draw(st.sampled_from(["drop", "white"]))))
    except ServiceError:
        return
    assert sorted(pixels.shape[:2]) == sorted((header.height, header.width))


def test_the_first_frame_of_a_gif_is_decoded() -> None:
    frames = [make_picture(name, (20, 30)).quantize(64) for name in NAMES[:3]]
    data = encode_picture(frames[0], "GIF", save_all=True, append_images=frames[1:], duration=50)
    assert peek(data).frames == 1
    np.testing.assert_array_equal(decoded(data), np.asarray(frames[0].convert("RGB")))


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_pixels_can_become_a_tensor_without_a_copy(format: str, mode: str) -> None:
    pixels = decoded(make_file(format, (20, 30)), mode=mode)
    assert pixels.dtype == np.uint8
    assert pixels.flags.c_contiguous
    tensor = torch.from_numpy(pixels)  # warns where it is not writable
    assert tensor.data_ptr() == pixels.ctypes.data


def test_threads_decode_the_same_pixels() -> None:
    files = [data for format in FORMATS for data in make_files(4, format)]
    alone = [decoded(data) for data in files]
    with ThreadPoolExecutor(4) as pool:
        for one, other in zip(alone, pool.map(decoded, files), strict=True):
            np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("size", SIZES)
def test_png_keeps_every_pixel(size: tuple[int, int], channels: int) -> None:
    image = make_image(size, channels=channels)
    mode = "RGB" if channels == 3 else "L"
    pixels = decoded(encode(image, "image/png"), mode=mode)
    np.testing.assert_array_equal(pixels.transpose(2, 0, 1), image.numpy())


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(("media_type", "format"), [("image/jpeg", "JPEG"), ("image/webp", "WEBP")])
def test_lossy_encodings_are_near_and_better_with_quality(media_type: str, format: str, channels: int) -> None:
    image = make_image((100, 150), channels=channels)
    errors = []
    for quality in (20, 60, 95):
        data = encode(image, media_type, quality)
        with Image.open(BytesIO(data)) as picture:
            assert (picture.format, picture.size) == (format, (150, 100))
            assert not picture.getexif()
        pixels = decoded(data, mode="RGB" if channels == 3 else "L")
        errors.append(np.abs(pixels.transpose(2, 0, 1).astype(int) - image.numpy()).mean())
    assert errors[0] > errors[1] > errors[2]
    assert errors[2] < 4


def test_jpeg_is_written_gray_for_one_channel_and_with_halved_chroma_for_three() -> None:
    assert simplejpeg.decode_jpeg_header(encode(make_image(channels=1), "image/jpeg"))[2:] == ("Gray", "Gray")
    assert simplejpeg.decode_jpeg_header(encode(make_image(), "image/jpeg"))[2:] == ("YCbCr", "420")


@pytest.mark.parametrize("media_type", ["image/jpeg", "image/png", "image/webp"])
def test_arrays_tensors_and_views_encode_alike(media_type: str) -> None:
    image = make_image((20, 30))
    view = image.permute(1, 2, 0).contiguous().permute(2, 0, 1)
    assert encode(image, media_type) == encode(image.numpy(), media_type) == encode(view, media_type)


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (torch.zeros(3, 4, 5), r"not float32 of \[3, 4, 5\]"),
        (torch.zeros(4, 4, 5, dtype=torch.uint8), r"not uint8 of \[4, 4, 5\]"),
        (torch.zeros(4, 5, dtype=torch.uint8), r"not uint8 of \[4, 5\]"),
    ],
)
def test_what_is_no_image_is_not_encoded(image: torch.Tensor, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        encode(image, "image/png")


def test_an_unknown_media_type_is_not_encoded() -> None:
    with pytest.raises(ValueError, match="image/jpeg, image/png or image/webp, not 'image/tiff'"):
        encode(make_image(), "image/tiff")
