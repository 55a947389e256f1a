"""Clamping of rotated boxes: their angle stays, their sides move until they are on the canvas, or nearly so.

The left side of the canvas is dealt with four times, the canvas turned by 90 degrees after each. What is computed, in
which order and with which rounding, is as in torchvision: edges are lines y = slope * x + intercept, edge i runs from
corner i to the next one, and corner 0 is the leftmost.
"""

from __future__ import annotations

import torch
from torch import Tensor

from augserve_pipelines.kernels import rotated_boxes
from augserve_pipelines.tv_tensors import BoundingBoxFormat

__all__ = ["clamp"]


def clamp(boxes: Tensor, format: BoundingBoxFormat, canvas_size: tuple[int, int], *, hard: bool) -> Tensor:
    """Boxes within, or nearly within, a canvas of (height, width), as a new tensor.

    Args:
        boxes: ``[..., 5]`` or ``[..., 8]``.
        format: one of the rotated ones.
        canvas_size: height and width.
        hard: the largest boxes that are within canvas and box; else the smallest ones around what is within both,
            which can reach out of the canvas.
    """
    height, width = canvas_size
    corners = _convert(boxes, format, BoundingBoxFormat.XYXYXYXY).reshape(-1, 8)
    original = corners
    for _ in range(4):
        first = _leftmost(corners)
        corners, original = _rolled(corners, first), _rolled(original, first)
        corners = _clamp_left(corners, original, (height, width), hard=hard)
        # Rolled on, not back: torchvision does so, and its corners come out in that order.
        corners, original = _rolled(corners, first), _rolled(original, first)
        corners, original = _turned(corners, width), _turned(original, width)
        height, width = width, height
    return _convert(corners, BoundingBoxFormat.XYXYXYXY, format).reshape(boxes.shape)


def _convert(boxes: Tensor, old_format: BoundingBoxFormat, new_format: BoundingBoxFormat) -> Tensor:
    return boxes if old_format is new_format else rotated_boxes.convert(boxes, old_format, new_format)


def _leftmost(corners: Tensor) -> Tensor:
    """Where in its row the corner with the lowest x stands, ``[N, 1]``; of several, that with the lowest y."""
    x, y = corners[:, 0::2], corners[:, 1::2]
    x_scale, y_scale = x.abs().amax(1, keepdim=True), y.abs().amax(1, keepdim=True)
    return (y / y_scale + (x / x_scale) * 100).min(dim=1, keepdim=True).indices * 2


def _rolled(corners: Tensor, first: Tensor) -> Tensor:
    """The same corners, from place ``first`` of each row on."""
    return corners.gather(1, (torch.arange(8, device=corners.device) + first) % 8)


def _turned(corners: Tensor, width: int) -> Tensor:
    """Corners on a canvas of this width after it is turned counter-clockwise by 90 degrees."""
    return torch.stack((corners[:, 1::2], width - corners[:, 0::2]), -1).reshape(-1, 8)


def _clamp_left(corners: Tensor, original: Tensor, canvas_size: tuple[int, int], *, hard: bool) -> Tensor:
    """Boxes clamped at x = 0."""
    x1, y1, x2, y2, x3, y3, x4, y4 = corners.unbind(1)
    slope, intercept = _edges(corners)
    moved = _intercepts_within(canvas_size, slope, intercept, _edges(original)[1], hard=hard)
    moved = _intersections(slope, moved)
    upright = y1.isclose(y2) | y3.isclose(y4)
    outside = (x1 <= 0) & (x2 <= 0) & (x3 <= 0) & (x4 <= 0)
    gone = outside | y1.isclose(y4) | y2.isclose(y3) | (upright & x1.isclose(x2))
    cut = corners.clone()
    cut[:, 0].clamp_(0)
    cut[:, 6].clamp_(0)
    reaches_out = (x1 < 0) & ~moved.isnan().any(1)
    clamped = torch.where(reaches_out[:, None], moved, corners)
    clamped = torch.where(upright[:, None], cut, clamped)
    return torch.where(gone[:, None], torch.zeros_like(corners), clamped)


def _edges(corners: Tensor) -> tuple[Tensor, Tensor]:
    """Slopes and intercepts of the four edges, each ``[N, 4]``."""
    x, y = corners[:, 0::2], corners[:, 1::2]
    slope = (y.roll(-1, 1) - y) / (x.roll(-1, 1) - x)
    return slope, y - slope * x


def _intersections(slope: Tensor, intercept: Tensor) -> Tensor:
    """Corners ``[N, 8]`` where each edge meets the one before it."""
    x = (intercept - intercept.roll(1, 1)).neg() / (slope - slope.roll(1, 1))
    return torch.stack((x, slope * x + intercept), -1).reshape(-1, 8)


def _intercepts_within(
    canvas_size: tuple[int, int], slope: Tensor, intercept: Tensor, original: Tensor, *, hard: bool
) -> Tensor:
    """Intercepts of the edges after they are moved onto the canvas, never out of the original box, all ``[N, 4]``."""
    height, _ = canvas_size
    b1, b2, b3, b4 = intercept.unbind(1)
    o1, o2, o3, o4 = original.unbind(1)
    b1 = b2.clamp(b1, b3).clamp(0, height)
    b4 = b3.clamp(b2, b4).clamp(0, height)
    if not hard:
        return torch.stack((b1.clamp(o1, o3), b2.clamp(o2, o4), b3.clamp(o1, o3), b4.clamp(o2, o4)), 1)
    middle = (b1 + b4) / 2  # both edges of the leftmost corner go through one point of the side
    b2, b3 = _largest_within(canvas_size, slope, middle, b2, b3)
    middle = middle.clamp(o1, o3).clamp(o2, o4)
    return torch.stack((middle, b2.clamp(o2, o4), b3.clamp(o1, o3), middle), 1)


def _largest_within(
    canvas_size: tuple[int, int], slope: Tensor, middle: Tensor, b2: Tensor, b3: Tensor
) -> tuple[Tensor, Tensor]:
    """Intercepts of the second and the third edge of the largest boxes on the canvas whose left corner is given."""
    height, width = canvas_size
    a1, a2, a3, a4 = slope.unbind(1)
    upper = (
        middle * a2 / a1,  # where y = 0
        b3 * a2 / a3,
        (a1 - a2) * width + middle,  # where x = width
        (a3 - a2) * width + b3,
    )
    b2 = torch.stack(upper, 1).amax(1).clamp(max=b2)
    lower = (
        height * (1 - a3 / a4) + middle * a3 / a4,  # where y = height
        height * (1 - a3 / a2) + b2 * a3 / a2,
        (a2 - a3) * width + b2,  # where x = width
        (a4 - a3) * width + middle,
    )
    return b2, torch.stack(lower, 1).amin(1).clamp(min=b3)
