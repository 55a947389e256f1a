"""What steps of colours do to pixels that a Triton kernel holds, and what a step has to know of a whole image.

The arithmetic is that of ``color_loops``, ``histogram_loops`` and ``sharpness_loops``: to be launched with
``enable_fp_fusion=False``. Values are bytes as int32.
"""

from __future__ import annotations

import numpy as np
import triton
import triton.language as tl

from augserve_pipelines.kernels.color_codes import Code
from augserve_pipelines.kernels.fused_triton import fused

(
    NOTHING,
    BRIGHTNESS,
    SATURATION,
    HUE,
    GRAY,
    PERMUTE,
    POSTERIZE,
    SOLARIZE,
    INVERT,
    CONTRAST,
    EQUALIZE,
    AUTOCONTRAST,
    SHARPNESS,
) = (tl.constexpr(int(code)) for code in Code)

_TO_UNIT, _FROM_UNIT, _SIXTH, _RED, _GREEN, _BLUE = (
    tl.constexpr(float(np.float32(value))) for value in (1 / 255, 256 - 1e-3, 1 / 6, 0.2989, 0.587, 0.114)
)


@triton.jit
def blended(value, other, factor, rest, INTERPRETED: tl.constexpr):
    return as_byte(fused(other, rest, value.to(tl.float32) * factor, INTERPRETED))


@triton.jit
def luminance(red, green, blue, INTERPRETED: tl.constexpr):
    """The luminance, truncated."""
    of_red = red.to(tl.float32) * _RED
    of_two = fused(green.to(tl.float32), tl.full([1], _GREEN, tl.float32), of_red, INTERPRETED)
    return fused(blue.to(tl.float32), tl.full([1], _BLUE, tl.float32), of_two, INTERPRETED).to(tl.int32)


@triton.jit
def alone(value, code, factor):
    """A value after a step that takes it by itself."""
    if code == BRIGHTNESS:
        value = as_byte(value.to(tl.float32) * factor)
    elif code == POSTERIZE:
        value = value & factor.to(tl.int32)
    elif code == SOLARIZE:
        value = tl.where(value.to(tl.float32) >= factor, 255 - value, value)
    elif code == INVERT:
        value = 255 - value
    return value


@triton.jit
def picked(channel, red, green, blue):
    return tl.where(channel == 0, red, tl.where(channel == 1, green, blue))


@triton.jit
def turned(red_byte, green_byte, blue_byte, shift):
    """The hue turned; ``color_loops`` has the same, and more that bytes never come to."""
    red, green, blue = (
        red_byte.to(tl.float32) * _TO_UNIT,
        green_byte.to(tl.float32) * _TO_UNIT,
        blue_byte.to(tl.float32) * _TO_UNIT,
    )
    value, least = tl.maximum(tl.maximum(red, green), blue), tl.minimum(tl.minimum(red, green), blue)
    gray, spread = value == least, value - least
    divisor = tl.where(gray, 1.0, spread)
    to_red = tl.div_rn(value - red, divisor)
    to_green = tl.div_rn(value - green, divisor)
    to_blue = tl.div_rn(value - blue, divisor)
    sixths = tl.where(
        value == red,
        to_blue - to_green,
        tl.where(value == green, to_red + 2.0 - to_blue, to_green + 4.0 - to_red),
    )
    hue = sixths * _SIXTH + 1.0
    hue = hue - tl.floor(hue) + shift
    sixths = (hue - tl.floor(hue)) * 6.0
    sector = tl.floor(sixths)
    saturation = tl.div_rn(spread, tl.where(gray, 1.0, value))
    along, rest = saturation * (sixths - sector), 1.0 - saturation
    sector = tl.where(sector == 6.0, 0.0, sector)
    falling, rising, low = _unit((1.0 - along) * value), _unit((along + rest) * value), _unit(rest * value)
    late = sector >= 5.0
    red = tl.where(sector < 2.0, falling, tl.where(sector < 4.0, low, tl.where(late, value, rising)))
    red = tl.where(sector < 1.0, value, red)
    green = tl.where(sector < 3.0, value, tl.where(sector < 4.0, falling, low))
    green = tl.where(sector < 1.0, rising, green)
    blue = tl.where(sector < 3.0, rising, tl.where(late, falling, value))
    blue = tl.where(sector < 2.0, low, blue)
    return (red * _FROM_UNIT).to(tl.int32), (green * _FROM_UNIT).to(tl.int32), (blue * _FROM_UNIT).to(tl.int32)


@triton.jit
def _unit(value):
    return tl.minimum(tl.maximum(value, 0.0), 1.0)


@triton.jit
def sharpened(value, places, row, column, inner, rest, INTERPRETED: tl.constexpr):
    """Values moved by ``rest`` of their way to the mean of their 3 x 3 windows; those at the borders stay."""
    total = 4 * value
    for down in tl.static_range(-1, 2):
        for across in tl.static_range(-1, 2):
            total += tl.load(places + down * row + across * column, mask=inner, other=0).to(tl.int32)
    mean = (2 * total + 13) // 26  # a thirteenth is never near a half
    moved = fused((mean - value).to(tl.float32), rest, value.to(tl.float32), INTERPRETED)
    return tl.where(inner, as_byte(moved), value)


@triton.jit
def mean_luminance(counts, pixels, LANES: tl.constexpr):
    """The mean of the luminance as torch adds it up: see ``color_programs.LANES``."""
    lane = tl.arange(0, LANES)
    left = (pixels % (4 * LANES)).to(tl.int32)
    first, tail = tl.load(counts + lane), tl.sum(lane * 0)
    for row in tl.static_range(4):
        rest = tl.load(counts + (4 + row) * LANES + lane)
        full = (row + 1) * LANES <= left
        first += tl.where(full, rest, 0)
        tail += tl.where(full, 0, tl.sum(rest))
    sums = first.to(tl.float32)
    for row in tl.static_range(1, 4):
        sums += tl.load(counts + row * LANES + lane).to(tl.float32)
    total = tail.to(tl.float32)
    for place in tl.static_range(LANES):
        total += tl.sum(tl.where(lane == place, sums, 0.0))
    return tl.div_rn(total, pixels.to(tl.float32))


@triton.jit
def equalized(counts, level, pixels):
    last = tl.max(tl.where(counts > 0, level, 0))
    step = (pixels - tl.sum(tl.where(level == last, counts, 0))) // 255
    below = tl.cumsum(counts, 0) - counts
    spread = tl.minimum((below + step // 2) // tl.maximum(step, 1), 255)
    return tl.where(step > 0, spread, level)


@triton.jit
def stretched(counts, level):
    low, high = tl.min(tl.where(counts > 0, level, 255)), tl.max(tl.where(counts > 0, level, 0))
    scale = tl.where(low == high, 1.0, (high - low).to(tl.float32) * _TO_UNIT)
    moved = tl.div_rn((level - low).to(tl.float32), tl.zeros_like(level).to(tl.float32) + scale)
    return tl.where(low == high, level, as_byte(moved))


@triton.jit
def as_byte(value):
    return tl.minimum(tl.maximum(value, 0.0), 255.0).to(tl.int32)
