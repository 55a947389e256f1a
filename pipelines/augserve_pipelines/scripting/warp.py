"""Warps: where the pixels of a result lie in the image, and what the image holds there."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from augserve_pipelines.scripting.dtypes import numbers, rounded

__all__ = ["affine", "affine_points", "inverse_matrix", "middle", "rotate", "sampled"]


def inverse_matrix(
    angle: float,
    translate: tuple[float, float],
    scale: float,
    shear: tuple[float, float],
    center: tuple[float, float],
) -> list[float]:
    """From points of the result to points of the image, row by row, for translate · rotate · scale · shear.

    Args:
        angle: degrees, clockwise.
        translate: pixels to the right and down.
        scale: factor, greater than 0.
        shear: degrees along x and along y.
        center: the fixed point of rotation, scale and shear, in pixels from the centre of the image.
    """
    turn, shear_x, shear_y = math.radians(angle), math.radians(shear[0]), math.radians(shear[1])
    # The linear part without scale has determinant 1. Every rounding is the oracle's, so the order of terms stays.
    xx = math.cos(turn - shear_y) / math.cos(shear_y)
    xy = -(xx * math.tan(shear_x) + math.sin(turn))
    yx = math.sin(turn - shear_y) / math.cos(shear_y)
    yy = math.cos(turn) - yx * math.tan(shear_x)
    a, b, d, e = yy / scale, -xy / scale, -yx / scale, xx / scale
    x, y = center[0] + translate[0], center[1] + translate[1]
    return [a, b, center[0] - a * x - b * y, d, e, center[1] - d * x - e * y]


def middle(center: list[float] | None, height: int, width: int) -> tuple[float, float]:
    """[x, y] from the upper left corner of an image as (x, y) from its middle; None is the middle."""
    if center is None:
        return 0.0, 0.0
    return center[0] - width * 0.5, center[1] - height * 0.5


def affine(
    image: Tensor,
    angle: float,
    translate: tuple[float, float],
    scale: float,
    shear: tuple[float, float],
    mode: str,
    fill: list[float] | None,
    center: list[float] | None,
) -> Tensor:
    """Map ``[..., C, H, W]`` affinely; the size stays."""
    height, width = image.shape[-2], image.shape[-1]
    matrix = inverse_matrix(angle, translate, scale, shear, middle(center, height, width))
    return sampled(image, affine_points(image, matrix, height, width), mode, fill)


def rotate(
    image: Tensor, angle: float, mode: str, expand: bool, center: list[float] | None, fill: list[float] | None
) -> Tensor:
    """Rotate ``[..., C, H, W]`` counter-clockwise by degrees."""
    degrees = math.fmod(angle, 360.0)
    if degrees < 0.0:
        degrees += 360.0
    height, width = image.shape[-2], image.shape[-1]
    if center is None and (degrees == 0.0 or degrees == 180.0):
        return torch.rot90(image, int(degrees // 90), (-2, -1))
    if center is None and (degrees == 90.0 or degrees == 270.0) and (expand or height == width):
        return torch.rot90(image, int(degrees // 90), (-2, -1))
    matrix = inverse_matrix(-degrees, (0.0, 0.0), 1.0, (0.0, 0.0), middle(center, height, width))
    if expand:
        height, width = _expanded(matrix, height, width)
    return sampled(image, affine_points(image, matrix, height, width), mode, fill)


def _expanded(matrix: list[float], height: int, width: int) -> tuple[int, int]:
    """Height and width that hold the whole rotated image, in float32, less than 1/10000 of a pixel dropped."""
    half = torch.tensor([0.5 * width, 0.5 * height])
    signs = torch.tensor([[-1.0, -1.0], [-1.0, 1.0], [1.0, 1.0], [1.0, -1.0]])
    corners = torch.cat([half * signs, torch.ones(4, 1)], 1)
    turned = torch.matmul(corners, torch.tensor(matrix).view(2, 3).t())
    first = ((turned.amin(0) + half) * 1e4).trunc().mul(1e-4).floor()
    end = ((turned.amax(0) + half) * 1e4).trunc().mul(1e-4).ceil()
    size = end - first
    return int(size[1].item()), int(size[0].item())


def affine_points(image: Tensor, matrix: list[float], height: int, width: int) -> Tensor:
    """Where the pixels of a result lie in the image, -1 to 1 from edge to edge, ``[1, height, width, 2]``."""
    dtype = image.dtype if image.is_floating_point() else torch.float32
    x, y = _from_middle(width, image.device).to(dtype), _from_middle(height, image.device).to(dtype)
    theta = numbers(matrix, dtype, image.device).view(1, 2, 3).transpose(1, 2)
    sides = [torch.full([], side, dtype=dtype, device=image.device) for side in (image.shape[-1], image.shape[-2])]
    return pixels(x, y).bmm(theta.div(torch.stack(sides) * 0.5)).view(1, height, width, 2)


def _from_middle(count: int, device: torch.device) -> Tensor:
    """Of ``count`` pixels in a line, how far each is from the middle: halves of integers, so exact in float32."""
    return (2 * torch.arange(count, device=device) - (count - 1)).to(torch.float32) * 0.5


def pixels(x: Tensor, y: Tensor) -> Tensor:
    """``(x, y, 1)`` of every pixel, ``[1, height * width, 3]``."""
    size = [y.shape[0], x.shape[0]]
    columns = [x.unsqueeze(0).expand(size), y.unsqueeze(1).expand(size), torch.ones_like(x).unsqueeze(0).expand(size)]
    return torch.stack(columns, -1).view(1, -1, 3)


def sampled(image: Tensor, points: Tensor, mode: str, fill: list[float] | None) -> Tensor:
    """What ``[..., C, H, W]`` holds at ``points`` ``[1, h, w, 2]``, nearest or bilinear.

    ``fill`` is for points outside the image. None is zeros that interpolation blends with, while a value, 0 too, is
    blended in by how much of a pixel lies inside, which counts twice at the border.

    Raises:
        ValueError: ``fill`` has neither one value nor one for each channel.
    """
    channels = image.shape[-3]
    planes = image.reshape(-1, channels, image.shape[-2], image.shape[-1]).to(points.dtype)
    points = points.expand(planes.shape[0], -1, -1, -1)
    if fill is not None:
        if len(fill) != 1 and len(fill) != channels:
            raise ValueError(f"fill has {len(fill)} values for an image of {channels} channels")
        planes = torch.cat([planes, torch.ones_like(planes[:, :1])], 1)
    found = F.grid_sample(planes, points, mode=mode, padding_mode="zeros", align_corners=False)
    if fill is not None:
        found = _filled(found, fill, mode)
    return rounded(found, image.dtype).reshape(image.shape[:-3] + found.shape[-3:])


def _filled(found: Tensor, fill: list[float], mode: str) -> Tensor:
    values, inside = found[:, :-1], found[:, -1:]
    color = numbers(fill, found.dtype, found.device).view(1, -1, 1, 1)
    if mode == "nearest":
        return torch.where(inside < 0.5, color, values)
    return values.sub(color).mul(inside).add(color)
