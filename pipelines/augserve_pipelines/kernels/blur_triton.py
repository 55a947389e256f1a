"""Blur a dense batch in one launch, each sample by taps of its own, with the bytes of the CPU."""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

from augserve_pipelines.kernels.fused_triton import as_bytes, fused
from augserve_pipelines.kernels.upload import bring

__all__ = ["blur"]

# A program sums for so many rows and columns at once. It loads each pixel once for all the rows that it counts for, and
# a thread of its one warp makes a weight once for two columns.
_ROWS, _COLUMNS = 8, 64
_MARGINS = 2  # numbers in the table before a sample's taps


def blur(images: Tensor, across: Tensor, down: Tensor) -> Tensor:
    """Blur ``[n, ..., H, W]``, uint8 or float32, mirrored at the borders; row ``i`` by its own taps.

    The weight of a pixel is the product of two taps, and the sum is taken row by row, fused: that of ``convolve`` on
    the CPU. (Two sums, one along each side, would be fewer steps and other bytes.)

    Args:
        images: as they lie; half the number of taps is less than a side.
        across: float32 ``[n, taps]``, on the CPU, an odd number of them.
        down: the same for columns.

    Raises:
        ValueError: there are not as many rows of taps as images, or an image is too small.
    """
    height, width = images.shape[-2:]
    reach = across.shape[1] // 2, down.shape[1] // 2
    if not len(images) == len(across) == len(down):
        raise ValueError(f"there are {len(images)} images, and taps for {len(across)} across and {len(down)} down")
    if images.numel() and (reach[0] >= width or reach[1] >= height):
        raise ValueError(f"images of {height} x {width} are too small for {down.shape[1]} x {across.shape[1]} taps")
    out = torch.empty(images.shape, dtype=images.dtype, device=images.device)
    if out.numel():
        _launch(images.reshape(len(images), -1, height, width), across, down, out)
    return out


def _launch(planes: Tensor, across: Tensor, down: Tensor, out: Tensor) -> None:
    is_bytes = planes.dtype == torch.uint8
    table = torch.cat([_margins(across, down) if is_bytes else torch.zeros(len(planes), _MARGINS), across, down], 1)
    count, each, height, width = planes.shape
    tiles_across = triton.cdiv(width, _COLUMNS)
    tiles = tiles_across * triton.cdiv(height, _ROWS)
    with torch.cuda.device_of(planes):  # Triton launches on the current device
        blur_kernel[(tiles * each * count,)](
            planes,
            out,
            bring(table, planes.device),
            *planes.stride(),
            height,
            width,
            each,
            tiles_across,
            tiles,
            across.shape[1],
            down.shape[1],
            MARGINS=_MARGINS,
            BYTES=is_bytes,
            INTERPRETED=not planes.is_cuda,
            ROWS=_ROWS,
            COLUMNS=_COLUMNS,
            enable_fp_fusion=False,
            num_warps=1,
        )


def _margins(across: Tensor, down: Tensor) -> Tensor:
    """How many taps at either end weigh nothing, across and down: ``[n, 2]``; they add nothing to a sum of bytes."""
    products = across * down.amax(1, keepdim=True), down * across.amax(1, keepdim=True)
    return torch.stack([own[:, : own.shape[1] // 2].eq(0).cumprod(1).sum(1) for own in products], 1).float()


_NUMBERS = ["sample_stride", "plane_stride", "row_stride", "height", "planes", "tiles_across", "tiles", "wide", "tall"]


@triton.jit(do_not_specialize=_NUMBERS)
def blur_kernel(
    image_ptr,
    out_ptr,
    table_ptr,
    sample_stride,
    plane_stride,
    row_stride,
    column_stride,
    height,
    width,
    planes,
    tiles_across,
    tiles,
    wide,
    tall,
    MARGINS: tl.constexpr,
    BYTES: tl.constexpr,
    INTERPRETED: tl.constexpr,
    ROWS: tl.constexpr,
    COLUMNS: tl.constexpr,
):
    program = tl.program_id(0).to(tl.int64)
    tile, plane = program % tiles, program // tiles
    sample = plane // planes
    top, left = (tile // tiles_across * ROWS).to(tl.int32), (tile % tiles_across * COLUMNS).to(tl.int32)
    columns = left + tl.arange(0, COLUMNS)[None, :]
    first, within = columns - wide // 2, columns < width
    each = tl.arange(0, ROWS)[:, None]
    image_ptr += sample * sample_stride + plane % planes * plane_stride
    table_ptr += sample * (MARGINS + wide + tall)
    margin_across, margin_down = tl.load(table_ptr).to(tl.int32), tl.load(table_ptr + 1).to(tl.int32)
    across_ptr, down_ptr = table_ptr + MARGINS, table_ptr + MARGINS + wide
    total = tl.zeros((ROWS, COLUMNS), tl.float32)
    for step in range(margin_down, ROWS + tall - 1 - margin_down):  # a row of pixels, which counts for rows of results
        place = step - each
        counts = (place >= 0) & (place < tall)
        taps = tl.load(down_ptr + place, mask=counts, other=0.0)
        row = height - 1 - tl.abs(height - 1 - tl.abs(top + step - tall // 2))  # mirrored at the borders
        row_ptr = image_ptr + tl.maximum(row, 0).to(tl.int64) * row_stride
        for tap in range(margin_across, wide - margin_across):
            column = width - 1 - tl.abs(width - 1 - tl.abs(first + tap))
            pixels = tl.load(row_ptr + column.to(tl.int64) * column_stride, mask=within, other=0).to(tl.float32)
            added = fused(pixels, taps * tl.load(across_ptr + tap), total, INTERPRETED)
            total = added if BYTES else tl.where(counts, added, total)  # 0 times what is not finite is not 0
    rows = top + each
    places = out_ptr + (plane * height + rows) * width + columns
    tl.store(places, as_bytes(total) if BYTES else total, mask=within & (rows < height))
