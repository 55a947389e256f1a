"""Matrices of affine and projective maps, with torchvision's roundings."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray

from augserve_pipelines.errors import InvalidInput

__all__ = [
    "Matrix",
    "Size",
    "forward_matrix",
    "from_middle",
    "inverse_matrix",
    "perspective_coefficients",
    "projective",
]

Matrix: TypeAlias = list[list[float]]  # [2, 3]: (x, y, 1) to (x, y), in pixels
Size: TypeAlias = tuple[int, int]  # height, width
Point: TypeAlias = Sequence[float]  # x, y
Projective: TypeAlias = NDArray[np.float64]  # [3, 3]: (x, y, 1) to a multiple of (x, y, 1), in pixels


def inverse_matrix(angle: float, translate: Point, scale: float, shear: Point, center: Point) -> Matrix:
    """From points of the result to points of the image, for a forward map of translate · rotate · scale · shear.

    Args:
        angle: degrees, clockwise.
        translate: pixels to the right and down.
        scale: factor, greater than 0.
        shear: degrees along x and along y.
        center: the fixed point of rotation, scale and shear.
    """
    # Without scale the determinant is 1. Every rounding is torchvision's, so the order of terms stays.
    (xx, xy), (yx, yy) = _rotation_and_shear(angle, shear)
    (x, y), (right, down) = center, translate
    x_row, y_row = (yy / scale, -xy / scale), (-yx / scale, xx / scale)
    return [
        [*x_row, x - x_row[0] * (x + right) - x_row[1] * (y + down)],
        [*y_row, y - y_row[0] * (x + right) - y_row[1] * (y + down)],
    ]


def forward_matrix(angle: float, translate: Point, scale: float, shear: Point, center: Point) -> Matrix:
    """From points of the image to points of the result; see ``inverse_matrix``."""
    (xx, xy), (yx, yy) = _rotation_and_shear(angle, shear)
    (x, y), (right, down) = center, translate
    x_row, y_row = (xx * scale, xy * scale), (yx * scale, yy * scale)
    return [
        [*x_row, x + right - x_row[0] * x - x_row[1] * y],
        [*y_row, y + down - y_row[0] * x - y_row[1] * y],
    ]


def _rotation_and_shear(angle: float, shear: Point) -> tuple[Point, Point]:
    turn, shear_x, shear_y = math.radians(angle), math.radians(shear[0]), math.radians(shear[1])
    xx = math.cos(turn - shear_y) / math.cos(shear_y)
    yx = math.sin(turn - shear_y) / math.cos(shear_y)
    return (xx, -(xx * math.tan(shear_x) + math.sin(turn))), (yx, math.cos(turn) - yx * math.tan(shear_x))


def from_middle(center: Point | None, height: int, width: int) -> tuple[float, float]:
    """[x, y] from the upper left corner of an image as (x, y) from its middle."""
    return (0.0, 0.0) if center is None else (center[0] - width * 0.5, center[1] - height * 0.5)


def projective(inverse: Matrix, image_size: Size, size: Size) -> Projective:
    """From points of the image to points of the result, both from the upper left corner.

    Args:
        inverse: from points of the result to points of the image, both from the middle.
        image_size: height and width of the image.
        size: height and width of the result.
    """
    (image_height, image_width), (height, width) = image_size, size
    forward = np.linalg.inv([*inverse, [0.0, 0.0, 1.0]])
    matrix: Projective = _shift(width / 2, height / 2) @ forward @ _shift(-image_width / 2, -image_height / 2)
    return matrix


def _shift(right: float, down: float) -> Projective:
    return np.array([[1.0, 0.0, right], [0.0, 1.0, down], [0.0, 0.0, 1.0]])


def perspective_coefficients(startpoints: Sequence[Point], endpoints: Sequence[Point]) -> list[float]:
    """The eight numbers a to h of a perspective map from points of the result to points of the image.

    ``(x, y)`` of the result is ``((ax + by + c) / (gx + hy + 1), (dx + ey + f) / (gx + hy + 1))`` of the image.

    Args:
        startpoints: four corners [x, y] of the image.
        endpoints: where they lie in the result.

    Raises:
        InvalidInput: there are not four of each, or they lie so that no such map is known.
    """
    if not len(startpoints) == len(endpoints) == 4:
        raise InvalidInput(
            f"a perspective map takes 4 points to 4: got {len(startpoints)} startpoints and {len(endpoints)} endpoints"
        )
    rows: list[list[float]] = []
    for (image_x, image_y), (x, y) in zip(startpoints, endpoints, strict=True):
        rows.append([x, y, 1, 0, 0, 0, -image_x * x, -image_x * y])
        rows.append([0, 0, 0, x, y, 1, -image_y * x, -image_y * y])
    # By way of float32 where there are fractions, and this driver of LAPACK: torchvision's bits.
    equations = torch.stack([torch.tensor(row).double() for row in rows])
    try:
        solved = torch.linalg.lstsq(equations, torch.tensor(startpoints, dtype=torch.float64).view(8), driver="gels")
    except torch.linalg.LinAlgError:
        given, ends = ([[*point] for point in points] for points in (startpoints, endpoints))
        raise InvalidInput(f"no perspective map takes {given} to {ends}") from None
    coefficients: list[float] = solved.solution.to(torch.float32).tolist()
    return coefficients
