"""Rotated boxes as plain tensors: conversion between their formats, and rectangles out of parallelograms."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from augserve_pipelines.tv_tensors import BoundingBoxFormat

__all__ = ["convert", "parallelograms_to_rectangles"]

XYWHR, CXCYWHR, XYXYXYXY = BoundingBoxFormat.XYWHR, BoundingBoxFormat.CXCYWHR, BoundingBoxFormat.XYXYXYXY


def convert(boxes: Tensor, old_format: BoundingBoxFormat, new_format: BoundingBoxFormat) -> Tensor:
    """The same boxes, ``[..., 5]`` or ``[..., 8]``, in another format of rotated ones, as a new tensor."""
    if old_format is not XYWHR:
        boxes = _TO_XYWHR[old_format](boxes)
    return boxes if new_format is XYWHR else _FROM_XYWHR[new_format](boxes)


def parallelograms_to_rectangles(corners: Tensor) -> Tensor:
    """Rectangles with the longer diagonal of each parallelogram, ``[..., 8]`` to ``[..., 8]``.

    An affine map of a rotated box is a parallelogram; this makes a box of it again.
    """
    exact = _wide(corners)
    x1, y1, x2, y2, x3, y3, x4, y4 = exact.unbind(-1)
    across, down = torch.sqrt((x2 - x1).pow(2) + (y2 - y1).pow(2)), torch.sqrt((x4 - x1).pow(2) + (y4 - y1).pow(2))
    angle_across, angle_down = torch.atan2(y1 - y2, x2 - x1), torch.atan2(y1 - y4, x4 - x1)
    between = angle_across - angle_down
    cos, sin = between.cos(), between.sin()
    obtuse = torch.where(between > torch.pi / 2, -1, 1)
    width = torch.where(across < down, across * sin, across + down * cos * obtuse)
    height = torch.where(across > down, down * sin, down + across * cos * obtuse)
    angle = torch.where(down > across, angle_down + torch.pi / 2, angle_across)
    return _rectangles((x1 + x3) / 2, (y1 + y3) / 2, width, height, angle).to(corners.dtype)


def _rectangles(x: Tensor, y: Tensor, width: Tensor, height: Tensor, angle: Tensor) -> Tensor:
    """Corners of rectangles about the centres (x, y); the angle is in radians."""
    cos, sin = angle.cos(), angle.sin()
    width_x, width_y = width / 2 * cos, width / 2 * sin
    height_x, height_y = height / 2 * sin, height / 2 * cos
    corners = (
        x - width_x - height_x,
        y - height_y + width_y,
        x + width_x - height_x,
        y - height_y - width_y,
        x + width_x + height_x,
        y + height_y - width_y,
        x - width_x + height_x,
        y + height_y + width_y,
    )
    return torch.stack(corners, -1)


def _cxcywhr_to_xywhr(boxes: Tensor) -> Tensor:
    x, y, _, _, _ = boxes.unbind(-1)
    half_width, half_height, cos, sin = _half_sides(boxes)
    x = x - half_width * cos - half_height * sin
    y = y + half_width * sin - half_height * cos
    return _with_position(boxes, x, y)


def _xywhr_to_cxcywhr(boxes: Tensor) -> Tensor:
    x, y, _, _, _ = boxes.unbind(-1)
    half_width, half_height, cos, sin = _half_sides(boxes)
    x = x + half_width * cos + half_height * sin
    y = y - half_width * sin + half_height * cos
    return _with_position(boxes, x, y)


def _xywhr_to_xyxyxyxy(boxes: Tensor) -> Tensor:
    x, y, width, height, _ = boxes.unbind(-1)
    cos, sin = _directions(boxes)
    width_x, width_y, height_x, height_y = width * cos, width * sin, height * sin, height * cos
    corners = (
        x,
        y,
        x + width_x,
        y - width_y,
        x + (width_x + height_x),
        y - (width_y - height_y),
        x + height_x,
        y + height_y,
    )
    return torch.stack(corners, -1).to(boxes.dtype)


def _xyxyxyxy_to_xywhr(boxes: Tensor) -> Tensor:
    x1, y1, x2, y2, x3, y3, _, _ = _wide(boxes).unbind(-1)
    angle = torch.atan2(y1 - y2, x2 - x1).div(torch.pi).mul(180.0)
    width = (x2 - x1).pow(2).add((y2 - y1).pow(2)).sqrt()
    height = (x3 - x2).pow(2).add((y3 - y2).pow(2)).sqrt()
    return torch.stack((x1, y1, width, height, angle), -1).to(boxes.dtype)


def _directions(boxes: Tensor) -> tuple[Tensor, Tensor]:
    """Cosine and sine of the angles of boxes ``[..., 5]``."""
    radians = boxes[..., 4].mul(torch.pi).div(180.0)
    return radians.cos(), radians.sin()


def _half_sides(boxes: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    half = boxes[..., 2:4].abs() / 2
    return (half[..., 0], half[..., 1], *_directions(boxes))


def _with_position(boxes: Tensor, x: Tensor, y: Tensor) -> Tensor:
    return torch.cat((torch.stack((x, y), -1).to(boxes.dtype), boxes[..., 2:]), -1)


def _wide(boxes: Tensor) -> Tensor:
    """The boxes in a type whose squares do not overflow, the same on all devices."""
    return boxes if boxes.dtype in (torch.float32, torch.float64) else boxes.float()


_TO_XYWHR: dict[BoundingBoxFormat, Callable[[Tensor], Tensor]] = {
    CXCYWHR: _cxcywhr_to_xywhr,
    XYXYXYXY: _xyxyxyxy_to_xywhr,
}
_FROM_XYWHR: dict[BoundingBoxFormat, Callable[[Tensor], Tensor]] = {
    CXCYWHR: _xywhr_to_cxcywhr,
    XYXYXYXY: _xywhr_to_xyxyxyxy,
}
