"""Affine maps: rotate, translate, scale and shear at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from augserve_pipelines.frames import Frames, IntArray
from augserve_pipelines.interpolation import InterpolationMode
from augserve_pipelines.lanes import Lanes
from augserve_pipelines.ops import Op
from augserve_pipelines.parameters import Center, Degrees, Fill, ScaleRange, Shear, Translate, WarpInterpolation
from augserve_pipelines.transforms.base import Transform
from augserve_pipelines.transforms.fill import Color, check_color, image_color
from augserve_pipelines.transforms.matrices import from_middle, inverse_matrix
from augserve_pipelines.transforms.warp import warp_affinely

__all__ = ["AffineMap", "RandomAffine", "affine_image", "interval"]

FloatArray = NDArray[np.float32]


def affine_image(
    image: Tensor,
    angle: float,
    translate: Sequence[float],
    scale: float,
    shear: float | Sequence[float],
    interpolation: InterpolationMode | str | int = InterpolationMode.NEAREST,
    fill: Color = None,
    center: Sequence[float] | None = None,
) -> Tensor:
    """Map ``[..., C, H, W]`` affinely; the size stays.

    Args:
        image: images of any dtype.
        angle: degrees, clockwise.
        translate: pixels to the right and down.
        scale: factor, greater than 0.
        shear: degrees along x, or [along x, along y].
        interpolation: nearest or bilinear.
        fill: value of what comes from outside the image, or one for each channel. None is not quite 0 in bilinear
            mode: it fades the border less.
        center: the point that stays in place but for the translation, [x, y] in pixels from the upper left corner;
            None is the middle.

    Raises:
        InvalidInput: ``fill`` has neither one value nor one for each channel.
    """
    channels, height, width = image.shape[-3:]
    check_color(fill, channels)
    shears = [shear, 0.0] if isinstance(shear, int | float) else [shear[0], shear[-1]]
    matrix = inverse_matrix(angle, translate, scale, shears, from_middle(center, height, width))
    mode = InterpolationMode(interpolation)
    return warp_affinely(image.unsqueeze(0), [matrix], (height, width), mode, fill).squeeze(0)


def interval(bounds: float | Sequence[float]) -> tuple[float, ...]:
    """``d`` as (-d, d); bounds as they are."""
    return (-float(bounds), float(bounds)) if isinstance(bounds, int | float) else tuple(bounds)


@dataclass(frozen=True, slots=True)
class AffineMap(Op):
    """Map each sample affinely."""

    angle: FloatArray  # [N], degrees, clockwise
    translate: IntArray  # [N, 2], pixels to the right and down
    scale: FloatArray  # [N]
    shear: FloatArray  # [N, 2], degrees along x and y
    interpolation: InterpolationMode
    fill: Color
    center: tuple[float, float] | None

    def image(self, x: Tensor) -> Tensor:
        height, width = x.shape[-2:]
        center = from_middle(self.center, height, width)
        rows = zip(self.angle.tolist(), self.translate.tolist(), self.scale.tolist(), self.shear.tolist(), strict=True)
        matrices = [inverse_matrix(*row, center) for row in rows]
        return warp_affinely(x, matrices, (height, width), self.interpolation, self.fill)


class RandomAffine(Transform):
    """Rotate, translate, scale and shear the sample at random; its size stays.

    Draws: the angle; then, of those that are given, the translation (across, down), the scale, the shear (along x,
    along y).

    Args:
        degrees: range of the angle in degrees, clockwise; a number ``d`` is [-d, d].
        translate: greatest shift as a share of the width and of the height, 0 to 1; null is no shift.
        scale: range of the factor; null is no scaling.
        shear: range of the angle of shear along x in degrees, or of both, [low_x, high_x, low_y, high_y]; a number
            ``s`` is [-s, s]; null is no shear.
        interpolation: ``nearest`` or ``bilinear``.
        fill: value of what comes from outside the image, or a list with one for each channel, in the value range of the
            image at this step; null is not quite 0 in bilinear mode: it fades the border less.
        center: the point that stays in place but for the translation, [x, y] in pixels from the upper left corner; null
            is the middle of the image.
    """

    def __init__(
        self,
        degrees: Degrees,
        translate: Translate = None,
        scale: ScaleRange = None,
        shear: Shear = None,
        interpolation: WarpInterpolation = "nearest",
        fill: Fill = 0,
        center: Center = None,
    ) -> None:
        super().__init__()
        self.degrees = interval(degrees)
        self.translate = translate
        self.scale = scale
        self.shear = None if shear is None else interval(shear)
        self.interpolation = InterpolationMode(interpolation)
        self.fill = fill
        self.center = None if center is None else (center[0], center[1])

    def draw(self, lanes: Lanes, frames: Frames) -> Op:
        color = image_color(self.fill)
        for channels in np.unique(frames.channels).tolist():
            check_color(color, channels)
        angle = lanes.uniform(*self.degrees)
        translate = self._translate(lanes, frames)
        scale = np.ones(len(frames), np.float32) if self.scale is None else lanes.uniform(*self.scale)
        return AffineMap(angle, translate, scale, self._shear(lanes), self.interpolation, color, self.center)

    def _translate(self, lanes: Lanes, frames: Frames) -> IntArray:
        shift = np.zeros((len(frames), 2), np.int64)
        if self.translate is not None:
            for axis, sizes in enumerate((frames.widths, frames.heights)):
                most = self.translate[axis] * sizes
                shift[:, axis] = np.rint(lanes.uniform(-most, most))  # half to even, as Python's round
        return shift

    def _shear(self, lanes: Lanes) -> FloatArray:
        bounds = self.shear or ()
        shear = np.zeros((len(lanes), 2), np.float32)
        for axis in range(len(bounds) // 2):
            shear[:, axis] = lanes.uniform(bounds[2 * axis], bounds[2 * axis + 1])
        return shear
