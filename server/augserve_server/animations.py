"""Animated images: how many frames they have, and each of them as a viewer shows it."""

from __future__ import annotations

import struct
from dataclasses import replace
from typing import Final

import numpy as np
from PIL import PngImagePlugin

from augserve_pipelines import InputRule
from augserve_server.codecs import peek
from augserve_server.errors import ClipTooLarge, FormatNotAllowed, ImageCorrupt, ImageTooLarge, ImageTruncated
from augserve_server.formats import format_of, gif_palette_bytes
from augserve_server.headers import Header, ImageLimits
from augserve_server.patience import Patience
from augserve_server.picture_files import opened, stored_orientation
from augserve_server.pixels import Pixels, convert, turn
from augserve_server.videos import ANIMATIONS, CONTAINERS

_MAX_GIF_BLOCKS: Final = 1 << 20  # of at most 255 bytes each; a walk over so many takes 0.1 s
_ANY: Final = 1 << 62


def peek_animation(data: bytes, limits: ImageLimits, max_frames: int) -> Header:
    """Read the header of an animation, and count its frames; none is decoded.

    Raises what :func:`~augserve_server.codecs.peek` does, ``ClipTooLarge``, and ``FormatNotAllowed`` for formats that
    hold one picture.
    """
    format = format_of(data)
    if data and format not in ANIMATIONS:
        found = (
            f"a {format} file, which holds one picture"
            if format
            else f"of no allowed format (it begins with {data[:8].hex(' ')})"
        )
        raise FormatNotAllowed(found, [*ANIMATIONS, *CONTAINERS], "clip")
    header = peek(data, replace(limits, max_frames=_ANY))
    if header.format == "GIF":
        header = replace(header, frames=_count_gif_frames(data, header))
    if header.frames > max_frames:
        raise ClipTooLarge("frames", header.frames, max_frames)
    return header


def decode_animation(data: bytes, header: Header, rule: InputRule, patience: Patience) -> Pixels:
    """Every frame, composited: [T, H, W, 3] or [T, H, W, 1]. Raises what :func:`augserve_server.codecs.decode` does."""
    clip = np.empty((0, 0, 0, 0), np.uint8)
    with opened(data, header) as image:
        orientation = stored_orientation(image, header) if rule.orientation == "apply" else 1
        # A PNG may have a picture for those who know no animations; it is the first, and not a frame.
        first = int(isinstance(image, PngImagePlugin.PngImageFile) and bool(image.default_image))
        for i in range(header.frames):
            patience.check()
            image.seek(first + i)
            image.load()
            pixels = turn(convert(image.copy(), rule), orientation)
            if i == 0:
                clip = np.empty((header.frames, *pixels.shape), np.uint8)
            clip[i] = pixels
    return clip


def _count_gif_frames(data: bytes, header: Header) -> int:
    """Images up to the trailer, or to the end where that is missing; each must lie on the screen."""
    position, frames = 13 + gif_palette_bytes(data[10]), 0
    blocks = _GifBlocks(data)
    try:
        while position < len(data) and data[position] != 0x3B:
            kind = data[position]
            position += 1
            if kind == 0x2C:
                _check_on_screen(data, position, header, frames)
                frames += 1
                position = blocks.skip(position + 10 + gif_palette_bytes(data[position + 8]))
            elif kind == 0x21:
                position = blocks.skip(position + 1)
    except (IndexError, struct.error) as exc:
        raise ImageTruncated("GIF") from exc
    return frames


def _check_on_screen(data: bytes, position: int, header: Header, frame: int) -> None:
    left, top, width, height = struct.unpack_from("<HHHH", data, position)
    if left + width > header.width or top + height > header.height:
        raise ImageCorrupt("GIF", f"frame {frame} reaches out of its screen")


class _GifBlocks:
    """Walks over runs of blocks, each after its length, up to one of no length; and counts them."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._count = 0

    def skip(self, position: int) -> int:
        """Past the run that begins at ``position``."""
        while length := self._data[position]:
            position += 1 + length
            self._count += 1
            if self._count > _MAX_GIF_BLOCKS:
                raise ImageTooLarge("segments", self._count, _MAX_GIF_BLOCKS)
        return position + 1
