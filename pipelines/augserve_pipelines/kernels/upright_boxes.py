"""Upright boxes ``[..., 4]`` as plain tensors: conversion between their formats, and clamping."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from augserve_pipelines.tv_tensors import BoundingBoxFormat

__all__ = ["clamp", "convert"]

XYXY, XYWH, CXCYWH = BoundingBoxFormat.XYXY, BoundingBoxFormat.XYWH, BoundingBoxFormat.CXCYWH


def convert(boxes: Tensor, old_format: BoundingBoxFormat, new_format: BoundingBoxFormat) -> Tensor:
    """The same boxes in another format of upright ones, as a new tensor.

    Integers stay integers: to a centre, halves are rounded down; from a centre, corners are truncated.
    """
    return _CONVERSIONS[old_format, new_format](boxes)


def clamp(boxes: Tensor, format: BoundingBoxFormat, canvas_size: tuple[int, int]) -> Tensor:
    """The part of each box that lies on a canvas of (height, width), as a new tensor."""
    height, width = canvas_size
    floating = boxes if boxes.is_floating_point() else boxes.float()
    corners = floating.clone() if format is XYXY else convert(floating, format, XYXY)
    corners[..., 0::2].clamp_(0, width)
    corners[..., 1::2].clamp_(0, height)
    return (corners if format is XYXY else convert(corners, XYXY, format)).to(boxes.dtype)


def _xywh_to_xyxy(boxes: Tensor) -> Tensor:
    corner, size = _halves(boxes)
    return torch.cat((corner, size + corner), -1)


def _xyxy_to_xywh(boxes: Tensor) -> Tensor:
    first, second = _halves(boxes)
    return torch.cat((first, second - first), -1)


def _xywh_to_cxcywh(boxes: Tensor) -> Tensor:
    corner, size = _halves(boxes)
    return torch.cat((corner + _half(size), size), -1)


def _xyxy_to_cxcywh(boxes: Tensor) -> Tensor:
    first, second = _halves(boxes)
    size = second - first
    return torch.cat((_half(first * 2 + size), size), -1)


def _cxcywh_to_xyxy(boxes: Tensor) -> Tensor:
    centre, size = _halves(boxes if boxes.is_floating_point() else boxes.float())
    corner = centre - size / 2
    return torch.cat((corner, size + corner), -1).to(boxes.dtype)


def _cxcywh_to_xywh(boxes: Tensor) -> Tensor:
    if not boxes.is_floating_point():  # by way of truncated corners, which can change the size by one
        return _xyxy_to_xywh(_cxcywh_to_xyxy(boxes))
    centre, size = _halves(boxes)
    return torch.cat((centre - size / 2, size), -1)


def _halves(boxes: Tensor) -> tuple[Tensor, Tensor]:
    return boxes[..., :2], boxes[..., 2:]


def _half(values: Tensor) -> Tensor:
    return values.div(2, rounding_mode=None if values.is_floating_point() else "floor")


_CONVERSIONS: dict[tuple[BoundingBoxFormat, BoundingBoxFormat], Callable[[Tensor], Tensor]] = {
    (XYWH, XYXY): _xywh_to_xyxy,
    (XYXY, XYWH): _xyxy_to_xywh,
    (XYWH, CXCYWH): _xywh_to_cxcywh,
    (XYXY, CXCYWH): _xyxy_to_cxcywh,
    (CXCYWH, XYXY): _cxcywh_to_xyxy,
    (CXCYWH, XYWH): _cxcywh_to_xywh,
}
