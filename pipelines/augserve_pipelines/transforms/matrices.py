"""Matrices of affine and projective maps, with torchvision's roundings."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional as F

from augserve_pipelines.errors import InvalidInput
from augserve_pipelines.frames import IntArray

__all__ = [
    "Affinity",
    "Matrix",
    "Point",
    "Projective",
    "Size",
    "expanded",
    "from_middle",
    "inverted_coefficients",
    "middle",
    "perspective_coefficients",
    "projective",
]

Matrix: TypeAlias = list[list[float]]  # [2, 3]: (x, y, 1) to (x, y), in pixels
Size: TypeAlias = tuple[int, int]  # height, width
Point: TypeAlias = Sequence[float]  # x, y
Projective: TypeAlias = NDArray[np.float64]  # [3, 3]: (x, y, 1) to a multiple of (x, y, 1), in pixels


@dataclass(frozen=True, slots=True)
class Affinity:
    """The map translate · rotate · scale · shear about a center, from points of an image to points of the result."""

    angle: float = 0.0  # degrees, clockwise
    translate: Point = (0.0, 0.0)  # pixels to the right and down
    scale: float = 1.0  # greater than 0
    shear: Point = (0.0, 0.0)  # degrees along x and along y

    @classmethod
    def of(cls, angle: float, translate: Point, scale: float, shear: float | Sequence[float]) -> Affinity:
        """The map with the parameters of ``affine``, where one number shears along x and a list of one along both.

        Raises:
            InvalidInput: the scale is not greater than 0, or a list has another length.
        """
        if scale <= 0:
            raise InvalidInput(f"scale is {scale}; it must be greater than 0")
        shears = (shear, 0.0) if isinstance(shear, int | float) else tuple(shear)
        if len(translate) != 2 or not 1 <= len(shears) <= 2:
            raise InvalidInput(f"translate has 2 numbers and shear 1 or 2; got {[*translate]} and {[*shears]}")
        return cls(angle, translate, scale, (shears[0], shears[-1]))

    def inverse(self, center: Point) -> Matrix:
        """From points of the result to points of the image; rotation, scale and shear leave the center in place."""
        # Without scale the determinant is 1. Every rounding is torchvision's, so the order of terms stays.
        (xx, xy), (yx, yy) = self._rotation_and_shear()
        (x, y), (right, down) = center, self.translate
        x_row, y_row = (yy / self.scale, -xy / self.scale), (-yx / self.scale, xx / self.scale)
        return [
            [*x_row, x - x_row[0] * (x + right) - x_row[1] * (y + down)],
            [*y_row, y - y_row[0] * (x + right) - y_row[1] * (y + down)],
        ]

    def forward(self, center: Point) -> Matrix:
        """From points of the image to points of the result."""
        (xx, xy), (yx, yy) = self._rotation_and_shear()
        (x, y), (right, down) = center, self.translate
        x_row, y_row = (xx * self.scale, xy * self.scale), (yx * self.scale, yy * self.scale)
        return [
            [*x_row, x + right - x_row[0] * x - x_row[1] * y],
            [*y_row, y + down - y_row[0] * x - y_row[1] * y],
        ]

    def _rotation_and_shear(self) -> tuple[Point, Point]:
        turn, shear_x, shear_y = math.radians(self.angle), math.radians(self.shear[0]), math.radians(self.shear[1])
        xx = math.cos(turn - shear_y) / math.cos(shear_y)
        yx = math.sin(turn - shear_y) / math.cos(shear_y)
        return (xx, -(xx * math.tan(shear_x) + math.sin(turn))), (yx, math.cos(turn) - yx * math.tan(shear_x))


def middle(height: int, width: int) -> Point:
    """That of an image, from its upper left corner."""
    return (width * 0.5, height * 0.5)


def from_middle(center: Point | None, height: int, width: int) -> tuple[float, float]:
    """[x, y] from the upper left corner of an image as (x, y) from its middle."""
    return (0.0, 0.0) if center is None else (center[0] - width * 0.5, center[1] - height * 0.5)


def projective(matrix: Matrix) -> Projective:
    """An affine matrix with its third row."""
    return np.array([*matrix, [0.0, 0.0, 1.0]])


def expanded(matrices: Sequence[Matrix], sizes: IntArray) -> IntArray:
    """Heights and widths ``[N, 2]`` that hold the whole rotated images.

    They are torchvision's: in float32, with one product of matrices a sample, and less than 1/10000 of a pixel dropped.

    Args:
        matrices: from points of the result to points of the image, from the middle.
        sizes: heights and widths of the images, ``[N, 2]``.
    """
    middles = torch.from_numpy(0.5 * sizes[:, ::-1]).float()  # [N, 2], x and y
    signs = torch.tensor([[-1.0, -1.0], [-1.0, 1.0], [1.0, 1.0], [1.0, -1.0]])
    corners = F.pad(middles[:, None] * signs, [0, 1], value=1.0)  # [N, 4, 3]
    turned = torch.stack([own @ matrix.T for own, matrix in zip(corners, torch.tensor(matrices), strict=True)])
    first = ((turned.amin(1) + middles) * 1e4).trunc().mul(1e-4).floor()
    end = ((turned.amax(1) + middles) * 1e4).trunc().mul(1e-4).ceil()
    return (end - first).long().flip(1).numpy()


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
    except RuntimeError:  # the corners lie on a line
        given, ends = ([[*point] for point in points] for points in (startpoints, endpoints))
        raise InvalidInput(f"no perspective map takes {given} to {ends}") from None
    coefficients: list[float] = solved.solution.to(torch.float32).tolist()
    return coefficients


def inverted_coefficients(coefficients: Sequence[float]) -> tuple[float, ...]:
    """The numbers a to h of the map from points of the image to points of the result.

    Raises:
        InvalidInput: there is none.
    """
    a, b, c, d, e, f, g, h = coefficients
    scale = a * e - b * d
    if scale == 0:
        raise InvalidInput(f"the perspective map of the coefficients {[*coefficients]} has no inverse")
    return (
        (e - f * h) / scale,
        (-b + c * h) / scale,
        (b * f - c * e) / scale,
        (-d + f * g) / scale,
        (a - c * g) / scale,
        (-a * f + c * d) / scale,
        (-e * g + d * h) / scale,
        (-a * h + b * g) / scale,
    )
