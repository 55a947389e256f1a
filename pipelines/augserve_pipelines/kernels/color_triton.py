"""Colours of uint8 images by programs, one for each image: Triton kernels.

``color_programs`` cuts programs into segments and describes each as a job. A segment is one launch over all images:
it begins with at most one step that has to know the whole image, does the steps after it on pixels in registers, and
counts what the next segment has to know. The arithmetic is that of ``color_loops``, ``histogram_loops`` and
``sharpness_loops``: launch with ``enable_fp_fusion=False``.
"""

from __future__ import annotations

import triton
import triton.language as tl

from augserve_pipelines.kernels.color_codes import Column
from augserve_pipelines.kernels.color_steps_triton import (
    CONTRAST,
    EQUALIZE,
    GRAY,
    HUE,
    NOTHING,
    PERMUTE,
    SATURATION,
    SHARPNESS,
    alone,
    as_byte,
    blended,
    equalized,
    luminance,
    mean_luminance,
    picked,
    sharpened,
    stretched,
    turned,
)

_COLUMNS = tl.constexpr(len(Column))
(
    _SOURCE,
    _SOURCE_CHANNEL,
    _SOURCE_PIXEL,
    _TARGET,
    _TARGET_CHANNEL,
    _TARGET_PIXEL,
    _HEIGHT,
    _WIDTH,
    _IMAGE,
    _HEAD,
    _HEAD_STEP,
    _BEGIN,
    _END,
    _NEXT,
    _NEXT_STEP,
    _ORDER_CHANNEL,
    _ORDER_PIXEL,
    _TWICE_FROM,
    _TWICE_TO,
) = (tl.constexpr(int(column)) for column in Column)


@triton.jit
def segment_kernel(
    jobs,  # [n, columns] int64
    codes,  # [steps] int32
    factors,  # [steps, 2] float32
    levels,  # [images, 3, 256] uint8, where a segment begins with contrast, equalize or autocontrast
    statistics,  # [gathering, 768] int32, zeros; the jobs that gather come first
    CHANNELS: tl.constexpr,  # 1 or 3
    FLAT: tl.constexpr,  # all images lie channel by channel, and addresses and sizes are multiples of 16
    INTERPRETED: tl.constexpr,
    PERIOD: tl.constexpr,
    BLOCK: tl.constexpr,
):
    """Do one segment of the program of each image: program (job, tile) takes ``BLOCK`` pixels."""
    job = jobs + tl.program_id(0) * _COLUMNS
    width = tl.load(job + _WIDTH)
    pixels = tl.load(job + _HEIGHT) * width
    start = tl.program_id(1).to(tl.int64) * BLOCK
    if start >= pixels:
        return
    source = tl.load(job + _SOURCE).to(tl.pointer_type(tl.uint8))
    target = tl.load(job + _TARGET).to(tl.pointer_type(tl.uint8))
    if FLAT:
        pixels = tl.multiple_of(pixels, 16)
        source, target = tl.multiple_of(source, 16), tl.multiple_of(target, 16)
        source_channel, source_pixel, target_channel, target_pixel = pixels, 1, pixels, 1
    else:
        source_channel, source_pixel = tl.load(job + _SOURCE_CHANNEL), tl.load(job + _SOURCE_PIXEL)
        target_channel, target_pixel = tl.load(job + _TARGET_CHANNEL), tl.load(job + _TARGET_PIXEL)
    offsets = start + tl.arange(0, BLOCK)
    mask = offsets < pixels
    head = tl.load(job + _HEAD)

    places = source + offsets * source_pixel
    red = tl.load(places, mask=mask, other=0).to(tl.int32)
    green, blue = red, red
    if CHANNELS == 3:
        green = tl.load(places + source_channel, mask=mask, other=0).to(tl.int32)
        blue = tl.load(places + 2 * source_channel, mask=mask, other=0).to(tl.int32)
    if head == SHARPNESS:
        rest = tl.load(factors + 2 * tl.load(job + _HEAD_STEP) + 1)
        place, across = offsets.to(tl.int32), width.to(tl.int32)
        x, y = place % across, place // across
        inner = mask & (x > 0) & (x < width - 1) & (y > 0) & (y < tl.load(job + _HEIGHT) - 1)
        red = sharpened(red, places, width * source_pixel, source_pixel, inner, rest, INTERPRETED)
        if CHANNELS == 3:
            places += source_channel
            green = sharpened(green, places, width * source_pixel, source_pixel, inner, rest, INTERPRETED)
            places += source_channel
            blue = sharpened(blue, places, width * source_pixel, source_pixel, inner, rest, INTERPRETED)
    elif head != NOTHING:
        table = levels + tl.load(job + _IMAGE) * 768
        order_channel, order = tl.load(job + _ORDER_CHANNEL), offsets * tl.load(job + _ORDER_PIXEL)
        red = _looked_up(red, table, head, 0, job, order, mask)
        if CHANNELS == 3:
            green = _looked_up(green, table, head, 1, job, order + order_channel, mask)
            blue = _looked_up(blue, table, head, 2, job, order + 2 * order_channel, mask)

    for step in range(tl.load(job + _BEGIN).to(tl.int32), tl.load(job + _END).to(tl.int32)):
        code, factor = tl.load(codes + step), tl.load(factors + 2 * step)
        if CHANNELS == 1:
            red = alone(red, code, factor)
        else:
            if code == HUE:
                red, green, blue = turned(red, green, blue, factor)
            elif code == SATURATION:
                gray = luminance(red, green, blue, INTERPRETED).to(tl.float32)
                rest = tl.load(factors + 2 * step + 1)
                red = blended(red, gray, factor, rest, INTERPRETED)
                green = blended(green, gray, factor, rest, INTERPRETED)
                blue = blended(blue, gray, factor, rest, INTERPRETED)
            elif code == GRAY:
                red = luminance(red, green, blue, INTERPRETED)
                green, blue = red, red
            elif code == PERMUTE:
                order = factor.to(tl.int32)
                red, green, blue = (
                    picked(order % 3, red, green, blue),
                    picked(order // 3 % 3, red, green, blue),
                    picked(order // 9, red, green, blue),
                )
            else:
                red, green, blue = alone(red, code, factor), alone(green, code, factor), alone(blue, code, factor)

    if tl.load(job + _TARGET) != 0:
        places = target + offsets * target_pixel
        tl.store(places, red.to(tl.uint8), mask=mask)
        if CHANNELS == 3:
            tl.store(places + target_channel, green.to(tl.uint8), mask=mask)
            tl.store(places + 2 * target_channel, blue.to(tl.uint8), mask=mask)

    gathers = tl.load(job + _NEXT)
    counts = statistics + tl.program_id(0).to(tl.int64) * 768
    if gathers == CONTRAST:
        gray = red
        if CHANNELS == 3:
            gray = luminance(red, green, blue, INTERPRETED)
        _add_sums(gray, counts, offsets, pixels, PERIOD, BLOCK)
    elif gathers != NOTHING:
        _add_counts(red, counts, mask)
        if CHANNELS == 3:
            _add_counts(green, counts + 256, mask)
            _add_counts(blue, counts + 512, mask)


@triton.jit
def levels_kernel(
    jobs,  # [n, columns] int64
    factors,  # [steps, 2] float32
    statistics,  # [n, 768] int32
    levels,  # [images, 3, 256] uint8
    CHANNELS: tl.constexpr,
    INTERPRETED: tl.constexpr,
    LANES: tl.constexpr,
):
    """Write what becomes of each byte in the step that the next segment begins with: one program for each job.

    For equalize and autocontrast by channel; for contrast once where sums are fused, and once where they are not.
    """
    job = jobs + tl.program_id(0) * _COLUMNS
    counts = statistics + tl.program_id(0).to(tl.int64) * 768
    level = tl.arange(0, 256)
    table = levels + tl.load(job + _IMAGE) * 768 + level
    pixels = tl.load(job + _HEIGHT) * tl.load(job + _WIDTH)
    gathered = tl.load(job + _NEXT)
    if gathered == CONTRAST:
        step = factors + 2 * tl.load(job + _NEXT_STEP)
        factor, rest = tl.load(step), tl.load(step + 1)
        mean = mean_luminance(counts, pixels, LANES)
        tl.store(table, blended(level, mean, factor, rest, INTERPRETED).to(tl.uint8))
        plain = level.to(tl.float32) * factor + mean * rest
        tl.store(table + 256, as_byte(plain).to(tl.uint8))
    else:
        for channel in tl.static_range(CHANNELS):
            found = tl.load(counts + channel * 256 + level)
            spread = stretched(found, level)
            if gathered == EQUALIZE:
                spread = equalized(found, level, pixels.to(tl.int32))
            tl.store(table + channel * 256, spread.to(tl.uint8))


@triton.jit
def _looked_up(value, table, head, channel: tl.constexpr, job, order, mask):
    twice = (order >= tl.load(job + _TWICE_FROM)) & (order < tl.load(job + _TWICE_TO))
    part = tl.where(head == CONTRAST, twice.to(tl.int32), channel)
    return tl.load(table + part * 256 + value, mask=mask, other=0).to(tl.int32)


@triton.jit
def _add_sums(gray, counts, offsets, pixels, PERIOD: tl.constexpr, BLOCK: tl.constexpr):
    """Add up each of the sums that torch's mean keeps; pixels after the last whole period are kept apart."""
    whole = pixels // PERIOD * PERIOD
    lane = tl.arange(0, PERIOD)
    kept = tl.where(offsets < whole, gray, 0)
    tl.atomic_add(counts + lane, tl.sum(tl.reshape(kept, (BLOCK // PERIOD, PERIOD)), 0), sem="relaxed")
    left = tl.where((offsets >= whole) & (offsets < pixels), gray, 0)
    left = tl.sum(tl.reshape(left, (BLOCK // PERIOD, PERIOD)), 0)
    tl.atomic_add(counts + PERIOD + lane, left, mask=left > 0, sem="relaxed")


@triton.jit
def _add_counts(value, counts, mask):
    found = tl.histogram(value, 256, mask=mask)
    tl.atomic_add(counts + tl.arange(0, 256), found, mask=found > 0, sem="relaxed")
