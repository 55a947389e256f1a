"""Rotate images, by quarter turns without touching a pixel's value and by any other angle with a warp."""

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
from augserve_pipelines.ops import BoolArray, Chain, Kernels, Op, Select, each_row
from augserve_pipelines.parameters import Center, Degrees, Fill, Flag, WarpInterpolation
from augserve_pipelines.transforms.affine import interval
from augserve_pipelines.transforms.base import Transform
from augserve_pipelines.transforms.fill import Color, ColorArray, Fills, colors, image_colors, picture_color
from augserve_pipelines.transforms.matrices import (
    Affinity,
    Matrix,
    Point,
    Projective,
    Size,
    expanded,
    from_middle,
    middle,
    projective,
)
from augserve_pipelines.transforms.warp import check_mode, check_warp, warp_affinely, warp_mask
from augserve_pipelines.transforms.warp_boxes import Move, affine_move, corners, move_boxes, move_keypoints
from augserve_pipelines.tv_tensors import BoundingBoxFormat, ClampingMode

__all__ = [
    "QuarterTurns",
    "RandomRotation",
    "Rotate",
    "rotate",
    "rotate_bounding_boxes",
    "rotate_image",
    "rotate_keypoints",
    "rotate_mask",
    "rotate_picture",
    "rotation",
]

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
    size = image.shape[-2], image.shape[-1]
    turns = _quarter_turns(angle, expand, center, size)
    if turns is not None:
        return _turned(image, turns)
    mode = check_warp(image, interpolation, fill)
    inverse = _inverse(angle, from_middle(center, *size))
    result_size = _expanded(inverse, size) if expand else size
    return warp_affinely(image.unsqueeze(0), [inverse], result_size, mode, [fill]).squeeze(0)


def rotate_mask(
    mask: Tensor,
    angle: float,
    expand: bool = False,
    center: Sequence[float] | None = None,
    fill: Color = None,
) -> Tensor:
    """``rotate_image`` for masks ``[..., H, W]``, never blended; a fill may have a value for each of ``[N, H, W]``."""
    return warp_mask(rotate_image, mask, angle, expand=expand, center=center, fill=fill)


def rotate_bounding_boxes(
    bounding_boxes: Tensor,
    format: BoundingBoxFormat,
    canvas_size: Size,
    angle: float,
    expand: bool = False,
    center: Sequence[float] | None = None,
    clamping_mode: ClampingMode = "soft",
) -> tuple[Tensor, Size]:
    """The boxes ``[..., K]`` around the rotated corners, and the size of their canvas; see ``rotate_image``.

    As in torchvision, an expanded canvas starts at the outermost corner itself, the image at the pixel that holds it,
    and without boxes the canvas stays as it is.

    Args:
        bounding_boxes: coordinates.
        format: their format.
        canvas_size: height and width of the image.
        angle: degrees, counter-clockwise.
        expand: whether the canvas grows.
        center: the point that stays in place, [x, y].
        clamping_mode: how boxes are cut down to the canvas.
    """
    if not bounding_boxes.numel():
        return bounding_boxes, canvas_size
    boxes = bounding_boxes if bounding_boxes.is_floating_point() else bounding_boxes.float()
    move, origin, size = _placed(canvas_size, angle, expand, center, boxes.dtype, boxes.device)
    return move_boxes(boxes, move, format, size, clamping_mode, origin).to(bounding_boxes.dtype), size


def rotate_keypoints(
    keypoints: Tensor,
    canvas_size: Size,
    angle: float,
    expand: bool = False,
    center: Sequence[float] | None = None,
) -> tuple[Tensor, Size]:
    """Where points ``[..., 2]`` go, and the size of their canvas, as with ``rotate_bounding_boxes``."""
    if not keypoints.numel():
        return keypoints, canvas_size
    dtype = keypoints.dtype if keypoints.is_floating_point() else torch.float32
    move, origin, size = _placed(canvas_size, angle, expand, center, dtype, keypoints.device)
    return move_keypoints(keypoints, move, origin), size


def rotate_picture(
    image: PIL.Image.Image,
    angle: float,
    interpolation: InterpolationMode | str | int = InterpolationMode.NEAREST,
    expand: bool = False,
    center: Sequence[float] | None = None,
    fill: Color = None,
) -> PIL.Image.Image:
    """``rotate_image`` for a PIL image, with Pillow's pixels; bicubic too."""
    about = None if center is None else (center[0], center[1])
    mode = PIL.Image.Resampling(InterpolationMode(interpolation).pillow)
    return image.rotate(angle, mode, expand, about, fillcolor=picture_color(fill, image))


def rotate_geometry(
    height: int, width: int, angle: float, expand: bool = False, center: Sequence[float] | None = None, **_: Any
) -> tuple[Projective, Size]:
    """Where points go: the matrix ``[3, 3]``, and the size.

    It is that of boxes and key points: the pixels of an expanded image lie up to one pixel beside them, as they do in
    torchvision, because an image starts at a whole pixel.
    """
    size = height, width
    matrix = projective(Affinity(-angle).forward(middle(*size) if center is None else center))
    if expand:
        matrix[:2, 2] -= (corners(size, torch.float64).numpy() @ matrix[:2, :2].T + matrix[:2, 2]).min(0)
    return matrix, _result_size(size, angle, expand, center)


def rotate_index_geometry(
    height: int, width: int, angle: float, expand: bool = False, center: Sequence[float] | None = None, **_: Any
) -> tuple[Projective, Size]:
    """The same matrix, and the size of the canvas of coordinates, which may be a pixel larger than the image."""
    placed = _placed((height, width), angle, expand, center, torch.float32)
    return rotate_geometry(height, width, angle, expand, center)[0], placed[-1]


@functional(
    image=rotate_image,
    mask=rotate_mask,
    boxes=rotate_bounding_boxes,
    keypoints=rotate_keypoints,
    picture=rotate_picture,
    geometry=rotate_geometry,
    index_geometry=rotate_index_geometry,
)
def rotate(
    inpt: Any,
    angle: float,
    interpolation: InterpolationMode | str | int = InterpolationMode.NEAREST,
    expand: bool = False,
    center: Sequence[float] | None = None,
    fill: Color = None,
) -> Any:
    """Rotate counter-clockwise, by quarter turns without touching a value. See ``RandomRotation``."""


@dataclass(frozen=True, slots=True)
class Turns(Op):
    """What rotations of any angle share."""

    angle: FloatArray  # [N], degrees, counter-clockwise
    interpolation: InterpolationMode
    fill: Fills
    expand: bool
    center: tuple[float, float] | None

    def calls(self) -> Iterator[Call]:
        given = {"interpolation": self.interpolation, "expand": self.expand, "center": self.center}
        for kinds, color in colors(self.fill):
            yield Call(rotate, {**self.row("angle"), **given, "fill": color}, kinds)


@dataclass(frozen=True, slots=True)
class QuarterTurns(Turns):
    """Rotate each sample by a number of quarter turns, which move pixels as they are."""

    def frames(self, frames: Frames) -> Frames:
        lies = self._turns() % 2 == 1
        heights, widths = frames.heights, frames.widths
        return frames.resized(np.where(lies, widths, heights), np.where(lies, heights, widths))

    def image(self, x: Tensor) -> Tensor:
        turns = self._turns()
        if (turns == turns[0]).all():
            return _turned(x, int(turns[0]))
        return each_row(_turned, x, turns)

    def _turns(self) -> IntArray:
        return (self.angle % 360 // 90).astype(np.int64)  # 0 to 3


@dataclass(frozen=True, slots=True)
class Rotate(Turns):
    """Rotate each sample by its own angle into its own size."""

    kernels: ClassVar[Kernels] = Kernels(0, 14)
    height: IntArray  # [N], of the result
    width: IntArray
    color: ColorArray  # [N], what images are filled with

    def frames(self, frames: Frames) -> Frames:
        return frames.resized(self.height, self.width).planar()

    def image(self, x: Tensor) -> Tensor:
        center = from_middle(self.center, x.shape[-2], x.shape[-1])
        matrices = [_inverse(angle, center) for angle in self.angle.tolist()]
        size = int(self.height[0]), int(self.width[0])
        return warp_affinely(x, matrices, size, self.interpolation, self.color.tolist())


def rotation(
    angle: FloatArray,
    frames: Frames,
    interpolation: InterpolationMode,
    fill: Fills,
    expand: bool = False,
    center: tuple[float, float] | None = None,
) -> Op:
    """Rotations of samples by their angles ``[N]``: quarter turns where the pixels need not be interpolated.

    Raises:
        InvalidInput: an image that has to be interpolated cannot be, or not with this fill.
    """
    shared = (interpolation, fill, expand, center)
    exact = _is_exact(angle % 360, frames, expand, center)
    turns = QuarterTurns(angle[exact], *shared)
    if exact.all():
        return turns
    angle, frames = angle[~exact], frames[~exact]
    check_mode(interpolation, frames)
    height, width = _sizes(angle, frames, expand, center).T
    warps = Rotate(angle, *shared, height, width, image_colors(fill, frames))
    return Chain((Select(exact, turns), Select(~exact, warps))) if exact.any() else warps


class RandomRotation(Transform):
    """Rotate the sample by a random angle.

    Draws: the angle.

    Args:
        degrees: range of the angle in degrees, counter-clockwise; a number ``d`` is [-d, d].
        interpolation: ``nearest`` or ``bilinear``; PIL images take ``bicubic`` too. Masks are never blended.
        expand: whether the result grows to hold the whole rotated image; else the size stays.
        center: the point that stays in place, [x, y] in pixels from the upper left corner; null is the middle, about
            which quarter turns move pixels without changing them.
        fill: value of what comes from outside the image, or a list with one for each channel, in the value range of the
            image at this step; null is not quite 0 in bilinear mode: it fades the border less. A mapping has one of
            these for each kind of input.
    """

    acts_on = ALL_KINDS

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
        angle = lanes.uniform(*self.degrees).astype(np.float64)
        return rotation(angle, frames, self.interpolation, self.fill, self.expand, self.center)

    @staticmethod
    def get_params(degrees: Sequence[float]) -> float:
        """Draw an angle in degrees between two, from torch's global generator."""
        return float(GlobalLane().uniform(*degrees)[0])


def _is_exact(angle: FloatArray, frames: Frames, expand: bool, center: tuple[float, float] | None) -> BoolArray:
    if center is not None:
        return np.zeros(len(frames), bool)
    may_lie = (frames.heights == frames.widths) | expand
    exact: BoolArray = np.isin(angle, (0, 180)) | (may_lie & np.isin(angle, (90, 270)))
    return exact


def _sizes(angle: FloatArray, frames: Frames, expand: bool, center: tuple[float, float] | None) -> IntArray:
    """Heights and widths of the results, ``[N, 2]``."""
    sizes = np.stack([frames.heights, frames.widths], axis=1)
    if not expand:
        return sizes
    rows = zip(angle.tolist(), sizes.tolist(), strict=True)
    return expanded([_inverse(degrees, from_middle(center, *size)) for degrees, size in rows], sizes)


def _turned(image: Tensor, turns: int) -> Tensor:
    return torch.rot90(image, turns, (-2, -1)) if turns else image.clone()  # which keeps the layout


def _inverse(angle: float, center: Point) -> Matrix:
    return Affinity(-(angle % 360)).inverse(center)


def _quarter_turns(angle: float, expand: bool, center: Sequence[float] | None, size: Size) -> int | None:
    """How many quarter turns, 0 to 3, move the pixels as they are; None where they have to be interpolated."""
    degrees = angle % 360
    if center is None and degrees in ((0, 90, 180, 270) if expand or size[0] == size[1] else (0, 180)):
        return int(degrees // 90)
    return None


def _result_size(size: Size, angle: float, expand: bool, center: Sequence[float] | None) -> Size:
    turns = _quarter_turns(angle, expand, center, size)
    if turns is not None:
        return size if turns % 2 == 0 else (size[1], size[0])
    return _expanded(_inverse(angle, from_middle(center, *size)), size) if expand else size


def _expanded(inverse: Matrix, size: Size) -> Size:
    height, width = expanded([inverse], np.array([size]))[0].tolist()
    return height, width


def _placed(
    canvas_size: Size,
    angle: float,
    expand: bool,
    center: Sequence[float] | None,
    dtype: torch.dtype,
    device: torch.device | str = "cpu",
) -> tuple[Move, Tensor | None, Size]:
    """How points move, where the canvas starts then, and its size."""
    rotation = Affinity(-angle)
    about = middle(*canvas_size) if center is None else center
    move = affine_move(rotation.forward(about))
    if not expand:
        return move, None, canvas_size
    origin = move(corners(canvas_size, dtype, device)).amin(0, keepdim=True)
    # The size is computed as if the center were given from the middle of the image: it may be off by one.
    return move, origin, _expanded(rotation.inverse(about), canvas_size)
