"""Perspective maps: the four corners of an image move, and all between them with them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, TypeAlias

import numpy as np
import PIL.Image
import torch
from numpy.typing import NDArray
from torch import Tensor

from augserve_pipelines.dispatch import ALL_KINDS, Call, functional
from augserve_pipelines.errors import InvalidInput
from augserve_pipelines.frames import Frames, IntArray
from augserve_pipelines.interpolation import InterpolationMode
from augserve_pipelines.lanes import GlobalLane, Lanes
from augserve_pipelines.ops import Kernels, Op
from augserve_pipelines.parameters import Fill, Probability, WarpInterpolation
from augserve_pipelines.transforms.base import RandomTransform
from augserve_pipelines.transforms.fill import Color, ColorArray, Fills, colors, image_colors
from augserve_pipelines.transforms.matrices import (
    Point,
    Projective,
    Size,
    inverted_coefficients,
    perspective_coefficients,
)
from augserve_pipelines.transforms.warp import (
    check_mode,
    check_warp,
    float_of,
    sums_of_products,
    transformed_picture,
    warp_mask,
    warp_rows,
)
from augserve_pipelines.transforms.warp_boxes import Move, move_boxes, move_keypoints, with_ones
from augserve_pipelines.tv_tensors import BoundingBoxFormat, ClampingMode

__all__ = [
    "PerspectiveMap",
    "RandomPerspective",
    "perspective",
    "perspective_bounding_boxes",
    "perspective_image",
    "perspective_keypoints",
    "perspective_mask",
    "perspective_picture",
]

FloatArray = NDArray[np.float32]
Points: TypeAlias = Sequence[Point] | None


def perspective_image(
    image: Tensor,
    startpoints: Points,
    endpoints: Points,
    interpolation: InterpolationMode | str | int = InterpolationMode.BILINEAR,
    fill: Color = None,
    coefficients: Sequence[float] | None = None,
) -> Tensor:
    """Map ``[..., C, H, W]`` so that four points go to four others; the size stays.

    Args:
        image: images of any dtype.
        startpoints: four points [x, y] of the image.
        endpoints: where they go.
        interpolation: nearest or bilinear.
        fill: value of what comes from outside the image, or one for each channel. None is not quite 0 in bilinear
            mode: it fades the border less.
        coefficients: in place of the points, eight numbers a to h: ``(x, y)`` of the result is
            ``((ax + by + c) / (gx + hy + 1), (dx + ey + f) / (gx + hy + 1))`` of the image.

    Raises:
        InvalidInput: there are neither four pairs of points nor eight coefficients, or both; no such map takes these
            points to those; ``fill`` has neither one value nor one for each channel.
    """
    size = image.shape[-2], image.shape[-1]
    found = torch.tensor([_coefficients(startpoints, endpoints, coefficients)], dtype=torch.float64)
    mode = check_warp(image, interpolation, fill)
    return _warped(image.unsqueeze(0), found, size, mode, [fill]).squeeze(0)


def perspective_mask(
    mask: Tensor,
    startpoints: Points,
    endpoints: Points,
    fill: Color = None,
    coefficients: Sequence[float] | None = None,
) -> Tensor:
    """``perspective_image`` for masks ``[..., H, W]``, never blended; a fill may be for each of ``[N, H, W]``."""
    return warp_mask(perspective_image, mask, startpoints, endpoints, fill=fill, coefficients=coefficients)


def perspective_bounding_boxes(
    bounding_boxes: Tensor,
    format: BoundingBoxFormat,
    canvas_size: Size,
    startpoints: Points,
    endpoints: Points,
    coefficients: Sequence[float] | None = None,
    clamping_mode: ClampingMode = "soft",
) -> Tensor:
    """The boxes ``[..., K]`` around the mapped corners; see ``perspective_image``.

    Raises:
        InvalidInput: the map has no inverse.
    """
    if not bounding_boxes.numel():
        return bounding_boxes
    move = _move(_coefficients(startpoints, endpoints, coefficients))
    return move_boxes(bounding_boxes, move, format, canvas_size, clamping_mode).to(bounding_boxes.dtype)


def perspective_keypoints(
    keypoints: Tensor,
    canvas_size: Size,
    startpoints: Points,
    endpoints: Points,
    coefficients: Sequence[float] | None = None,
) -> Tensor:
    """Where points ``[..., 2]`` go; see ``perspective_image``.

    Raises:
        InvalidInput: the map has no inverse.
    """
    if not keypoints.numel():
        return keypoints
    return move_keypoints(keypoints, _move(_coefficients(startpoints, endpoints, coefficients)))


def perspective_picture(
    image: PIL.Image.Image,
    startpoints: Points,
    endpoints: Points,
    interpolation: InterpolationMode | str | int = InterpolationMode.BILINEAR,
    fill: Color = None,
    coefficients: Sequence[float] | None = None,
) -> PIL.Image.Image:
    """``perspective_image`` for a PIL image, with Pillow's pixels; bicubic too."""
    found = _coefficients(startpoints, endpoints, coefficients)
    return transformed_picture(image, PIL.Image.Transform.PERSPECTIVE, found, interpolation, fill)


def perspective_geometry(
    height: int,
    width: int,
    startpoints: Points,
    endpoints: Points,
    coefficients: Sequence[float] | None = None,
    **_: Any,
) -> tuple[Projective, Size]:
    """Where points go: the matrix ``[3, 3]``, and the size."""
    inverse = inverted_coefficients(_coefficients(startpoints, endpoints, coefficients))
    return np.array([*inverse, 1.0]).reshape(3, 3), (height, width)


@functional(
    image=perspective_image,
    mask=perspective_mask,
    boxes=perspective_bounding_boxes,
    keypoints=perspective_keypoints,
    picture=perspective_picture,
    geometry=perspective_geometry,
)
def perspective(
    inpt: Any,
    startpoints: Points,
    endpoints: Points,
    interpolation: InterpolationMode | str | int = InterpolationMode.BILINEAR,
    fill: Color = None,
    coefficients: Sequence[float] | None = None,
) -> Any:
    """Move four points to four others, and all between them with them; the size stays. See ``RandomPerspective``."""


@dataclass(frozen=True, slots=True)
class PerspectiveMap(Op):
    """Map each sample in perspective."""

    kernels: ClassVar[Kernels] = Kernels(0, 27)
    planar: ClassVar[bool] = True

    coefficients: FloatArray  # [N, 8], from points of the result to points of the image
    color: ColorArray  # [N], what images are filled with
    interpolation: InterpolationMode
    fill: Fills

    def calls(self) -> Iterator[Call]:
        given = {"startpoints": None, "endpoints": None, "interpolation": self.interpolation}
        for kinds, color in colors(self.fill):
            yield Call(perspective, {**given, **self.row("coefficients"), "fill": color}, kinds)

    def image(self, x: Tensor) -> Tensor:
        size = x.shape[-2], x.shape[-1]
        return _warped(x, torch.from_numpy(self.coefficients), size, self.interpolation, self.color.tolist())


class RandomPerspective(RandomTransform):
    """Move the corners of the sample at random towards its middle, with probability ``p``; its size stays.

    Draws: one number for ``p``; where it fires, x and y of the upper left, upper right, lower right and lower left
    corner.

    Args:
        distortion_scale: how far corners move at most, as a share of half the width and of half the height, 0 to 1.
        p: probability of moving them.
        interpolation: ``nearest`` or ``bilinear``; PIL images take ``bicubic`` too. Masks are never blended.
        fill: value of what comes from outside the image, or a list with one for each channel, in the value range of the
            image at this step; null is not quite 0 in bilinear mode: it fades the border less. A mapping has one of
            these for each kind of input.

    Raises:
        InvalidInput: the corners fall together, as those of an image one pixel wide do.
    """

    acts_on = ALL_KINDS
    one_size = True

    def __init__(
        self,
        distortion_scale: Probability = 0.5,
        p: Probability = 0.5,
        interpolation: WarpInterpolation = "bilinear",
        fill: Fill = 0,
    ) -> None:
        super().__init__()
        self.distortion_scale = distortion_scale
        self.p = p
        self.interpolation = InterpolationMode(interpolation)
        self.fill = fill

    def draw_fired(self, lanes: Lanes, frames: Frames) -> Op:
        check_mode(self.interpolation, frames)
        color = image_colors(self.fill, frames)
        sizes = zip(frames.heights.tolist(), frames.widths.tolist(), strict=True)
        ends = _endpoints(lanes, frames.heights, frames.widths, self.distortion_scale).tolist()
        rows = [perspective_coefficients(_corner_pixels(*size), own) for size, own in zip(sizes, ends, strict=True)]
        coefficients = np.array(rows, np.float32).reshape(len(rows), 8)
        return PerspectiveMap(coefficients, color, self.interpolation, self.fill)

    @staticmethod
    def get_params(width: int, height: int, distortion_scale: float) -> tuple[list[list[int]], list[list[int]]]:
        """Draw where the corners go, from torch's global generator.

        Args:
            width: of the image, pixels.
            height: of the image.
            distortion_scale: how far corners move at most, as a share of half the width and of half the height.

        Returns:
            The corners [x, y] of the image, and where they go.
        """
        ends = _endpoints(GlobalLane(), np.array([height]), np.array([width]), distortion_scale)
        return _corner_pixels(height, width), ends[0].tolist()


def _corner_pixels(height: int, width: int) -> list[list[int]]:
    return [[0, 0], [width - 1, 0], [width - 1, height - 1], [0, height - 1]]


def _endpoints(lanes: Lanes, heights: IntArray, widths: IntArray, distortion_scale: float) -> IntArray:
    """Where the corners of images go: ``[N, 4, 2]``."""
    down, across = (1 + (distortion_scale * (sizes // 2)).astype(np.int64) for sizes in (heights, widths))
    left, right = (np.zeros_like(widths), across), (widths - across, widths)
    upper, lower = (np.zeros_like(heights), down), (heights - down, heights)
    bounds = (left, upper, right, upper, right, lower, left, lower)
    return np.stack([lanes.integers(low, high) for low, high in bounds], axis=1).reshape(-1, 4, 2)


def _coefficients(startpoints: Points, endpoints: Points, coefficients: Sequence[float] | None) -> list[float]:
    if coefficients is None:
        if startpoints is None or endpoints is None:
            raise InvalidInput("startpoints and endpoints are needed, or coefficients in their place")
        return perspective_coefficients(startpoints, endpoints)
    if startpoints is not None and endpoints is not None:
        raise InvalidInput("startpoints and endpoints are given, and coefficients too: only one of these is taken")
    if len(coefficients) != 8:
        raise InvalidInput(f"there are {len(coefficients)} coefficients; 8 are needed")
    return [*coefficients]


def _warped(
    image: Tensor, coefficients: Tensor, size: Size, interpolation: InterpolationMode, fills: Sequence[Color]
) -> Tensor:
    theta = coefficients.to(image.device, float_of(image))
    return warp_rows(image, lambda rows: _points(theta[rows], size), size, interpolation, fills)


def _points(theta: Tensor, size: Size) -> Tensor:
    """Where the pixels of results lie in the image, -1 to 1 from edge to edge, by ``theta`` ``[n, 8]``."""
    height, width = size
    numerators, denominators = theta[:, :6].view(-1, 2, 3), theta.new_ones(len(theta), 2, 3)
    denominators[:, :, :2] = theta[:, None, 6:]
    steps = numerators.transpose(1, 2) / theta.new_tensor([0.5 * width, 0.5 * height])  # [n, 3, 2]
    y, x = (torch.linspace(0.5, n - 0.5, n, dtype=theta.dtype, device=theta.device) for n in size)
    points = sums_of_products(steps, x, y).div_(sums_of_products(denominators.transpose(1, 2), x, y)).sub_(1.0)
    return points.permute(0, 2, 3, 1)


def _move(coefficients: Sequence[float]) -> Move:
    a, b, c, d, e, f, g, h = inverted_coefficients(coefficients)

    def move(points: Tensor) -> Tensor:
        ones = with_ones(points if points.is_floating_point() else points.float())
        numerators, denominators = ones.new_tensor([[a, b, c], [d, e, f]]), ones.new_tensor([[g, h, 1.0]] * 2)
        return (ones @ numerators.T).div_(ones @ denominators.T)

    return move
