"""Affine maps: rotate, translate, scale and shear at once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import PIL.Image
import torch
from numpy.typing import NDArray
from torch import Tensor

from augserve_pipelines.dispatch import ALL_KINDS, Call, functional
from augserve_pipelines.frames import Frames, IntArray
from augserve_pipelines.interpolation import InterpolationMode
from augserve_pipelines.lanes import GlobalLane, Lanes
from augserve_pipelines.ops import Kernels, Op
from augserve_pipelines.parameters import Center, Degrees, Fill, ScaleRange, Shear, Translate, WarpInterpolation
from augserve_pipelines.transforms.base import Transform
from augserve_pipelines.transforms.fill import Color, ColorArray, Fills, colors, image_colors
from augserve_pipelines.transforms.matrices import Affinity, Projective, Size, from_middle, middle, projective
from augserve_pipelines.transforms.warp import check_mode, check_warp, transformed_picture, warp_affinely, warp_mask
from augserve_pipelines.transforms.warp_boxes import Move, affine_move, move_boxes, move_keypoints
from augserve_pipelines.tv_tensors import BoundingBoxFormat, ClampingMode

__all__ = [
    "AffineMap",
    "RandomAffine",
    "affine",
    "affine_bounding_boxes",
    "affine_image",
    "affine_keypoints",
    "affine_mask",
    "affine_picture",
    "interval",
]

FloatArray = NDArray[np.floating[Any]]


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
        InvalidInput: ``fill`` has neither one value nor one for each channel, or an argument is out of its range.
    """
    size = image.shape[-2], image.shape[-1]
    matrix = Affinity.of(angle, translate, scale, shear).inverse(from_middle(center, *size))
    mode = check_warp(image, interpolation, fill)
    return warp_affinely(image.unsqueeze(0), [matrix], size, mode, [fill]).squeeze(0)


def affine_mask(
    mask: Tensor,
    angle: float,
    translate: Sequence[float],
    scale: float,
    shear: float | Sequence[float],
    fill: Color = None,
    center: Sequence[float] | None = None,
) -> Tensor:
    """``affine_image`` for masks ``[..., H, W]``, never blended; a fill may have a value for each of ``[N, H, W]``."""
    return warp_mask(affine_image, mask, angle, translate, scale, shear, fill=fill, center=center)


def affine_bounding_boxes(
    bounding_boxes: Tensor,
    format: BoundingBoxFormat,
    canvas_size: Size,
    angle: float,
    translate: Sequence[float],
    scale: float,
    shear: float | Sequence[float],
    center: Sequence[float] | None = None,
    clamping_mode: ClampingMode = "soft",
) -> Tensor:
    """The boxes ``[..., K]`` around the mapped corners; see ``affine_image``.

    Args:
        bounding_boxes: coordinates.
        format: their format.
        canvas_size: height and width of the image.
        angle: degrees, clockwise.
        translate: pixels to the right and down.
        scale: factor, greater than 0.
        shear: degrees along x, or [along x, along y].
        center: the point that stays in place, [x, y].
        clamping_mode: how boxes are cut down to the canvas.
    """
    if not bounding_boxes.numel():
        return bounding_boxes
    move = _move(canvas_size, angle, translate, scale, shear, center)
    boxes = bounding_boxes if bounding_boxes.is_floating_point() else bounding_boxes.float()
    return move_boxes(boxes, move, format, canvas_size, clamping_mode).to(bounding_boxes.dtype)


def affine_keypoints(
    keypoints: Tensor,
    canvas_size: Size,
    angle: float,
    translate: Sequence[float],
    scale: float,
    shear: float | Sequence[float],
    center: Sequence[float] | None = None,
) -> tuple[Tensor, Size]:
    """Where points ``[..., 2]`` go, and the size of the canvas, which stays; see ``affine_image``."""
    if not keypoints.numel():
        return keypoints, canvas_size
    return move_keypoints(keypoints, _move(canvas_size, angle, translate, scale, shear, center)), canvas_size


def affine_picture(
    image: PIL.Image.Image,
    angle: float,
    translate: Sequence[float],
    scale: float,
    shear: float | Sequence[float],
    interpolation: InterpolationMode | str | int = InterpolationMode.NEAREST,
    fill: Color = None,
    center: Sequence[float] | None = None,
) -> PIL.Image.Image:
    """``affine_image`` for a PIL image, with Pillow's pixels; bicubic too."""
    about = middle(image.height, image.width) if center is None else center
    matrix = Affinity.of(angle, translate, scale, shear).inverse(about)
    return transformed_picture(image, PIL.Image.Transform.AFFINE, [*matrix[0], *matrix[1]], interpolation, fill)


def affine_geometry(
    height: int,
    width: int,
    angle: float,
    translate: Sequence[float],
    scale: float,
    shear: float | Sequence[float],
    center: Sequence[float] | None = None,
    **_: Any,
) -> tuple[Projective, Size]:
    """Where points go: the matrix ``[3, 3]``, and the size."""
    about = middle(height, width) if center is None else center
    return projective(Affinity.of(angle, translate, scale, shear).forward(about)), (height, width)


@functional(
    image=affine_image,
    mask=affine_mask,
    boxes=affine_bounding_boxes,
    keypoints=affine_keypoints,
    picture=affine_picture,
    geometry=affine_geometry,
)
def affine(
    inpt: Any,
    angle: float,
    translate: Sequence[float],
    scale: float,
    shear: float | Sequence[float],
    interpolation: InterpolationMode | str | int = InterpolationMode.NEAREST,
    fill: Color = None,
    center: Sequence[float] | None = None,
) -> Any:
    """Rotate, translate, scale and shear at once; the size stays. See ``RandomAffine``."""


@dataclass(frozen=True, slots=True)
class AffineMap(Op):
    """Map each sample affinely."""

    kernels: ClassVar[Kernels] = Kernels(0, 14)
    planar: ClassVar[bool] = True

    angle: FloatArray  # [N], degrees, clockwise
    translate: IntArray  # [N, 2], pixels to the right and down
    scale: FloatArray  # [N]
    shear: FloatArray  # [N, 2], degrees along x and y
    color: ColorArray  # [N], what images are filled with
    interpolation: InterpolationMode
    fill: Fills
    center: tuple[float, float] | None = None

    def calls(self) -> Iterator[Call]:
        drawn = self.row("angle", "translate", "scale", "shear")
        for kinds, color in colors(self.fill):
            arguments = {**drawn, "interpolation": self.interpolation, "fill": color, "center": self.center}
            yield Call(affine, arguments, kinds)

    def image(self, x: Tensor) -> Tensor:
        size = x.shape[-2], x.shape[-1]
        rows = zip(self.angle.tolist(), self.translate.tolist(), self.scale.tolist(), self.shear.tolist(), strict=True)
        center = from_middle(self.center, *size)
        matrices = [Affinity(*row).inverse(center) for row in rows]
        return warp_affinely(x, matrices, size, self.interpolation, self.color.tolist())


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
        interpolation: ``nearest`` or ``bilinear``; PIL images take ``bicubic`` too. Masks are never blended.
        fill: value of what comes from outside the image, or a list with one for each channel, in the value range of the
            image at this step; null is not quite 0 in bilinear mode: it fades the border less. A mapping has one of
            these for each kind of input.
        center: the point that stays in place but for the translation, [x, y] in pixels from the upper left corner; null
            is the middle of the image.
    """

    acts_on = ALL_KINDS
    one_size = True

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
        check_mode(self.interpolation, frames)
        color = image_colors(self.fill, frames)
        angle = lanes.uniform(*self.degrees)
        translate = self._translate(lanes, frames)
        scale = np.ones(len(frames), np.float32) if self.scale is None else lanes.uniform(*self.scale)
        shear = self._shear(lanes)
        return AffineMap(angle, translate, scale, shear, color, self.interpolation, self.fill, self.center)

    @staticmethod
    def get_params(
        degrees: Sequence[float],
        translate: Sequence[float] | None,
        scale_ranges: Sequence[float] | None,
        shears: Sequence[float] | None,
        img_size: Sequence[int],
    ) -> tuple[float, tuple[int, int], float, tuple[float, float]]:
        """Draw the angle, the translation, the scale and the shear, from torch's global generator.

        Args:
            degrees: range of the angle.
            translate: greatest shift as a share of the width and of the height; None is no shift.
            scale_ranges: range of the factor; None is no scaling.
            shears: range of the angle of shear along x, or of both; None is no shear.
            img_size: width and height of the image.
        """
        width, height = img_size
        frames = Frames.of([torch.empty(1, height, width, device="meta")])
        drawn = RandomAffine(degrees, translate, scale_ranges, shears).draw(GlobalLane(), frames)
        angle, shift, scale, shear = drawn.row("angle", "translate", "scale", "shear").values()
        return angle, (shift[0], shift[1]), scale, (shear[0], shear[1])

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


def interval(bounds: float | Sequence[float]) -> tuple[float, ...]:
    """``d`` as (-d, d); bounds as they are."""
    return (-float(bounds), float(bounds)) if isinstance(bounds, int | float) else tuple(bounds)


def _move(
    canvas_size: Size,
    angle: float,
    translate: Sequence[float],
    scale: float,
    shear: float | Sequence[float],
    center: Sequence[float] | None,
) -> Move:
    about = middle(*canvas_size) if center is None else center
    return affine_move(Affinity.of(angle, translate, scale, shear).forward(about))
