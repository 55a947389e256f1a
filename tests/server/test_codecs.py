"""Decoding equals Pillow's pixels where Pillow's rule is the declared one, and the declared rule everywhere else."""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO

import numpy as np
import numpy.typing as npt
import pytest
import simplejpeg
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image, ImageOps

from augserve_pipelines import InputRule
from augserve_server.codecs import decode, encode, peek
from augserve_server.errors import (
    FormatNotAllowed,
    ImageCorrupt,
    ImageError,
    ImageTooLarge,
    ImageTruncated,
    ServiceError,
)
from factories import (
    NAMES,
    SIZES,
    encode_picture,
    make_file,
    make_files,
    make_image,
    make_picture,
    make_pixels,
    make_png,
    make_tiff,
    photograph_path,
)

Pixels = npt.NDArray[np.uint8]

ANY_SIZE = [*SIZES, (8, 8), (16, 15), (9, 2)]


def decoded(data: bytes, **rule: str) -> Pixels:
    return decode(data, peek(data), InputRule.model_validate(rule))


def by_pillow(data: bytes, mode: str = "RGB") -> Pixels:
    """What Pillow users do; L by way of RGB."""
    with Image.open(BytesIO(data)) as image:
        image.info.pop("transparency", None)
        upright = ImageOps.exif_transpose(image).convert("RGB")
    pixels = np.array(upright.convert(mode))
    return pixels.reshape(*pixels.shape[:2], -1)


# JPEG


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


# Orientation


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


# Colours

STORED_AS = [
    ("PNG", ["1", "L", "LA", "P", "RGB", "RGBA"]),
    ("WEBP", ["RGB", "RGBA"]),
    ("AVIF", ["L", "RGB", "RGBA"]),
    ("GIF", ["1", "L", "P", "RGB"]),
    ("BMP", ["1", "L", "P", "RGB", "RGBA"]),
    ("TIFF", ["1", "L", "LA", "P", "RGB", "RGBA", "RGBX", "CMYK", "YCbCr"]),
]


@pytest.mark.parametrize("to", ["RGB", "L"])
@pytest.mark.parametrize(("format", "mode"), [(format, mode) for format, modes in STORED_AS for mode in modes])
def test_every_kind_of_colour_is_converted_as_pillow_does(format: str, mode: str, to: str) -> None:
    for size in ((21, 34), (1, 1), (7, 1)):
        data = make_file(format, size, mode)
        pixels = decoded(data, mode=to)
        np.testing.assert_array_equal(pixels, by_pillow(data, to))
        assert pixels.shape == (*size, 3 if to == "RGB" else 1)


def sixteen_bits() -> npt.NDArray[np.uint16]:
    return (np.arange(7 * 9, dtype=np.uint16).reshape(7, 9) * 1040 + 255).astype(np.uint16)


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("format", ["PNG", "TIFF"])
def test_gray_of_sixteen_bits_keeps_the_upper_eight(format: str, order: str) -> None:
    values = sixteen_bits()
    data = encode_picture(Image.fromarray(values.astype(order + "u2")), format)
    np.testing.assert_array_equal(decoded(data, mode="L")[..., 0], values >> 8)
    np.testing.assert_array_equal(decoded(data), np.repeat((values >> 8)[..., None], 3, axis=2))
    assert by_pillow(data).mean() > 240  # Pillow's own conversion clips nearly all of it to white


@pytest.mark.parametrize(("colour_type", "channels"), [(2, 3), (6, 4), (4, 2)], ids=["RGB", "RGBA", "LA"])
def test_png_colours_of_sixteen_bits_keep_the_upper_eight(colour_type: int, channels: int) -> None:
    values = np.stack([np.roll(sixteen_bits(), i) for i in range(channels)], axis=2)
    data = make_png(values.astype(">u2"), colour_type)
    expected = (values >> 8)[..., :3] if channels > 2 else np.repeat((values >> 8)[..., :1], 3, axis=2)
    np.testing.assert_array_equal(decoded(data), expected)


def test_a_tiff_of_sixteen_bits_where_zero_is_white_is_inverted() -> None:
    values = sixteen_bits()
    data = make_tiff(values, values.shape, 16, photometric=0)
    np.testing.assert_array_equal(decoded(data, mode="L")[..., 0], 255 - (values >> 8))


def test_a_tiff_of_twelve_bits_keeps_the_upper_eight() -> None:
    data = make_tiff(bytes.fromhex("fff000 123abc"), (1, 4), 12)
    assert decoded(data, mode="L").ravel().tolist() == [0xFF, 0x00, 0x12, 0xAB]


def test_a_tiff_of_sixteen_bit_rgb_keeps_the_upper_eight() -> None:
    values = np.stack([sixteen_bits(), sixteen_bits().T.reshape(7, 9), sixteen_bits()[::-1]], axis=2)
    data = make_tiff(values, (7, 9), 16, photometric=2, samples_per_pixel=3)
    np.testing.assert_array_equal(decoded(data), values >> 8)


@pytest.mark.parametrize(
    ("samples", "tags", "found"),
    [
        (np.ones((4, 5), np.float32), {"sample_format": 3}, "floating-point samples"),
        (np.ones((4, 5), np.int32), {"sample_format": 2}, "32-bit or signed samples"),
        (np.ones((4, 5), np.uint32), {}, "32-bit or signed samples"),
        (np.ones((4, 5), np.int16), {"sample_format": 2}, "32-bit or signed samples"),
    ],
)
def test_a_tiff_of_samples_without_a_rule_is_refused(
    samples: npt.NDArray[np.generic], tags: dict[str, int], found: str
) -> None:
    data = make_tiff(samples, (4, 5), samples.dtype.itemsize * 8, **tags)
    with pytest.raises(FormatNotAllowed, match=f"the image is a TIFF of {found}; allowed: samples of 1 to 16 bits"):
        decoded(data)


def test_cmyk_becomes_rgb_by_the_declared_formula() -> None:
    inks = np.random.default_rng(0).integers(0, 256, (64, 80, 4), np.uint8)
    data = encode_picture(Image.frombytes("CMYK", (80, 64), inks.tobytes()), "TIFF")
    paper = 255 - inks.astype(np.int64)
    expected = (2 * paper[..., :3] * paper[..., 3:] + 255) // 510
    np.testing.assert_array_equal(decoded(data), expected)


def test_a_tiff_in_lab_is_refused() -> None:
    with pytest.raises(FormatNotAllowed, match="L\\*a\\*b\\* colours"):
        decoded(make_file("TIFF", (4, 5), "LAB"))


# Transparency


def blended(colours: npt.NDArray[np.generic], alpha: npt.NDArray[np.generic]) -> Pixels:
    """The declared rule, in exact integers."""
    c, a = colours.astype(np.int64), alpha.astype(np.int64)[..., None]
    return ((2 * (c * a + 255 * (255 - a)) + 255) // 510).astype(np.uint8)


@pytest.mark.parametrize("format", ["PNG", "TIFF"])
@pytest.mark.parametrize("mode", ["RGBA", "LA"])
def test_alpha_is_dropped_or_laid_on_white(format: str, mode: str) -> None:
    picture = make_picture(size=(64, 80), mode=mode)
    data = encode_picture(picture, format)
    colours, alpha = np.asarray(picture.convert("RGB")), np.asarray(picture.getchannel("A"))
    assert len(np.unique(alpha)) == 256
    np.testing.assert_array_equal(decoded(data), colours)
    np.testing.assert_array_equal(decoded(data, alpha="white"), blended(colours, alpha))


@pytest.mark.parametrize("lossless", [True, False])
def test_the_alpha_of_webp_is_laid_on_white(lossless: bool) -> None:
    data = make_file("WEBP", (64, 80), "RGBA", lossless=lossless, exact=True)
    with Image.open(BytesIO(data)) as image:
        stored = np.asarray(image)
    np.testing.assert_array_equal(decoded(data), stored[..., :3])
    np.testing.assert_array_equal(decoded(data, alpha="white"), blended(stored[..., :3], stored[..., 3]))


def test_a_palette_with_transparency_is_dropped_or_laid_on_white() -> None:
    picture = make_picture(size=(20, 30)).quantize(64)
    alphas = bytes(range(0, 256, 4))
    data = encode_picture(picture, "PNG", transparency=alphas)
    colours = np.asarray(picture.convert("RGB"))
    np.testing.assert_array_equal(decoded(data), colours)
    by_index = np.frombuffer(alphas, np.uint8)[np.asarray(picture)]
    np.testing.assert_array_equal(decoded(data, alpha="white"), blended(colours, by_index))


@pytest.mark.parametrize("format", ["PNG", "GIF"])
def test_a_transparent_palette_entry_is_dropped_or_becomes_white(format: str) -> None:
    picture = make_picture(size=(20, 30)).quantize(64)
    index = int(np.asarray(picture)[0, 0])
    data = encode_picture(picture, format, transparency=index)
    colours = np.array(picture.convert("RGB"))
    np.testing.assert_array_equal(decoded(data), colours)
    colours[np.asarray(picture) == index] = 255
    np.testing.assert_array_equal(decoded(data, alpha="white"), colours)


@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_a_transparent_colour_is_dropped_or_becomes_white(mode: str) -> None:
    picture = make_picture(size=(20, 30), mode=mode)
    key = picture.getpixel((0, 0))
    data = encode_picture(picture, "PNG", transparency=key)
    colours = np.array(picture.convert("RGB"))
    np.testing.assert_array_equal(decoded(data), colours)
    colours[(np.asarray(picture).reshape(20, 30, -1) == key).all(axis=2)] = 255
    np.testing.assert_array_equal(decoded(data, alpha="white"), colours)


def test_white_then_gray_is_the_luma_of_the_blend() -> None:
    data = make_file("PNG", (20, 30), "RGBA")
    blend = Image.fromarray(decoded(data, alpha="white")).convert("L")
    np.testing.assert_array_equal(decoded(data, alpha="white", mode="L")[..., 0], np.asarray(blend))


# Frames


def test_the_first_frame_of_a_gif_is_decoded() -> None:
    frames = [make_picture(name, (20, 30)).quantize(64) for name in NAMES[:3]]
    data = encode_picture(frames[0], "GIF", save_all=True, append_images=frames[1:], duration=50)
    assert peek(data).frames == 1
    np.testing.assert_array_equal(decoded(data), np.asarray(frames[0].convert("RGB")))


# Damage

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


# What comes out


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


# Encoding


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
