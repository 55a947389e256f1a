"""Every kind of colour and transparency becomes RGB or gray by the rule of docs/inputs.md."""

from __future__ import annotations

from io import BytesIO

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from augserve_server.errors import (
    FormatNotAllowed,
)
from decoding import Pixels, by_pillow, decoded
from factories import (
    encode_picture,
    make_file,
    make_picture,
    make_png,
    make_tiff,
)

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
