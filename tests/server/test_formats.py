"""Headers are read without decoding, and refuse what is too large before anything is allocated."""

from __future__ import annotations

import struct
import tracemalloc
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from augserve_pipelines import InputRule
from augserve_server.codecs import ImageLimits, decode, peek
from augserve_server.errors import (
    EmptyBody,
    FormatNotAllowed,
    ImageCorrupt,
    ImageTooLarge,
    ImageTruncated,
)
from augserve_server.headers import JpegHeader
from augserve_server.jpeg import MAX_JPEG_SCANS
from augserve_server.picture_files import MAX_PNG_DATA_CHUNKS
from factories import NAMES, encode_picture, make_chunk, make_file, make_picture, make_pixels, make_png, make_tiff

FORMATS = {"JPEG": "JPEG", "PNG": "PNG", "WEBP": "WebP", "AVIF": "AVIF", "GIF": "GIF", "BMP": "BMP", "TIFF": "TIFF"}


@pytest.mark.parametrize("size", [(21, 34), (1, 1), (300, 2)])
@pytest.mark.parametrize("format", FORMATS)
def test_the_header_has_format_and_size(format: str, size: tuple[int, int]) -> None:
    header = peek(make_file(format, size))
    assert (header.format, header.height, header.width, header.frames) == (FORMATS[format], *size, 1)
    assert header.pixels == size[0] * size[1]


@pytest.mark.parametrize(
    "options", [{"lossless": True}, {"mode": "RGBA"}, {"orientation": 6}, {"mode": "RGBA", "lossless": True}]
)
def test_every_container_of_webp_has_its_size(options: dict[str, object]) -> None:
    header = peek(make_file("WEBP", (21, 34), **options))  # type: ignore[arg-type]  # options are of several parameters
    assert (header.height, header.width) == (21, 34)


def test_a_jpegs_header_says_what_decoding_needs() -> None:
    header = peek(make_file("JPEG", (21, 34), orientation=6))
    assert isinstance(header, JpegHeader)
    assert (header.orientation, header.components, header.scans_interleave) == (6, 3, True)
    progressive = peek(make_file("JPEG", (21, 34), "L", progressive=True))
    assert isinstance(progressive, JpegHeader)
    assert (progressive.orientation, progressive.components, progressive.scans_interleave) == (1, 1, False)


@pytest.mark.parametrize("big", [False, True])
def test_a_tiff_of_short_and_long_offsets_has_its_size(big: bool) -> None:
    data = encode_picture(make_picture(size=(21, 34)), "TIFF", big_tiff=big, tiffinfo={274: 6})
    header = peek(data)
    assert (header.height, header.width, header.orientation) == (21, 34, 6)


def test_a_big_endian_tiff_has_its_size() -> None:
    values = np.arange(21 * 34, dtype=">u2").reshape(21, 34)
    data = encode_picture(Image.fromarray(values), "TIFF")
    assert data.startswith(b"MM\0*")
    assert (peek(data).height, peek(data).width) == (21, 34)


def bmp(width: int, height: int, *, size: int = 40, compression: int = 0) -> bytes:
    """The headers of a BMP."""
    info = struct.pack("<IiiHHIIiiII", size, width, height, 1, 24, compression, 0, 0, 0, 0, 0)
    if size == 12:
        info = struct.pack("<IHHHH", 12, width, height, 1, 24)
    return b"BM" + struct.pack("<IHHI", 0, 0, 0, 14 + len(info)) + info


def test_a_bmp_from_top_to_bottom_and_an_old_one_have_their_size() -> None:
    assert (peek(bmp(34, -21)).height, peek(bmp(34, -21)).width) == (21, 34)
    assert (peek(bmp(34, 21, size=12)).height, peek(bmp(34, 21, size=12)).width) == (21, 34)
    pixels = make_pixels(size=(3, 4))
    data = bmp(4, -3) + pixels[..., ::-1].tobytes()
    np.testing.assert_array_equal(decode(data, peek(data), InputRule()), pixels)


def test_a_gif_grows_to_hold_its_first_image() -> None:
    data = bytearray(make_file("GIF", (20, 30), "L"))
    data[6:10] = struct.pack("<HH", 10, 50)  # the screen's width and height
    header = peek(bytes(data))
    assert (header.height, header.width) == (50, 30)
    assert decode(bytes(data), header, InputRule()).shape == (50, 30, 3)


def test_the_documented_limits_are_the_defaults() -> None:
    text = (Path(__file__).parents[2] / "docs" / "inputs.md").read_text()
    limits = ImageLimits()
    for name, value in [
        ("bytes of the file", f"{limits.max_bytes >> 20} MiB"),
        ("pixels", f"{limits.max_pixels:,}"),
        ("pixels along one side", f"{limits.max_side:,}"),
        ("frames or pages", str(limits.max_frames)),
        ("bytes of metadata: profiles, EXIF, XMP, texts, tables of tags", f"{limits.max_metadata_bytes >> 20} MiB"),
        ("scans of a progressive JPEG", str(MAX_JPEG_SCANS)),
        ("data chunks of a PNG", f"{MAX_PNG_DATA_CHUNKS:,}"),
    ]:
        assert f"| {name} | {value} |" in text


# What is no image


def test_no_bytes_are_an_empty_body() -> None:
    with pytest.raises(EmptyBody):
        peek(b"")


@pytest.mark.parametrize(
    "data", [b"x", b"%PDF-1.7 ...", b"<svg/>", b"\0\0\1\0\1\0", b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", b"8BPS"]
)
def test_other_formats_are_not_allowed_and_the_allowed_ones_are_named(data: bytes) -> None:
    with pytest.raises(
        FormatNotAllowed, match=r"begins with .*; allowed: JPEG, PNG, WebP, GIF, BMP, TIFF, AVIF"
    ) as caught:
        peek(data)
    assert caught.value.members["allowed"] == ["JPEG", "PNG", "WebP", "GIF", "BMP", "TIFF", "AVIF"]


def test_the_name_of_a_format_is_not_believed() -> None:
    assert peek(make_file("PNG", (2, 3))).format == "PNG"
    with pytest.raises(FormatNotAllowed):
        peek(encode_picture(make_picture(size=(20, 30)), "JPEG2000"))


@pytest.mark.parametrize("format", FORMATS)
def test_a_header_that_ends_early_is_truncated(format: str) -> None:
    data = make_file(format, (21, 34))
    with pytest.raises(ImageTruncated):
        peek(data[:20])


@pytest.mark.parametrize(
    ("position", "value", "found"),
    [
        (1, b"\xc9", "SOF9"),
        (1, b"\xc3", "SOF3"),
        (4, b"\x0c", "12 bits"),
        (9, b"\x02", "2 components"),
    ],
)
def test_variants_of_jpeg_that_are_not_decoded_are_named(position: int, value: bytes, found: str) -> None:
    data = make_file("JPEG", (21, 34))
    at = data.index(b"\xff\xc0") + position
    with pytest.raises(FormatNotAllowed, match=f"{found}.*; allowed: JPEG of process SOF0"):
        peek(data[:at] + value + data[at + 1 :])


@pytest.mark.parametrize("compression", [1, 2, 4, 5, 77])
def test_compressed_bmp_is_not_allowed(compression: int) -> None:
    with pytest.raises(FormatNotAllowed, match=f"a BMP of compression {compression}; allowed: BMP of compression 0"):
        peek(bmp(34, 21, compression=compression))


@pytest.mark.parametrize(
    "data",
    [
        b"\xff\xd8\xff\xe0\x00\x01" + bytes(20),
        b"\xff\xd8\xff\xe0\x00\x04\0\0 no marker here",
        b"\xff\xd8\xff\xda\x00\x04\0\0" + bytes(20),
        b"\x89PNG\r\n\x1a\n" + make_chunk(b"tEXt", bytes(20)),
        b"\x89PNG\r\n\x1a\n"
        + make_chunk(b"IHDR", struct.pack(">IIBBBBB", 1, 1, 8, 2, 0, 0, 0))
        + make_chunk(b"IEND", b""),
        b"RIFF\x20\0\0\0WEBPJUNK" + bytes(40),
        b"GIF89a\1\0\1\0\0\0\0;" + bytes(20),
        bmp(34, 21, size=41),
        bmp(0, 21),
        bmp(-34, 21),
        make_tiff(b"", (0, 5), 8),
        make_tiff(b"ab", (1, 2), 8).replace(struct.pack("<HHL", 256, 4, 1), struct.pack("<HHL", 256, 4, 0)),
        make_tiff(b"ab", (1, 2), 8).replace(struct.pack("<HHL", 256, 4, 1), struct.pack("<HHL", 999, 4, 1)),
        b"II*\0\x08\0\0\0\xff\xff" + bytes(100),
    ],
)
def test_headers_that_make_no_sense_are_corrupt(data: bytes) -> None:
    with pytest.raises(ImageCorrupt):
        peek(data)


# Limits


def png_header(width: int, height: int) -> bytes:
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + make_chunk(b"IHDR", header) + make_chunk(b"IDAT", b"x")


def jpeg_header(width: int, height: int) -> bytes:
    data = make_file("JPEG", (21, 34))
    at = data.index(b"\xff\xc0") + 5
    return data[:at] + struct.pack(">HH", height, width) + data[at + 4 :]


def webp_header(width: int, height: int) -> bytes:
    canvas = (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    body = b"WEBPVP8X" + struct.pack("<II", 10, 0) + canvas
    return b"RIFF" + struct.pack("<I", len(body)) + body


def gif_header(width: int, height: int) -> bytes:
    return b"GIF89a" + struct.pack("<HHBBB", width, height, 0, 0, 0) + b"," + struct.pack("<HHHHB", 0, 0, 1, 1, 0)


HEADERS: dict[str, Callable[[int, int], bytes]] = {
    "JPEG": jpeg_header,
    "PNG": png_header,
    "WebP": webp_header,
    "GIF": gif_header,
    "BMP": bmp,
    "TIFF": lambda width, height: make_tiff(b"", (height, width), 8),
}


@pytest.mark.parametrize("format", HEADERS)
def test_a_side_over_the_limit_is_refused_without_allocating(format: str) -> None:
    data = HEADERS[format](50_000, 50_000)
    tracemalloc.start()
    try:
        with pytest.raises(ImageTooLarge, match="50000 pixels along one side; at most 16384 are allowed") as caught:
            peek(data)
        assert tracemalloc.get_traced_memory()[1] < 100_000
    finally:
        tracemalloc.stop()
    assert {"measure": "side", "value": 50_000, "limit": 16_384}.items() <= caught.value.members.items()


@pytest.mark.parametrize("format", HEADERS)
def test_pixels_over_the_limit_are_refused(format: str) -> None:
    with pytest.raises(ImageTooLarge, match="64000000 pixels; at most 50000000 are allowed"):
        peek(HEADERS[format](8_000, 8_000))
    assert peek(HEADERS[format](5_000, 10_000)).pixels == 50_000_000


def test_an_avif_over_the_limits_is_refused() -> None:
    with pytest.raises(ImageTooLarge, match="34 pixels along one side; at most 33"):
        peek(make_file("AVIF", (21, 34)), ImageLimits(max_side=33))


def test_limits_are_inclusive() -> None:
    data = make_file("PNG", (21, 34))
    peek(data, ImageLimits(max_bytes=len(data), max_pixels=21 * 34, max_side=34))
    for limits, measure in [
        (ImageLimits(max_bytes=len(data) - 1), "bytes"),
        (ImageLimits(max_pixels=21 * 34 - 1), "pixels"),
        (ImageLimits(max_side=33), "side"),
    ]:
        with pytest.raises(ImageTooLarge) as caught:
            peek(data, limits)
        assert caught.value.members["measure"] == measure


def animation(format: str, frames: int = 3) -> bytes:
    pictures = [make_picture(name, (20, 30)) for name in NAMES[:frames]]
    return encode_picture(pictures[0], format, save_all=True, append_images=pictures[1:])


@pytest.mark.parametrize("format", ["PNG", "WEBP", "AVIF", "TIFF"])
def test_more_frames_than_one_are_refused_unless_allowed(format: str) -> None:
    data = animation(format)
    with pytest.raises(ImageTooLarge, match="3 frames or pages; at most 1 are allowed"):
        peek(data)
    header = peek(data, ImageLimits(max_frames=3))
    assert header.frames == 3
    with Image.open(BytesIO(data)) as image:
        np.testing.assert_array_equal(decode(data, header, InputRule()), np.asarray(image.convert("RGB")))


def test_the_smaller_copies_of_a_page_do_not_count_as_pages() -> None:
    data = animation("TIFF", 2)
    page = make_tiff(make_pixels(size=(4, 6), channels=1), (4, 6), 8)
    first = struct.unpack_from("<L", page, 4)[0]
    for subfile, pages in ((1, 1), (4, 1), (0, 2), (2, 2)):
        entries = struct.pack("<HHHLL", 1, 254, 4, 1, subfile) + bytes(4)
        chained = page[:-4] + struct.pack("<L", len(page)) + entries
        assert struct.unpack_from("<H", chained, first)[0] == 9
        assert peek(chained, ImageLimits(max_frames=9)).frames == pages
    assert peek(data, ImageLimits(max_frames=2)).frames == 2


def test_directories_in_a_circle_end() -> None:
    page = make_tiff(make_pixels(size=(4, 6), channels=1), (4, 6), 8)
    circle = page[:-4] + page[4:8]
    assert peek(circle).frames == 1


def riff(*chunks: tuple[bytes, bytes]) -> bytes:
    body = b"WEBP" + b"".join(name + struct.pack("<I", len(content)) + content for name, content in chunks)
    return b"RIFF" + struct.pack("<I", len(body)) + body


CANVAS = (b"VP8X", bytes([4, 0, 0, 0, 9, 0, 0, 9, 0, 0]))
SCAN = b"\xff\xda\x00\x04\0\0"


FRAME = b"\xff\xc0\x00\x0b\x08\0\1\0\1\1\1\x11\0"
MEGABYTES = 9 << 20


@pytest.mark.parametrize(
    "build",
    [
        lambda: b"\xff\xd8" + FRAME + (b"\xff\xe5\xff\xff" + bytes(65533)) * 200 + SCAN,
        lambda: make_png(make_pixels(size=(4, 5)), 2, (b"teXt", bytes(MEGABYTES))),
        lambda: riff(CANVAS, (b"ICCP", bytes(MEGABYTES)), (b"VP8 ", b"")),
        lambda: b"GIF89a\1\0\1\0\0\0\0!\xfe" + (b"\xff" + bytes(255)) * 40_000 + b"\0,\0\0\0\0\1\0\1\0\0",
        lambda: encode_picture(make_picture(size=(4, 5)), "TIFF", tiffinfo={700: bytes(MEGABYTES)}),
        lambda: encode_picture(make_picture(size=(4, 5)), "AVIF", icc_profile=bytes(MEGABYTES)),
    ],
    ids=["JPEG", "PNG", "WebP", "GIF", "TIFF", "AVIF"],
)
def test_metadata_over_the_limit_is_refused(build: Callable[[], bytes]) -> None:
    with pytest.raises(ImageTooLarge, match="bytes of metadata; at most 8388608 are allowed"):
        peek(build())


@pytest.mark.parametrize(
    "build",
    [
        lambda: b"\xff\xd8" + b"\xff\xe5\x00\x02" * 2000,
        lambda: b"\xff\xd8" + b"\xff" * 2000,
        lambda: png_header(1, 1)[:33] + make_chunk(b"teXt", b"") * 2000,
        lambda: riff(CANVAS, *[(b"JUNK", b"")] * 2000),
        lambda: riff(CANVAS, *[(b"ANMF", b"")] * 2000),
        lambda: b"GIF89a\1\0\1\0\0\0\0!\xfe" + b"\1x" * 100_000,
        lambda: b"GIF89a\1\0\1\0\0\0\0" + b"!\xf9\0" * 100_000,
    ],
    ids=["JPEG segments", "JPEG padding", "PNG chunks", "WebP chunks", "WebP frames", "GIF blocks", "GIF extensions"],
)
def test_a_header_in_very_many_pieces_is_not_walked_to_its_end(build: Callable[[], bytes]) -> None:
    with pytest.raises(ImageTooLarge, match=r"the image's header is in (1024|65536) or more pieces"):
        peek(build())


def test_a_tiff_of_very_many_strips_or_of_huge_tiles_is_refused() -> None:
    page = make_tiff(bytes(4 << 18), (1, 1 << 8), 8)
    strips = page.replace(struct.pack("<HHLL", 273, 4, 1, 8), struct.pack("<HHLL", 273, 4, 1 << 18, 8))
    with pytest.raises(ImageTooLarge, match="262144 or more pieces"):
        peek(strips)
    tiles = make_tiff(bytes(20), (4, 5), 8, tile_width=1 << 20, tile_height=1 << 20)
    with pytest.raises(ImageCorrupt, match="has tiles of 1048576 x 1048576"):
        peek(tiles)


def test_tags_of_a_tiff_cannot_share_their_bytes() -> None:
    page = make_tiff(bytes(1000), (10, 100), 8)
    for tag in (258, 262):
        page = page.replace(
            struct.pack("<HHLL", tag, 4, 1, 8 if tag == 258 else 1), struct.pack("<HHLL", tag, 1, 900, 8)
        )
    with pytest.raises(ImageCorrupt, match="its tags share their values"):
        peek(page)


def test_exif_of_many_overlapping_tags_is_not_expanded() -> None:
    count = 4000
    entry = struct.pack("<HHLL", 0x9286, 7, 40_000, 8)
    exif = b"Exif\0\0II*\0\x08\0\0\0" + struct.pack("<H", count) + entry * count + bytes(4)
    data = make_file("JPEG", (21, 34), exif=exif)
    tracemalloc.start()
    try:
        decode(data, peek(data), InputRule())
        assert tracemalloc.get_traced_memory()[1] < 1_000_000
    finally:
        tracemalloc.stop()


def test_a_png_that_ends_with_its_header_is_too_large_first_and_cut_off_second() -> None:
    with pytest.raises(ImageTooLarge, match="50000 pixels along one side"):
        peek(HEADERS["PNG"](50_000, 50_000)[:33])
    with pytest.raises(ImageTruncated):
        peek(make_file("PNG")[:33])
