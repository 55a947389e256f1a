"""Crop, resize, crop, mirror and look up values: a ragged batch in one launch, with the bytes of ``resize_uint8``.

A program makes a tile of one image's result, all channels of a pixel with the same weights. One axis is resampled into
bytes first, as both libraries round there, and again for every tile that needs it: a row of the source feeds two rows
of the result (four by bicubic, six by lanczos), whatever the scale, so what is done twice is bounded, and nothing is
kept in memory between the passes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
import triton
import triton.language as tl
from numpy.typing import NDArray
from torch import Tensor

from augserve_pipelines.kernels.launching import interpreting
from augserve_pipelines.kernels.tap_tables import tables_on
from augserve_pipelines.kernels.upload import upload
from augserve_pipelines.kernels.windows import Windows, described, one_channel_each

__all__ = ["launcher", "lookup_batch", "lookup_kernel", "resample_batch", "resample_kernel"]

# A warp along the axis that is resampled first, the width mostly, and few sums to a thread: on an H100 tiles of 2 x 32
# by one warp make 2.5 times the images a second of 16 x 32 by four, whose registers leave no room for more warps.
TILE, WARPS = (2, 32), 1
INTERPRETED_TILE = (16, 32)  # the interpreter takes a millisecond for a program, whatever its size
LOOKUP_WARPS = 4
MOST_CHANNELS = 4  # whose sums one program keeps
BLOCK = 1024  # values that a program looks up


def resample_batch(images: Sequence[Tensor], windows: Windows, out: Tensor, tables: Tensor | None = None) -> None:
    """``out[i] = tables[i][resampled images[i]]`` in one launch, behind what runs on the images' device.

    Args:
        images: N uint8 images ``[..., C, H, W]`` of any sizes and layouts, on one device.
        windows: N rows.
        out: ``[N, ..., C, h, w]`` in any layout: bytes, or of the tables' dtype.
        tables: ``[N or 1, C, 256]`` on the CPU: what becomes of each byte of each channel.
    """
    if out.numel():
        launcher(images, windows, out, tables)()


def launcher(
    images: Sequence[Tensor], windows: Windows, out: Tensor, tables: Tensor | None = None
) -> Callable[[], None]:
    """What ``resample_batch`` launches, all that the device is told being there: it may be launched again."""
    if out.ndim > 4:
        images, windows, tables = _frames(images, windows, tables)
        out = out.view(-1, *out.shape[-3:])
    table_step = 0 if tables is None or len(tables) == 1 else tables[0].numel()
    rows, taps = described(images, windows, out, table_step, tables_on(out.device))
    channels, height, width = out.shape[1:]
    if channels > MOST_CHANNELS:
        rows, channels = one_channel_each(rows, channels, tables is not None), 1
    arrays: list[NDArray[Any]] = [rows] if tables is None else [rows, _bytes(tables)]
    numbers, *values = upload(arrays, out.device)
    looked_up = values[0].view(out.dtype) if values else out
    tile = INTERPRETED_TILE if interpreting() else TILE
    tiles = max(_tiles(height, width, tile), _tiles(width, height, tile))
    constants = {
        "FIELDS": rows.shape[1],
        "CHANNELS": channels,
        "SIDE_BY_SIDE": channels == 1 or bool((rows[:, 1] == 1).all()),
        "TABLES": tables is not None,
        "BLOCK_SECOND": tile[0],
        "BLOCK_FIRST": tile[1],
    }

    def launch() -> None:
        with torch.cuda.device_of(out):
            grid = (len(rows) * tiles,)
            if taps.is_cuda:
                taps.record_stream(torch.cuda.current_stream())
            resample_kernel[grid](
                numbers, taps, looked_up, out, tiles, **constants, num_warps=WARPS, enable_fp_fusion=False
            )

    return launch


def lookup_batch(x: Tensor, tables: Tensor, out: Tensor) -> None:
    """``out[n, ..., c] = tables[n][c][x[n, ..., c]]`` in one launch, behind what runs on the images' device.

    Args:
        x: uint8 ``[N, ..., C, H, W]`` in any layout.
        tables: ``[N or 1, C, 256]`` on the CPU.
        out: of the shape of ``x`` and the dtype of the tables, in any layout.
    """
    if not (x.is_contiguous() and out.is_contiguous()):
        resample_batch(list(x), Windows.whole(len(x), *x.shape[-2:]), out, tables)
    elif out.numel():
        (values,) = upload([_bytes(tables)], out.device)
        channels, pixels = x.shape[-3], x.shape[-2] * x.shape[-1]
        blocks = triton.cdiv(pixels, BLOCK)
        sample_planes = x[0].numel() // pixels if len(tables) > 1 else x.numel()
        with torch.cuda.device_of(out):
            numbers = pixels, blocks, channels, sample_planes
            grid = (x.numel() // pixels * blocks,)
            lookup_kernel[grid](x, values.view(out.dtype), out, *numbers, BLOCK=BLOCK, num_warps=LOOKUP_WARPS)


@triton.jit
def _axis(row):
    """Eight numbers of an axis; see ``windows.described``."""
    return (
        tl.load(row),
        tl.load(row + 1).to(tl.int32),
        tl.load(row + 2),
        tl.load(row + 3).to(tl.int32),
        tl.load(row + 4),
        tl.load(row + 5),
        tl.load(row + 6).to(tl.int32),
        tl.load(row + 7).to(tl.int32),
    )


@triton.jit
def _byte(sums, bits):
    return tl.minimum(tl.maximum(sums >> bits, 0), 255)


@triton.jit
def _put(sums, bits, values, out, inside, TABLES: tl.constexpr):
    byte = _byte(sums, bits)
    result = tl.load(values + byte, mask=inside) if TABLES else byte.to(tl.uint8)
    tl.store(out, result, mask=inside)


@triton.jit(do_not_specialize=["tiles"])
def resample_kernel(
    rows_ptr,
    taps_ptr,
    values_ptr,
    out_ptr,
    tiles,
    FIELDS: tl.constexpr,
    CHANNELS: tl.constexpr,
    SIDE_BY_SIDE: tl.constexpr,
    TABLES: tl.constexpr,
    BLOCK_SECOND: tl.constexpr,
    BLOCK_FIRST: tl.constexpr,
):
    """A tile of one image. ``first`` and ``second`` are the axes in the order in which they are resampled."""
    tile = tl.program_id(0) % tiles
    row = rows_ptr + (tl.program_id(0) // tiles).to(tl.int64) * FIELDS
    source = tl.load(row).to(tl.pointer_type(tl.uint8))
    channel = 1 if SIDE_BY_SIDE else tl.load(row + 1)
    out, out_channel = out_ptr + tl.load(row + 2), tl.load(row + 3)
    values = values_ptr + tl.load(row + 4)
    step_2, last_2, out_step_2, size_2, place_2, tap_step_2, taps_2, bits_2 = _axis(row + 5)
    step_1, last_1, out_step_1, size_1, place_1, tap_step_1, taps_1, bits_1 = _axis(row + 13)

    tiles_1 = tl.cdiv(size_1, BLOCK_FIRST)
    at_2 = (tile // tiles_1) * BLOCK_SECOND + tl.arange(0, BLOCK_SECOND)
    at_1 = (tile % tiles_1) * BLOCK_FIRST + tl.arange(0, BLOCK_FIRST)
    inside = (at_2 < size_2)[:, None] & (at_1 < size_1)[None, :]
    # beyond the result's edge the last pixel is made again, and not stored: no load needs a mask
    taps_of_2 = taps_ptr + place_2 + tl.minimum(at_2, size_2 - 1)
    taps_of_1 = taps_ptr + place_1 + tl.minimum(at_1, size_1 - 1)
    start_2, start_1 = tl.load(taps_of_2), tl.load(taps_of_1)

    half_1 = tl.full((BLOCK_SECOND, BLOCK_FIRST), 1, tl.int32) << (bits_1 - 1)
    half_2 = tl.full((BLOCK_SECOND, BLOCK_FIRST), 1, tl.int32) << (bits_2 - 1)
    sum_a, sum_b, sum_c, sum_d = half_2, half_2, half_2, half_2
    for tap_2 in range(taps_2):
        taps_of_2 += tap_step_2
        weight_2 = tl.load(taps_of_2)[:, None]
        # past an edge the weight is 0, and the last pixel of the window is read again: nothing outside it is
        lines = (
            source + tl.minimum(start_2 + tap_2, last_2) * step_2
        )  # 64 bits: an image may have more bytes than 32 count
        part_a, part_b, part_c, part_d = half_1, half_1, half_1, half_1
        weights_of_1 = taps_of_1
        for tap_1 in range(taps_1):
            weights_of_1 += tap_step_1
            weight_1 = tl.load(weights_of_1)[None, :]
            pixels = lines[:, None] + (tl.minimum(start_1 + tap_1, last_1) * step_1)[None, :]
            part_a += tl.load(pixels).to(tl.int32) * weight_1
            if CHANNELS > 1:
                part_b += tl.load(pixels + channel).to(tl.int32) * weight_1
            if CHANNELS > 2:
                part_c += tl.load(pixels + 2 * channel).to(tl.int32) * weight_1
            if CHANNELS > 3:
                part_d += tl.load(pixels + 3 * channel).to(tl.int32) * weight_1
        sum_a += _byte(part_a, bits_1) * weight_2
        if CHANNELS > 1:
            sum_b += _byte(part_b, bits_1) * weight_2
        if CHANNELS > 2:
            sum_c += _byte(part_c, bits_1) * weight_2
        if CHANNELS > 3:
            sum_d += _byte(part_d, bits_1) * weight_2

    out += (at_2 * out_step_2)[:, None] + (at_1 * out_step_1)[None, :]
    _put(sum_a, bits_2, values, out, inside, TABLES)
    if CHANNELS > 1:
        _put(sum_b, bits_2, values + 256, out + out_channel, inside, TABLES)
    if CHANNELS > 2:
        _put(sum_c, bits_2, values + 512, out + 2 * out_channel, inside, TABLES)
    if CHANNELS > 3:
        _put(sum_d, bits_2, values + 768, out + 3 * out_channel, inside, TABLES)


@triton.jit(do_not_specialize=["pixels", "blocks", "channels", "sample_planes"])
def lookup_kernel(x_ptr, values_ptr, out_ptr, pixels, blocks, channels, sample_planes, BLOCK: tl.constexpr):
    """A piece of one plane; ``sample_planes`` planes in a row share the tables of their channels."""
    plane = tl.program_id(0) // blocks
    at = (tl.program_id(0) % blocks) * BLOCK + tl.arange(0, BLOCK)
    inside = at < pixels
    start = plane.to(tl.int64) * pixels
    values = values_ptr + (plane // sample_planes * channels + plane % channels) * 256
    byte = tl.load(x_ptr + start + at, mask=inside, other=0).to(tl.int32)
    tl.store(out_ptr + start + at, tl.load(values + byte, mask=inside), mask=inside)


def _frames(
    images: Sequence[Tensor], windows: Windows, tables: Tensor | None
) -> tuple[list[Tensor], Windows, Tensor | None]:
    """The frames of videos as images."""
    frames = [frame for image in images for frame in image.flatten(0, -4)]
    count = len(frames) // len(images)
    if tables is not None and len(tables) > 1:
        tables = tables.repeat_interleave(count, 0)
    return frames, windows.repeated(count), tables


def _bytes(tables: Tensor) -> NDArray[np.uint8]:
    values: NDArray[np.uint8] = tables.contiguous().view(torch.uint8).numpy()  # NumPy knows no bfloat16
    return values


def _tiles(second: int, first: int, tile: tuple[int, int]) -> int:
    return -(-second // tile[0]) * -(-first // tile[1])
