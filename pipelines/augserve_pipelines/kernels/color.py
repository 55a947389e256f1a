"""Change the colours of bytes on the CPU, in place: torchvision's float32 arithmetic in one pass over the pixels.

On 224 x 224 pixels and a Zen 4 core, against torchvision on one thread: brightness 15 us instead of 119, contrast 51
instead of 181, saturation 20 instead of 178, hue 68 instead of 2684; and the same where the channels lie last.
Loops read and write ``pixels``, the bytes of an image ``[3, H, W]`` as they lie in memory: channel after channel, or
pixel after pixel where ``interleaved``. A tile of them at a time becomes three planes of floats.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from augserve_pipelines.kernels.compiled import compiled, fma, select

Bytes = NDArray[np.uint8]
Floats = NDArray[np.float32]

_TILE = 1024  # pixels: 12 KiB of floats, and as many of bytes, stay in L1

_ZERO, _ONE, _TWO, _THREE, _FOUR, _FIVE, _SIX = (np.float32(value) for value in range(7))
_SIXTH = np.float32(1 / 6)
_WHITE = np.float32(255)
_TO_UNIT = np.float32(1 / 255)
_FROM_UNIT = np.float32(256 - 1e-3)
_RED, _GREEN, _BLUE = np.float32(0.2989), np.float32(0.587), np.float32(0.114)


@compiled
def blend(values: Bytes, target: float, factor: float, rest: float) -> None:
    """``factor * value + rest * target`` of every byte, clamped and truncated; float32 throughout."""
    for k in range(values.size):
        mixed = fma(target, rest, np.float32(values[k]) * factor)
        values[k] = np.uint8(np.int32(min(max(mixed, _ZERO), _WHITE)))


@compiled
def gray(pixels: Bytes, interleaved: bool, out: Any) -> None:
    """The luminance of every pixel, truncated, into ``out`` of any dtype."""
    planes = np.empty((3, _TILE), np.float32)
    for start in range(0, out.size, _TILE):
        count = min(_TILE, out.size - start)
        _load(pixels, interleaved, start, count, _ONE, planes)
        red, green, blue, part = planes[0], planes[1], planes[2], out[start : start + count]
        for k in range(count):
            part[k] = np.floor(_luminance(red[k], green[k], blue[k]))


@compiled
def saturate(pixels: Bytes, interleaved: bool, factor: float, rest: float) -> None:
    """Blend every pixel with its truncated luminance."""
    planes = np.empty((3, _TILE), np.float32)
    for start in range(0, pixels.size // 3, _TILE):
        count = min(_TILE, pixels.size // 3 - start)
        _load(pixels, interleaved, start, count, _ONE, planes)
        _saturate(planes, count, factor, rest)
        _store(planes, interleaved, start, count, _ONE, pixels)


@compiled
def shift_hue(pixels: Bytes, interleaved: bool, shift: float) -> None:
    """Turn the hue of every pixel by ``shift`` of the circle."""
    planes = np.empty((3, _TILE), np.float32)
    for start in range(0, pixels.size // 3, _TILE):
        count = min(_TILE, pixels.size // 3 - start)
        _load(pixels, interleaved, start, count, _TO_UNIT, planes)
        shift_hue_planes(planes, count, shift)
        _store(planes, interleaved, start, count, _FROM_UNIT, pixels)


@compiled
def shift_hue_planes(planes: Floats, count: int, shift: float) -> None:
    """The same for the first ``count`` columns of ``[3, n]`` floats in [0, 1].

    RGB to HSV and back with torchvision's operations in torchvision's order. What is not a number ends in the sector
    that it ends in there: the comparisons are turned so that a NaN fails the right ones.
    """
    red, green, blue = planes[0], planes[1], planes[2]
    for k in range(count):
        r, g, b = red[k], green[k], blue[k]
        value = select(g > r, g, select(g == g, r, g))
        value = select(b > value, b, select(b == b, value, b))
        least = select(g < r, g, r)
        least = select(b < least, b, least)
        spread = value - least
        saturation = spread / select(value == least, _ONE, value)
        divisor = select(value == least, _ONE, spread)
        of_red, of_green, of_blue = (value - r) / divisor, (value - g) / divisor, (value - b) / divisor
        hue = select(
            value == r,
            of_blue - of_green,
            select(value == g, of_red + _TWO - of_blue, of_green + _FOUR - of_red),
        )
        hue = hue * _SIXTH + _ONE
        hue = hue - np.floor(hue) + shift
        hue = (hue - np.floor(hue)) * _SIX
        sector = np.floor(hue)
        along = saturation * (hue - sector)
        rest = _ONE - saturation
        falling = _unit((_ONE - along) * value)
        rising = _unit((along + rest) * value)
        low = _unit(rest * value)
        sector = select(sector == _SIX, _ZERO, sector)
        red[k] = select(
            sector < _ONE,
            value,
            select(sector < _TWO, falling, select(sector < _FOUR, low, select(sector >= _FIVE, value, rising))),
        )
        green[k] = select(
            sector < _ONE, rising, select(sector < _THREE, value, select(sector < _FOUR, falling, low))
        )
        blue[k] = select(sector < _TWO, low, select(sector < _THREE, rising, select(sector >= _FIVE, falling, value)))


@compiled
def _unit(value: float) -> float:
    value = select(value < _ZERO, _ZERO, value)
    return select(value > _ONE, _ONE, value)


@compiled
def _luminance(red: float, green: float, blue: float) -> float:
    return fma(blue, _BLUE, fma(green, _GREEN, red * _RED))


@compiled
def _saturate(planes: Floats, count: int, factor: float, rest: float) -> None:
    red, green, blue = planes[0], planes[1], planes[2]
    for k in range(count):
        target = np.floor(_luminance(red[k], green[k], blue[k]))
        red[k] = min(max(fma(target, rest, red[k] * factor), _ZERO), _WHITE)
        green[k] = min(max(fma(target, rest, green[k] * factor), _ZERO), _WHITE)
        blue[k] = min(max(fma(target, rest, blue[k] * factor), _ZERO), _WHITE)


@compiled
def _load(pixels: Bytes, interleaved: bool, start: int, count: int, scale: float, planes: Floats) -> None:
    red, green, blue = planes[0], planes[1], planes[2]
    if interleaved:
        part = pixels[3 * start : 3 * (start + count)]
        for k in range(count):
            red[k] = np.float32(part[3 * k]) * scale
            green[k] = np.float32(part[3 * k + 1]) * scale
            blue[k] = np.float32(part[3 * k + 2]) * scale
    else:
        for channel in range(3):
            first = channel * (pixels.size // 3) + start
            source, plane = pixels[first : first + count], planes[channel]
            for k in range(count):
                plane[k] = np.float32(source[k]) * scale


@compiled
def _store(planes: Floats, interleaved: bool, start: int, count: int, scale: float, pixels: Bytes) -> None:
    red, green, blue = planes[0], planes[1], planes[2]
    if interleaved:
        part = pixels[3 * start : 3 * (start + count)]
        for k in range(count):
            part[3 * k] = np.uint8(np.int32(red[k] * scale))
            part[3 * k + 1] = np.uint8(np.int32(green[k] * scale))
            part[3 * k + 2] = np.uint8(np.int32(blue[k] * scale))
    else:
        for channel in range(3):
            first = channel * (pixels.size // 3) + start
            target, plane = pixels[first : first + count], planes[channel]
            for k in range(count):
                target[k] = np.uint8(np.int32(plane[k] * scale))
