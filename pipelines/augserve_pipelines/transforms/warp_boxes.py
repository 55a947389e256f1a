"""Warps of bounding boxes and key points: where their corners go, and the boxes around those."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import torch
from torch import Tensor
from torch.nn import functional as F

from augserve_pipelines.kernels.boxes import clamp_bounding_boxes, convert_bounding_box_format
from augserve_pipelines.kernels.rotated_boxes import parallelograms_to_rectangles
from augserve_pipelines.transforms.matrices import Matrix, Size
from augserve_pipelines.tv_tensors import BoundingBoxFormat, ClampingMode, is_rotated_bounding_format

__all__ = ["Move", "affine_move", "corners", "move_boxes", "move_keypoints", "with_ones"]

Move: TypeAlias = Callable[[Tensor], Tensor]  # [n, 2] to [n, 2], x and y in pixels


def affine_move(matrix: Matrix) -> Move:
    """Points by a matrix from points of the image to points of the result."""

    def move(points: Tensor) -> Tensor:
        return with_ones(points) @ points.new_tensor(matrix).T

    return move


def with_ones(points: Tensor) -> Tensor:
    """``[n, 2]`` to ``[n, 3]``."""
    return F.pad(points, [0, 1], value=1.0)


def corners(canvas_size: Size, dtype: torch.dtype, device: torch.device | str = "cpu") -> Tensor:
    """Those of a canvas: ``[4, 2]``."""
    height, width = canvas_size
    return torch.tensor([[0, 0], [0, height], [width, height], [width, 0]], dtype=dtype, device=device)


def move_keypoints(keypoints: Tensor, move: Move, origin: Tensor | None = None) -> Tensor:
    """Where ``move`` takes points ``[..., 2]``, from ``origin`` if the result has another."""
    points = keypoints if keypoints.is_floating_point() else keypoints.float()
    moved = move(points.reshape(-1, 2))
    if origin is not None:
        moved = moved - origin
    return moved.reshape(keypoints.shape).to(keypoints.dtype)


def move_boxes(
    boxes: Tensor,
    move: Move,
    format: BoundingBoxFormat,
    canvas_size: Size,
    clamping_mode: ClampingMode,
    origin: Tensor | None = None,
) -> Tensor:
    """The boxes of ``[..., K]`` around the corners that ``move`` gives; rotated ones around the longer diagonal.

    Args:
        boxes: not empty.
        move: gives floats.
        format: of the boxes, before and after.
        canvas_size: of the result.
        clamping_mode: how to cut them down to it.
        origin: ``[1, 2]``, of the result where corners have been moved to; None is 0.
    """
    around = BoundingBoxFormat.XYXYXYXY if is_rotated_bounding_format(format) else BoundingBoxFormat.XYXY
    found = convert_bounding_box_format(boxes, format, around)
    found = _around(found.reshape(-1, found.shape[-1]), move)
    if origin is not None:
        found = found - origin.repeat(1, found.shape[1] // 2)
    found = clamp_bounding_boxes(found, around, canvas_size, clamping_mode)
    return convert_bounding_box_format(found, around, format).reshape(boxes.shape)


def _around(boxes: Tensor, move: Move) -> Tensor:
    if boxes.shape[1] == 8:
        return parallelograms_to_rectangles(move(boxes.reshape(-1, 2)).reshape(-1, 8))
    moved = move(boxes[:, [0, 1, 2, 1, 2, 3, 0, 3]].reshape(-1, 2)).reshape(-1, 4, 2)
    return torch.cat(torch.aminmax(moved, dim=1), dim=1)
