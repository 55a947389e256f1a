"""Warps: where the pixels of a result lie in the image, and what the image holds there."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cache

import torch
from torch import Tensor
from torch.nn import functional as F

from augserve_pipelines.interpolation import InterpolationMode
from augserve_pipelines.transforms.fill import Color, values_of

__all__ = ["Matrix", "affine_points", "inverse_matrix", "warp_affinely", "warped"]

Matrix = list[list[float]]  # [2, 3]: (x, y, 1) to (x, y), in pixels from the centre of the image
Size = tuple[int, int]  # height, width


def inverse_matrix(
    angle: float, translate: Sequence[float], scale: float, shear: Sequence[float], center: Sequence[float]
) -> Matrix:
    """From points of the result to points of the image, for a forward map of translate · rotate · scale · shear.

    Args:
        angle: degrees, clockwise.
        translate: pixels to the right and down.
        scale: factor, greater than 0.
        shear: degrees along x and along y.
        center: the fixed point of rotation, scale and shear, in pixels from the centre of the image.
    """
    turn, shear_x, shear_y = math.radians(angle), math.radians(shear[0]), math.radians(shear[1])
    # The linear part without scale has determinant 1. Every rounding is torchvision's, so the order of terms stays.
    xx = math.cos(turn - shear_y) / math.cos(shear_y)
    xy = -(xx * math.tan(shear_x) + math.sin(turn))
    yx = math.sin(turn - shear_y) / math.cos(shear_y)
    yy = math.cos(turn) - yx * math.tan(shear_x)
    (x, y), (right, down) = center, translate
    x_row, y_row = (yy / scale, -xy / scale), (-yx / scale, xx / scale)
    return [
        [*x_row, x - x_row[0] * (x + right) - x_row[1] * (y + down)],
        [*y_row, y - y_row[0] * (x + right) - y_row[1] * (y + down)],
    ]


def warp_affinely(
    image: Tensor, matrices: Sequence[Matrix], size: Size, interpolation: InterpolationMode, fill: Color
) -> Tensor:
    """``[n, ..., C, H, W]`` to ``[n, ..., C, *size]``; row ``i`` by the inverse ``matrices[i]``."""
    dtype = image.dtype if image.is_floating_point() else torch.float32
    theta = torch.tensor(matrices, dtype=dtype, device=image.device)  # [n, 2, 3]
    if image.is_cuda or len(image) == 1:
        return _warp_at_once(image, theta, size, interpolation, fill)
    # The points and planes of one sample stay in cache: a photograph of 480 x 640 takes 4.6 ms together with three
    # others, 2.2 ms alone (uint8, nearest, Zen 4).
    result = image.new_empty((*image.shape[:-2], *size))
    for row in (slice(start, start + 1) for start in range(len(image))):
        result[row] = _warp_at_once(image[row], theta[row], size, interpolation, fill)
    return result


def _warp_at_once(image: Tensor, theta: Tensor, size: Size, interpolation: InterpolationMode, fill: Color) -> Tensor:
    return warped(image, affine_points(theta, (image.shape[-2], image.shape[-1]), size), interpolation, fill)


def affine_points(theta: Tensor, image_size: Size, size: Size) -> Tensor:
    """Where the pixels of results of ``size`` lie in the image, -1 to 1 from edge to edge: ``[n, *size, 2]``.

    torchvision multiplies matrices here, and whether the product's multiplications and additions are rounded one by one
    depends on the processor. Where they are, plain arithmetic gives its bytes in a fifth of the time.
    """
    half = theta.new_tensor([0.5 * image_size[1], 0.5 * image_size[0]])
    steps = theta.transpose(1, 2) / half  # [n, 3, 2]
    if theta.is_cuda or (theta.dtype == torch.float32 and _products_round_each_step()):
        return points_by_sums(steps, size)
    return points_by_products(steps, size)


def points_by_sums(steps: Tensor, size: Size) -> Tensor:
    """``x * steps[0] + y * steps[1] + steps[2]`` at every pixel, each operation rounded."""
    x, y = _pixel_centers(steps, size)
    across = steps[:, 0, :, None] * x  # [n, 2, W]
    down = steps[:, 1, :, None] * y  # [n, 2, H]
    points = across[:, :, None, :] + down[:, :, :, None]
    return points.add_(steps[:, 2, :, None, None]).permute(0, 2, 3, 1)


def points_by_products(steps: Tensor, size: Size) -> Tensor:
    """The same as a product of matrices, sample by sample: of many at once it might be rounded otherwise."""
    x, y = _pixel_centers(steps, size)
    pixels = steps.new_ones(1, *size, 3)
    pixels[..., 0], pixels[..., 1] = x, y[:, None]
    rows = [pixels.view(1, -1, 3).bmm(row.unsqueeze(0)) for row in steps]
    return torch.cat(rows).view(-1, *size, 2)


def _pixel_centers(steps: Tensor, size: Size) -> tuple[Tensor, Tensor]:
    """x of the columns and y of the rows, in pixels from the centre: halves of integers, so exact in float32."""
    y, x = (torch.linspace((1 - n) / 2, (n - 1) / 2, n, device=steps.device).to(steps.dtype) for n in size)
    return x, y


@cache
def _products_round_each_step() -> bool:
    """Whether this processor's float32 products of matrices are what ``points_by_sums`` gives.

    MKL fuses them on Intel's processors and not on AMD's; torch multiplies small matrices itself.
    """
    theta = torch.tensor([inverse_matrix(33.3, (3, -4), 1.23, (7.7, 11.1), (1.5, 2.5))]).transpose(1, 2) / 112
    sizes = ((1, 7), (8, 8), (9, 9), (24, 31), (224, 224), (431, 399))
    return all(torch.equal(points_by_sums(theta, size), points_by_products(theta, size)) for size in sizes)


def warped(image: Tensor, points: Tensor, interpolation: InterpolationMode, fill: Color) -> Tensor:
    """What ``image`` ``[n, ..., C, H, W]`` holds at ``points`` ``[n, h, w, 2]``: ``[n, ..., C, h, w]``.

    ``fill`` is for points outside the image. As in torchvision, None is zeros that interpolation blends with, while a
    value, 0 too, is blended in by how much of a pixel lies inside, which counts twice at the border.
    """
    flat = image.reshape(-1, *image.shape[-3:])
    if len(flat) != len(points):
        points = points.repeat_interleave(len(flat) // len(points), dim=0)
    nearest = interpolation is InterpolationMode.NEAREST
    blends = fill is not None and (not nearest or any(values_of(fill)))  # what lies outside is 0 as it is
    planes = _with_ones(flat, points.dtype) if blends else flat.to(points.dtype)
    result = F.grid_sample(planes, points, mode=interpolation.value, padding_mode="zeros", align_corners=False)
    if blends:
        result = _blended(result, fill, nearest)
    return _rounded(result, image.dtype).reshape(*image.shape[:-2], *points.shape[1:3])


def _with_ones(flat: Tensor, dtype: torch.dtype) -> Tensor:
    """The channels and one more, all ones, which becomes the share of a pixel that lies inside."""
    count, channels, height, width = flat.shape
    planes = flat.new_empty((count, channels + 1, height, width), dtype=dtype)
    planes[:, :-1] = flat
    planes[:, -1] = 1
    return planes


def _blended(sampled: Tensor, fill: Color, nearest: bool) -> Tensor:
    values, inside = sampled[:, :-1], sampled[:, -1:]
    color = sampled.new_tensor(values_of(fill)).view(1, -1, 1, 1)
    if nearest:
        return torch.where(inside < 0.5, color, values)
    return values.sub_(color).mul_(inside).add_(color)


def _rounded(values: Tensor, dtype: torch.dtype) -> Tensor:
    if dtype.is_floating_point:
        return values
    rounded = values.round_()
    # By way of int32, which wraps alike: torch's float to uint8 takes 81 us for 150,000 values, this 29 (Zen 4).
    return rounded.to(torch.int32).to(dtype) if dtype == torch.uint8 else rounded.to(dtype)
