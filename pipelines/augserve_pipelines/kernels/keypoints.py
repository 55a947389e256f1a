"""Key points, as plain tensors with their canvas or as KeyPoints: clamp, sanitize."""

from __future__ import annotations

import torch
from torch import Tensor

from augserve_pipelines.errors import InvalidInput
from augserve_pipelines.tv_tensors import KeyPoints
from augserve_pipelines.tv_tensors.interop import kind_of, like, metadata

__all__ = ["clamp_keypoints", "sanitize_keypoints", "valid_keypoints"]


def clamp_keypoints(inpt: Tensor, canvas_size: tuple[int, int] | None = None) -> Tensor:
    """Key points moved onto the pixels of their canvas, x to 0 .. width - 1 and y to 0 .. height - 1, as a copy.

    Args:
        inpt: key points, or a tensor ``[..., 2]`` of their coordinates.
        canvas_size: height and width of the image of a pure tensor; not given for key points.

    Raises:
        TypeError: the input is neither key points nor a pure tensor.
        ValueError: the canvas is given for key points, or missing for a tensor.
    """
    kind = kind_of(inpt)
    if kind is torch.Tensor:
        if canvas_size is None:
            raise InvalidInput("a pure tensor needs canvas_size")
        return _clamp(inpt, canvas_size)
    if kind is not KeyPoints:
        raise TypeError(f"expected key points or a pure tensor, not {type(inpt).__name__}")
    if canvas_size is not None:
        raise InvalidInput(f"key points know their canvas: canvas_size={canvas_size!r} must not be given")
    return like(inpt, _clamp(inpt.as_subclass(Tensor), metadata(inpt)["canvas_size"]))


def sanitize_keypoints(key_points: Tensor, canvas_size: tuple[int, int] | None = None) -> tuple[Tensor, Tensor]:
    """The key points that lie on their canvas, and which they are: a mask ``[N]`` to pick labels with.

    Args:
        key_points: key points, or a tensor of their coordinates: single points ``[N, 2]``, or groups ``[N, ..., 2]``,
            which are kept where all of their points are on the canvas.
        canvas_size: height and width of the image of a pure tensor; not given for key points.

    Raises:
        ValueError: the canvas is given for key points or missing for a tensor, or the input is neither.
    """
    kind = kind_of(key_points)
    if kind is torch.Tensor:
        if canvas_size is None:
            raise InvalidInput("a pure tensor needs canvas_size")
        valid = valid_keypoints(key_points, canvas_size)
        return key_points[valid], valid
    if kind is not KeyPoints:
        raise InvalidInput(f"expected key points or a pure tensor, not {type(key_points).__name__}")
    if canvas_size is not None:
        raise InvalidInput(f"key points know their canvas: canvas_size={canvas_size!r} must not be given")
    plain = key_points.as_subclass(Tensor)
    valid = valid_keypoints(plain, metadata(key_points)["canvas_size"])
    return like(key_points, plain[valid]), valid


def valid_keypoints(points: Tensor, canvas_size: tuple[int, int]) -> Tensor:
    """Which of the points ``[N, 2]``, or of the groups ``[N, ..., 2]``, lie on their canvas, ``[N]``."""
    height, width = canvas_size
    x, y = points[..., 0], points[..., 1]
    valid = (x >= 0) & (x < width) & (y >= 0) & (y < height)
    return valid.flatten(1).all(1) if valid.ndim > 1 else valid


def _clamp(points: Tensor, canvas_size: tuple[int, int]) -> Tensor:
    height, width = canvas_size
    floating = points.clone() if points.is_floating_point() else points.float()
    floating[..., 0].clamp_(0, width - 1)
    floating[..., 1].clamp_(0, height - 1)
    return floating.to(points.dtype)
