"""Affine warps of samples that were drawn apart, as one op: shears, shifts and turns go in one launch."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from augserve_pipelines.frames import Frames, IntArray
from augserve_pipelines.interpolation import InterpolationMode
from augserve_pipelines.ops import Op, Select
from augserve_pipelines.transforms.affine import AffineMap
from augserve_pipelines.transforms.fill import ColorArray
from augserve_pipelines.transforms.rotation import Rotate
from augserve_pipelines.transforms.warp import warp_affinely

__all__ = ["AffineWarp", "warped_together"]

FloatArray = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class AffineWarp(Op):
    """Warp each sample by its own matrix into its own size."""

    matrix: FloatArray  # [N, 2, 3], from points of the result to points of the image, from the middle of each
    height: IntArray  # [N], of the result
    width: IntArray
    color: ColorArray  # [N]
    interpolation: InterpolationMode

    def frames(self, frames: Frames) -> Frames:
        return frames.resized(self.height, self.width).planar()

    def image(self, x: Tensor) -> Tensor:
        size = int(self.height[0]), int(self.width[0])
        return warp_affinely(x, self.matrix.tolist(), size, self.interpolation, self.color.tolist())


def warped_together(first: Select, second: Select, frames: Frames) -> Select | None:
    """One warp for two of different samples, or None where a sample goes through both or they interpolate otherwise."""
    ours, theirs = (_warp(select.op, frames[select.rows]) for select in (first, second))
    if (first.rows & second.rows).any() or ours.interpolation is not theirs.interpolation:
        return None
    order = np.argsort(np.concatenate([np.flatnonzero(first.rows), np.flatnonzero(second.rows)]))
    both = AffineWarp(
        np.concatenate([ours.matrix, theirs.matrix]),
        np.concatenate([ours.height, theirs.height]),
        np.concatenate([ours.width, theirs.width]),
        np.concatenate([ours.color, theirs.color]),
        ours.interpolation,
    )
    return Select(first.rows | second.rows, both[order])


def _warp(op: Op, frames: Frames) -> AffineWarp:
    """The same warp of samples whose sizes are known."""
    match op:
        case AffineMap():
            return _for_sizes(op, frames.heights, frames.widths, frames)
        case Rotate():
            return _for_sizes(op, op.height, op.width, frames)
    assert isinstance(op, AffineWarp)
    return op


def _for_sizes(op: AffineMap | Rotate, height: IntArray, width: IntArray, frames: Frames) -> AffineWarp:
    matrices = op.matrices(zip(frames.heights.tolist(), frames.widths.tolist(), strict=True))
    return AffineWarp(np.array(matrices).reshape(-1, 2, 3), height, width, op.color, op.interpolation)
