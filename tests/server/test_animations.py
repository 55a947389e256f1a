"""Animated images: every frame as Pillow composites it, and every way in which they are refused."""

from __future__ import annotations

import struct
import zlib
from contextlib import suppress
from time import monotonic

import numpy as np
import pytest
from PIL import Image

from augserve_pipelines import InputRule
from augserve_server.animations import decode_animation, peek_animation
from augserve_server.errors import (
    ClientGone,
    ClipTooLarge,
    FormatNotAllowed,
    ImageCorrupt,
    ImageTooLarge,
    ImageTruncated,
)
from augserve_server.headers import ImageLimits
from augserve_server.patience import Patience
from clips import Pixels, frames_by_pillow, make_animation, make_frames
from factories import make_chunk, make_file


def patient() -> Patience:
    """As long as a clip may take, from now on."""
    return Patience(60, lambda: True)


def decoded(data: bytes, patience: Patience | None = None, **rule: str) -> Pixels:
    header = peek_animation(data, ImageLimits(), 256)
    return decode_animation(data, header, InputRule.model_validate(rule), patience or patient())


def sprites(size: int = 24) -> list[Image.Image]:
    """Frames of which most is transparent: a square with a hole that moves over nothing."""
    made = []
    for i in range(4):
        frame = Image.new("RGBA", (size, size), (0, 0, 0, 0))
        frame.paste((250 - 40 * i, 30, 60 * i, 255), (4 * i, 4, 4 * i + 8, 12))
        frame.paste((0, 0, 0, 0), (4 * i + 3, 6, 4 * i + 5, 8))
        made.append(frame)
    return made


@pytest.mark.parametrize("mode", ["RGB", "L"])
@pytest.mark.parametrize(
    ("format", "options"),
    [("GIF", {}), ("WEBP", {"lossless": True}), ("WEBP", {}), ("PNG", {}), ("AVIF", {})],
    ids=["GIF", "WebP lossless", "WebP", "PNG", "AVIF"],
)
def test_every_frame_is_pillows(format: str, options: dict[str, object], mode: str) -> None:
    data = make_animation(format, make_frames(5), **options)
    found = decoded(data, mode=mode)
    assert found.shape == (5, 48, 64, 3 if mode == "RGB" else 1)
    np.testing.assert_array_equal(found, frames_by_pillow(data, mode))


@pytest.mark.parametrize("disposal", [0, 1, 2, 3])
def test_what_a_frame_does_not_cover_is_what_was_there_before(disposal: int) -> None:
    base = make_frames(1, (40, 40))[0].quantize(64)
    patches = [base.copy() for _ in range(3)]
    for i, patch in enumerate(patches):
        patch.paste(5 * i, (8 * i, 8 * i, 8 * i + 10, 8 * i + 10))
    data = make_animation("GIF", [base, *patches], disposal=disposal)
    found = decoded(data)
    np.testing.assert_array_equal(found, frames_by_pillow(data))
    for i, patch in enumerate(patches, start=1):
        np.testing.assert_array_equal(found[i], np.asarray(patch.convert("RGB")))


@pytest.mark.parametrize("format", ["GIF", "WEBP", "PNG"])
def test_transparent_frames_can_be_laid_on_white(format: str) -> None:
    options: dict[str, object] = {"lossless": True} if format == "WEBP" else {"disposal": 2 if format == "GIF" else 1}
    data = make_animation(format, sprites(), **options)
    for found, sprite in zip(decoded(data, alpha="white"), sprites(), strict=True):
        white = Image.new("RGB", sprite.size, "white")
        white.paste(sprite, mask=sprite.getchannel("A"))
        np.testing.assert_array_equal(found, np.asarray(white))


def test_the_picture_for_those_who_know_no_animations_is_no_frame() -> None:
    frames = make_frames(4)
    data = make_animation("PNG", frames, default_image=True)
    found = decoded(data)
    assert len(found) == 3
    np.testing.assert_array_equal(found, np.stack([np.asarray(frame) for frame in frames[1:]]))


def test_an_orientation_turns_every_frame() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    data = make_animation("WEBP", make_frames(3), lossless=True, exif=exif.tobytes())
    upright = decoded(data)
    assert upright.shape == (3, 64, 48, 3)
    np.testing.assert_array_equal(upright, np.rot90(frames_by_pillow(data), -1, (1, 2)))
    np.testing.assert_array_equal(decoded(data, orientation="ignore"), frames_by_pillow(data))


@pytest.mark.parametrize("format", ["GIF", "PNG", "WEBP"])
def test_one_frame_is_a_clip_too(format: str) -> None:
    assert decoded(make_file(format, (30, 40))).shape == (1, 30, 40, 3)


@pytest.mark.parametrize("format", ["GIF", "WEBP", "PNG", "AVIF"])
def test_too_many_frames_are_refused_undecoded(format: str) -> None:
    data = make_animation(format, make_frames(5))
    with pytest.raises(ClipTooLarge, match="5 frames or more; at most 4") as caught:
        peek_animation(data, ImageLimits(), 4)
    assert caught.value.members == {"field": "clip", "measure": "frames", "value": 5, "limit": 4}


@pytest.mark.parametrize("format", ["JPEG", "BMP", "TIFF"])
def test_formats_of_one_picture_are_no_clip(format: str) -> None:
    with pytest.raises(FormatNotAllowed, match=f"the clip is a {format} file, which holds one picture"):
        decoded(make_file(format, (30, 40)))


def test_frames_are_within_the_limits_of_images() -> None:
    with pytest.raises(ImageTooLarge):
        peek_animation(make_animation("GIF", make_frames(2)), ImageLimits(max_pixels=48 * 64 - 1), 256)


def test_a_gif_that_grows_is_refused_undecoded() -> None:
    data = bytearray(make_animation("GIF", make_frames(2)))
    second = data.rindex(b"\x21\xf9\x04")  # the graphic control of the last frame; its descriptor follows
    struct.pack_into("<HH", data, second + 8 + 1 + 4, 60_000, 60_000)
    with pytest.raises(ImageCorrupt, match="frame 1 reaches out of its screen"):
        decoded(bytes(data))


def test_a_gif_of_countless_blocks_is_refused_undecoded() -> None:
    whole = make_animation("GIF", make_frames(2))
    bloated = whole[:-1] + b"\x21\xfe" + b"\x01x" * 1_050_000 + b"\0;"
    began = monotonic()
    with pytest.raises(ImageTooLarge, match="header is in"):
        decoded(bloated)
    assert monotonic() - began < 5


@pytest.mark.parametrize("format", ["GIF", "WEBP", "PNG", "AVIF"])
def test_what_is_cut_off_never_gives_fewer_frames(format: str) -> None:
    data = make_animation(format, make_frames(4))
    whole = decoded(data)
    for end in range(40, len(data), max(1, len(data) // 60)):
        with suppress(ImageTruncated, ImageCorrupt, ImageTooLarge, FormatNotAllowed):
            np.testing.assert_array_equal(decoded(data[:end]), whole)


def test_a_png_that_announces_more_frames_than_it_has_is_refused() -> None:
    data = make_animation("PNG", make_frames(3))
    position = data.index(b"acTL")
    lie = make_chunk(b"acTL", struct.pack(">II", 9, 0))
    assert zlib.crc32(data[position : position + 12]) == struct.unpack_from(">I", data, position + 12)[0]
    with pytest.raises((ImageCorrupt, ImageTruncated)):
        decoded(data[: position - 4] + lie + data[position + 16 :])


def test_nobody_waits_for_a_clip_that_takes_too_long() -> None:
    data = make_animation("GIF", make_frames(3))
    with pytest.raises(ClipTooLarge, match="took more than 5 seconds"):
        decoded(data, Patience(5, lambda: True, began=monotonic() - 6))


def test_a_clip_that_nobody_wants_any_more_is_left_alone() -> None:
    with pytest.raises(ClientGone):
        decoded(make_animation("GIF", make_frames(3)), Patience(60, lambda: False))
