"""Rotate images, by quarter turns without touching a pixel's value and by any other angle with a warp."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from augserve_pipelines.frames import Frames, IntArray
from augserve_pipelines.interpolation import InterpolationMode
from augserve_pipelines.lanes import Lanes
from augserve_pipelines.ops import BoolArray, Chain, Op, Select, each_row
from augserve_pipelines.parameters import Center, Degrees, Fill, Flag, WarpInterpolation
from augserve_pipelines.transforms.affine import interval
from augserve_pipelines.transforms.base import Transform
from augserve_pipelines.transforms.fill import Color, check_color, image_color
from augserve_pipelines.transforms.matrices import Matrix, from_middle, inverse_matrix
from augserve_pipelines.transforms.warp import warp_affinely

__all__ = ["QuarterTurns", "RandomRotation", "Rotate", "rotate_image"]

FloatArray = NDArray[np.float64]


def rotate_image(
    image: Tensor,
    angle: float,
    interpolation: InterpolationMode | str | int = InterpolationMode.NEAREST,
    expand: bool = False,
    center: Sequence[float] | None = None,
    fill: Color = None,
) -> Tensor:
    """Rotate ``[..., C, H, W]``.

    Args:
        image: images of any dtype.
        angle: degrees, counter-clockwise.
        interpolation: nearest or bilinear.
        expand: whether the result grows to hold the whole rotated image; else the size stays.
        center: the point that stays in place, [x, y] in pixels from the upper left corner; None is the middle, about
            which quarter turns are exact where the result may take their shape.
        fill: value of what comes from outside the image, or one for each channel. None is not quite 0 in bilinear
            mode: it fades the border less.

    Raises:
        InvalidInput: ``fill`` has neither one value nor one for each channel.
    """
    channels, height, width = image.shape[-3:]
    degrees = angle % 360
    if center is None and degrees in ((0, 90, 180, 270) if expand or height == width else (0, 180)):
        return torch.rot90(image, int(degrees // 90), (-2, -1))
    check_color(fill, channels)
    matrix = _matrix(degrees, center, height, width)
    sizes = np.array([[height, width]])
    height, width = (_expanded([matrix], sizes) if expand else sizes)[0].tolist()
    mode = InterpolationMode(interpolation)
    return warp_affinely(image.unsqueeze(0), [matrix], (height, width), mode, fill).squeeze(0)


def _matrix(degrees: float, center: Sequence[float] | None, height: int, width: int) -> Matrix:
    return inverse_matrix(-degrees, (0.0, 0.0), 1.0, (0.0, 0.0), from_middle(center, height, width))


def _expanded(matrices: Sequence[Matrix], sizes: IntArray) -> IntArray:
    """Heights and widths ``[N, 2]`` that hold the whole rotated images.

    They are torchvision's: in float32, with one product of matrices a sample, and less than 1/10000 of a pixel dropped.
    """
    middles = torch.from_numpy(0.5 * sizes[:, ::-1]).float()  # [N, 2], x and y
    signs = torch.tensor([[-1.0, -1.0], [-1.0, 1.0], [1.0, 1.0], [1.0, -1.0]])
    corners = F.pad(middles[:, None] * signs, [0, 1], value=1.0)  # [N, 4, 3]
    turned = torch.stack([own @ matrix.T for own, matrix in zip(corners, torch.tensor(matrices), strict=True)])
    first = ((turned.amin(1) + middles) * 1e4).trunc().mul(1e-4).floor()
    end = ((turned.amax(1) + middles) * 1e4).trunc().mul(1e-4).ceil()
    return (end - first).long().flip(1).numpy()


@dataclass(frozen=True, slots=True)
class QuarterTurns(Op):
    """Rotate each sample by a number of quarter turns, counter-clockwise."""

    turns: IntArray  # [N], 0 to 3

    def frames(self, frames: Frames) -> Frames:
        lies = self.turns % 2 == 1
        heights, widths = frames.heights, frames.widths
        return frames.resized(np.where(lies, widths, heights), np.where(lies, heights, widths))

    def image(self, x: Tensor) -> Tensor:
        if (self.turns == self.turns[0]).all():
            return torch.rot90(x, int(self.turns[0]), (-2, -1))
        return each_row(lambda image, turns: torch.rot90(image, turns, (-2, -1)), x, self.turns)


@dataclass(frozen=True, slots=True)
class Rotate(Op):
    """Rotate each sample by its own angle into its own size."""

    angle: FloatArray  # [N], degrees, counter-clockwise
    height: IntArray  # [N], of the result
    width: IntArray
    interpolation: InterpolationMode
    fill: Color
    center: tuple[float, float] | None

    def frames(self, frames: Frames) -> Frames:
        return frames.resized(self.height, self.width)

    def image(self, x: Tensor) -> Tensor:
        matrices = [_matrix(angle, self.center, x.shape[-2], x.shape[-1]) for angle in self.angle.tolist()]
        return warp_affinely(x, matrices, (int(self.height[0]), int(self.width[0])), self.interpolation, self.fill)


class RandomRotation(Transform):
    """Rotate the sample by a random angle.

    Draws: the angle.

    Args:
        degrees: range of the angle in degrees, counter-clockwise; a number ``d`` is [-d, d].
        interpolation: ``nearest`` or ``bilinear``.
        expand: whether the result grows to hold the whole rotated image; else the size stays.
        center: the point that stays in place, [x, y] in pixels from the upper left corner; null is the middle, about
            which quarter turns move pixels without changing them.
        fill: value of what comes from outside the image, or a list with one for each channel, in the value range of the
            image at this step; null is not quite 0 in bilinear mode: it fades the border less.
    """

    def __init__(
        self,
        degrees: Degrees,
        interpolation: WarpInterpolation = "nearest",
        expand: Flag = False,
        center: Center = None,
        fill: Fill = 0,
    ) -> None:
        super().__init__()
        self.degrees = interval(degrees)
        self.interpolation = InterpolationMode(interpolation)
        self.expand = expand
        self.center = None if center is None else (center[0], center[1])
        self.fill = fill

    def draw(self, lanes: Lanes, frames: Frames) -> Op:
        angle = lanes.uniform(*self.degrees).astype(np.float64) % 360
        exact = self._is_exact(angle, frames)
        turns = QuarterTurns((angle[exact] // 90).astype(np.int64))
        if exact.all():
            return turns
        rotation = self._rotate(angle[~exact], frames[~exact])
        return Chain((Select(exact, turns), Select(~exact, rotation))) if exact.any() else rotation

    def _is_exact(self, angle: FloatArray, frames: Frames) -> BoolArray:
        if self.center is not None:
            return np.zeros(len(frames), bool)
        may_lie = (frames.heights == frames.widths) | self.expand
        exact: BoolArray = np.isin(angle, (0, 180)) | (may_lie & np.isin(angle, (90, 270)))
        return exact

    def _rotate(self, angle: FloatArray, frames: Frames) -> Rotate:
        color = image_color(self.fill)
        for channels in np.unique(frames.channels).tolist():
            check_color(color, channels)
        sizes = np.stack([frames.heights, frames.widths], axis=1)
        if self.expand:
            rows = zip(angle.tolist(), sizes.tolist(), strict=True)
            sizes = _expanded([_matrix(degrees, self.center, *size) for degrees, size in rows], sizes)
        return Rotate(angle, sizes[:, 0], sizes[:, 1], self.interpolation, color, self.center)
