"""Warp a dense batch in one launch, each sample by a map of its own, with the bytes of ``grid_sample`` on the CPU."""

from __future__ import annotations

from typing import Literal, TypeAlias

import torch
import triton
import triton.language as tl
from torch import Tensor

from augserve_pipelines.kernels.fused_triton import as_bytes, fused, nearest_integer
from augserve_pipelines.kernels.upload import bring

__all__ = ["DTYPES", "displace", "warp"]

Map: TypeAlias = Literal["affine", "perspective", "field"]

DTYPES = (torch.uint8, torch.float32)
_BLOCK = 16, 32  # rows and columns of a tile; 32 bytes are what memory gives at once
_NUMBERS = 9  # of a sample in the table before its colours: up to eight of its map, and whether it blends


def warp(images: Tensor, steps: Tensor, size: tuple[int, int], nearest: bool, blends: Tensor, colors: Tensor) -> Tensor:
    """Map ``[n, ..., C, H, W]`` to ``[n, ..., C, *size]``, uint8 or float32; row ``i`` by ``steps[i]``.

    Args:
        images: as they lie.
        steps: float32 ``[n, 6]`` or ``[n, 8]``, on the CPU: of the points (x, y), in units of half the image from its
            edge to its middle, what a pixel across, a pixel down and the start add to x, then to y. Six are from the
            middle of the result to that of the image; eight from corner to corner, with what a pixel across and a
            pixel down add to 1, by which (x, y) are divided.
        size: height and width of the results.
        nearest: whether pixels are picked, not blended.
        blends: bool ``[n]``, on the CPU: whether the colour is blended in by how much of a pixel lies inside; else what
            lies outside counts as 0.
        colors: float32 ``[n, C]``, on the CPU: of what lies outside; 0 where it is not blended in.
    """
    kind: Map = "affine" if steps.shape[1] == 6 else "perspective"
    return _launched(images, steps, size, nearest, blends, colors, kind, images, images, images)


def displace(
    images: Tensor, field: Tensor, centers: tuple[Tensor, Tensor], nearest: bool, blends: Tensor, colors: Tensor
) -> Tensor:
    """Take the pixels of ``[n, ..., C, H, W]`` from where a field says; see ``warp``.

    Args:
        images: as they lie.
        field: float32 ``[n, 2, H, W]`` or ``[1, 2, H, W]``, on the images' device: across, then down, in halves of the
            image.
        centers: of the columns ``[W]`` and of the rows ``[H]``, -1 to 1: float32.
        nearest: whether pixels are picked, not blended.
        blends: bool ``[n]``.
        colors: float32 ``[n, C]``.
    """
    size = images.shape[-2], images.shape[-1]
    if field.shape[1:] != (2, *size) or len(field) not in (1, len(images)):
        raise ValueError(f"the field is of shape {[*field.shape]}; {[len(images), 2, *size]} is needed")
    x, y = (own.to(images.device) for own in centers)
    steps = torch.empty(len(images), 0)
    field = field.contiguous().expand(len(images), -1, -1, -1)
    return _launched(images, steps, size, nearest, blends, colors, "field", field, x, y)


def _launched(
    images: Tensor,
    steps: Tensor,
    size: tuple[int, int],
    nearest: bool,
    blends: Tensor,
    colors: Tensor,
    kind: Map,
    field: Tensor,
    x: Tensor,
    y: Tensor,
) -> Tensor:
    if images.dtype not in DTYPES:
        raise TypeError(f"images are {images.dtype}; {DTYPES} can be warped here")
    count, channels = len(images), images.shape[-3]
    out = images.new_empty((*images.shape[:-2], *size))
    if not out.numel():
        return out
    planes = images.reshape(count, -1, *images.shape[-2:])
    together = next(number for number in (4, 3, 2, 1) if planes.shape[1] % number == 0)
    groups, across = planes.shape[1] // together, triton.cdiv(size[1], _BLOCK[1])
    tiles = across * triton.cdiv(size[0], _BLOCK[0])
    with torch.cuda.device_of(planes):  # Triton launches on the current device
        warp_kernel[(tiles * groups * count,)](
            planes,
            out,
            bring(_table(steps, blends, colors), images.device),
            field,
            x,
            y,
            *planes.stride(),
            field.stride(0),
            *images.shape[-2:],
            *size,
            channels,
            groups,
            across,
            tiles,
            MAP=kind,
            NEAREST=nearest,
            BYTES=images.dtype == torch.uint8,
            PLANES=together,
            NUMBERS=_NUMBERS,
            INTERPRETED=not images.is_cuda,
            BLOCK_Y=_BLOCK[0],
            BLOCK_X=_BLOCK[1],
            enable_fp_fusion=False,
        )
    return out


def _table(steps: Tensor, blends: Tensor, colors: Tensor) -> Tensor:
    """All numbers of the samples as one tensor, so that one copy brings them over: ``[n, 9 + C]``."""
    table = torch.zeros(len(blends), _NUMBERS + colors.shape[1])
    table[:, : steps.shape[1]] = steps
    table[:, _NUMBERS - 1] = blends
    table[:, _NUMBERS:] = colors
    return table


_SIZES = ["sample_stride", "plane_stride", "row_stride", "field_stride", "height", "width", "out_height", "channels"]


@triton.jit(do_not_specialize=[*_SIZES, "groups", "tiles_across", "tiles"])
def warp_kernel(
    image_ptr,
    out_ptr,
    table_ptr,
    field_ptr,
    x_ptr,
    y_ptr,
    sample_stride,
    plane_stride,
    row_stride,
    column_stride,
    field_stride,
    height,
    width,
    out_height,
    out_width,
    channels,
    groups,
    tiles_across,
    tiles,
    MAP: tl.constexpr,
    NEAREST: tl.constexpr,
    BYTES: tl.constexpr,
    PLANES: tl.constexpr,
    NUMBERS: tl.constexpr,
    INTERPRETED: tl.constexpr,
    BLOCK_Y: tl.constexpr,
    BLOCK_X: tl.constexpr,
):
    program = tl.program_id(0).to(tl.int64)
    tile, group = program % tiles, program // tiles
    sample, first = group // groups, group % groups * PLANES
    rows = tile // tiles_across * BLOCK_Y + tl.arange(0, BLOCK_Y)[:, None]
    columns = tile % tiles_across * BLOCK_X + tl.arange(0, BLOCK_X)[None, :]
    mask = (rows < out_height) & (columns < out_width)
    table_ptr += sample * (NUMBERS + channels)
    if MAP == "field":
        field_ptr += sample * field_stride
        x, y = displaced(field_ptr, x_ptr, y_ptr, rows, columns, out_height, out_width, mask)
    else:
        x, y = mapped(table_ptr, rows, columns, out_height, out_width, MAP)
    x = fused(x + 1.0, width * 0.5, -0.5, INTERPRETED)
    y = fused(y + 1.0, height * 0.5, -0.5, INTERPRETED)
    image_ptr += sample * sample_stride + first * plane_stride
    out_ptr += (sample * groups * PLANES + first) * out_height * out_width
    blends = tl.load(table_ptr + NUMBERS - 1) != 0
    for plane in tl.static_range(PLANES):
        color = tl.load(table_ptr + NUMBERS + (first + plane) % channels)
        if NEAREST:
            value = picked(image_ptr, x, y, row_stride, column_stride, height, width, color, mask)
        else:
            value = blended(image_ptr, x, y, row_stride, column_stride, height, width, color, blends, mask, INTERPRETED)
        tl.store(out_ptr + rows * out_width + columns, as_bytes(value) if BYTES else value, mask=mask)
        image_ptr += plane_stride
        out_ptr += out_height.to(tl.int64) * out_width


@triton.jit
def mapped(table_ptr, rows, columns, out_height, out_width, MAP: tl.constexpr):
    """Where pixels lie in the image, -1 to 1 from edge to edge; every operation is rounded."""
    x, y = columns.to(tl.float32) + 0.5, rows.to(tl.float32) + 0.5
    if MAP == "affine":
        x, y = x - out_width * 0.5, y - out_height * 0.5
    across = weighted(table_ptr, x, y) + tl.load(table_ptr + 2)
    down = weighted(table_ptr + 3, x, y) + tl.load(table_ptr + 5)
    if MAP == "perspective":
        divisor = weighted(table_ptr + 6, x, y) + 1.0
        across, down = tl.div_rn(across, divisor) - 1.0, tl.div_rn(down, divisor) - 1.0
    return across, down


@triton.jit
def weighted(steps_ptr, x, y):
    return x * tl.load(steps_ptr) + y * tl.load(steps_ptr + 1)


@triton.jit
def displaced(field_ptr, x_ptr, y_ptr, rows, columns, out_height, out_width, mask):
    """The same where a field says by how much each pixel differs from its own place."""
    places = field_ptr + rows * out_width + columns
    across = tl.load(places, mask=mask, other=0.0)
    down = tl.load(places + out_height.to(tl.int64) * out_width, mask=mask, other=0.0)
    x = tl.load(x_ptr + columns, mask=columns < out_width, other=0.0)
    y = tl.load(y_ptr + rows, mask=rows < out_height, other=0.0)
    return x + across, y + down


@triton.jit
def picked(image_ptr, x, y, row_stride, column_stride, height, width, color, mask):
    x, y = nearest_integer(x), nearest_integer(y)
    inside = is_inside(x, y, height, width)
    value = at(image_ptr, x, y, row_stride, column_stride, inside, mask)
    return tl.where(inside, value, color)


@triton.jit
def blended(image_ptr, x, y, row_stride, column_stride, height, width, color, blends, mask, INTERPRETED: tl.constexpr):
    """Of the four pixels around, the weighted sum in the order in which ``grid_sample`` fuses it on the CPU."""
    left, top = tl.floor(x), tl.floor(y)
    right, bottom = left + 1.0, top + 1.0
    x_share, y_share = x - left, y - top
    upper, lower = 1.0 - y_share, y_share
    value = tl.zeros_like(x)
    inside = tl.zeros_like(x)
    for corner in tl.static_range(4):
        own_x, own_y = (right if corner % 2 else left), (bottom if corner // 2 else top)
        weight = (x_share if corner % 2 else 1.0 - x_share) * (lower if corner // 2 else upper)
        within = is_inside(own_x, own_y, height, width)
        pixel = at(image_ptr, own_x, own_y, row_stride, column_stride, within, mask)
        value = fused(pixel, weight, value, INTERPRETED)
        inside = fused(tl.where(within, 1.0, 0.0), weight, inside, INTERPRETED)
    return tl.where(blends, (value - color) * inside + color, value)


@triton.jit
def is_inside(x, y, height, width):
    return (x >= 0.0) & (x < width) & (y >= 0.0) & (y < height)


@triton.jit
def at(image_ptr, x, y, row_stride, column_stride, inside, mask):
    """The pixel at whole numbers, 0 outside the image; what is not finite is outside."""
    row, column = tl.where(inside, y, 0.0).to(tl.int32), tl.where(inside, x, 0.0).to(tl.int32)
    place = row.to(tl.int64) * row_stride + column.to(tl.int64) * column_stride
    return tl.load(image_ptr + place, mask=inside & mask, other=0).to(tl.float32)
