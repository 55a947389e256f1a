"""Mutated images of every format that is taken, each looked at and decoded as the server does it."""

from __future__ import annotations

import math
import random
import struct
import zlib
from collections.abc import Mapping
from functools import cache
from typing import Final

import numpy as np
import numpy.typing as npt

from augserve_pipelines import InputRule
from augserve_server.codecs import DEFAULT_LIMITS, Way, decode, most_factor, peek
from augserve_server.decoding import Encoded
from augserve_server.errors import ServiceError
from augserve_server.headers import JpegHeader
from factories import encode_picture, make_chunk, make_file, make_picture, make_pixels, make_png, make_tiff
from fuzz.mutations import BLIND, mutated, spliced
from fuzz.pieces import AWARE

FORMATS: Final = tuple(AWARE)
SIZE: Final = (24, 32)  # small: most of the time goes into what is wrong, not into pixels
_WALL: Final = 4096


@cache
def corpus() -> Mapping[str, tuple[bytes, ...]]:
    """Small files of every kind that each format has."""
    return {
        "JPEG": (
            make_file("JPEG", SIZE),
            make_file("JPEG", SIZE, progressive=True),
            make_file("JPEG", SIZE, "L", orientation=6),
            make_file("JPEG", SIZE, "CMYK"),
            make_file("JPEG", SIZE, subsampling=0, restart_marker_rows=1),
            make_file("JPEG", (17, 9), subsampling=1, optimize=True, comment=b"a comment"),
        ),
        "PNG": (
            *(make_file("PNG", SIZE, mode) for mode in ("RGB", "RGBA", "L", "LA", "P", "1")),
            make_file("PNG", SIZE, orientation=8),
            make_png(np.arange(24 * 32 * 3, dtype=">u2").reshape(24, 32, 3), 2, (b"gAMA", b"\0\0\xb1\x8f")),
            interlaced_png(make_pixels(size=SIZE, channels=1)[..., 0]),
        ),
        "WEBP": (
            make_file("WEBP", SIZE),
            make_file("WEBP", SIZE, lossless=True),
            make_file("WEBP", SIZE, "RGBA"),
            make_file("WEBP", SIZE, "RGBA", lossless=True, orientation=3),
        ),
        "GIF": (
            make_file("GIF", SIZE),
            make_file("GIF", SIZE, "L", interlace=0),
            encode_picture(
                make_picture("coffee", SIZE), "GIF", save_all=True, append_images=[make_picture("rocket", SIZE)]
            ),
            encode_picture(make_picture("coffee", SIZE, "P"), "GIF", transparency=3, comment=b"a comment"),
        ),
        "BMP": (*(make_file("BMP", SIZE, mode) for mode in ("RGB", "L", "P", "1", "RGBA")),),
        "TIFF": (
            *(make_file("TIFF", SIZE, compression=name) for name in ("raw", "tiff_lzw", "tiff_adobe_deflate", "jpeg")),
            make_file("TIFF", SIZE, "1", compression="group4"),
            make_file("TIFF", SIZE, "CMYK", compression="packbits"),
            make_file("TIFF", SIZE, "P"),
            encode_picture(make_picture(size=SIZE), "TIFF", big_tiff=True, tiffinfo={274: 6}),
            make_tiff(np.arange(24 * 32, dtype="<u2"), SIZE, 16),
        ),
        "AVIF": (
            make_file("AVIF", SIZE, speed=10),
            make_file("AVIF", SIZE, "RGBA", speed=10),
            make_file("AVIF", SIZE, "L", speed=10, orientation=5),
            make_file("AVIF", (7, 9), quality=100, subsampling="4:4:4", speed=10),
        ),
    }


def interlaced_png(pixels: npt.NDArray[np.uint8]) -> bytes:
    """A gray picture [H, W] in the seven passes of Adam7, which Pillow does not write."""
    height, width = pixels.shape
    passes = ((0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2), (1, 0, 2, 1))
    rows = b"".join(
        b"\0" + row.tobytes() for top, left, down, right in passes for row in pixels[top::down, left::right]
    )
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 1)
    chunks = (b"IHDR", header), (b"IDAT", zlib.compress(rows)), (b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + b"".join(make_chunk(*chunk) for chunk in chunks)


def make_image(format: str, index: int) -> bytes:
    """The mutated file of this number: always the same one."""
    files = corpus()
    chance = random.Random(f"{format} {index}")
    own = files[format]
    elsewhere = tuple(data for others in files.values() for data in others)
    mutations = (*BLIND, *AWARE[format] * 6, spliced(own), spliced(elsewhere))
    return mutated(chance, chance.choice(own), mutations)


def decode_image(data: bytes, chance: random.Random) -> str:
    """What became of a file: ``decoded``, or what kind of error. Raises whatever the server would not expect."""
    rule = InputRule(
        mode=chance.choice(("RGB", "L")),
        orientation=chance.choice(("apply", "ignore")),
        alpha=chance.choice(("drop", "white")),
    )
    try:
        image = Encoded(data, peek(data, DEFAULT_LIMITS))
        factor = min(most_factor(image.header), chance.choice((1, 1, 1, 2, 4, 8)))
        way = Way(chance.choice(("exact", "fast")), factor)
        height, width, channels = _decoded(image, rule, way, in_room=chance.random() < 0.5)
    except ServiceError as exc:
        return type(exc).__name__
    _check_shape(image, rule, way, (channels, height, width))
    return "decoded"


def _decoded(image: Encoded, rule: InputRule, way: Way, in_room: bool) -> tuple[int, int, int]:
    """The shape of what is decoded, maybe into memory between two walls, which must stand after that."""
    shape = image.shape(rule)
    if not in_room or shape is None or way.factor > 1:
        height, width, channels = decode(image.data, image.header, rule, way).shape
        return height, width, channels
    size = math.prod(shape)
    memory = np.full(size + 2 * _WALL, 0xA5, np.uint8)
    room = memory[_WALL : _WALL + size].reshape(shape[1], shape[2], shape[0])
    try:
        height, width, channels = decode(image.data, image.header, rule, way, room).shape
    finally:
        assert (memory[:_WALL] == 0xA5).all(), "something was written before the room"
        assert (memory[_WALL + size :] == 0xA5).all(), "something was written behind the room"
    return height, width, channels


def _check_shape(image: Encoded, rule: InputRule, way: Way, shape: tuple[int, ...]) -> None:
    """What is decoded has the size that was drawn for, known from the header alone."""
    header = image.header
    height, width = way.size(header) if isinstance(header, JpegHeader) else (header.height, header.width)
    turned = image.shape(rule)
    sizes = {(height, width), (width, height)}
    if turned is not None:
        swapped = turned[1:] != image.size
        sizes = {(width, height) if swapped else (height, width)}
    assert shape[0] == rule.channels, shape
    assert shape[1:] in sizes, (shape, sizes)
