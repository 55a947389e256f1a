"""Elastic maps: every pixel moves a little, and neighbours move alike."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

import numpy as np
import PIL.Image
import torch
from numpy.typing import NDArray
from torch import Tensor

from augserve_pipelines.arguments import Words, shown
from augserve_pipelines.constraints import Items, Modes
from augserve_pipelines.dispatch import ALL_KINDS, Call, functional
from augserve_pipelines.errors import InvalidInput, WrongKind
from augserve_pipelines.frames import Frames, IntArray
from augserve_pipelines.interpolation import InterpolationMode
from augserve_pipelines.kernels.boxes import clamp_bounding_boxes, convert_bounding_box_format
from augserve_pipelines.lanes import Lanes
from augserve_pipelines.ops import Kernels, Op
from augserve_pipelines.parameters import MODES, Fill, ModeLike, NotNegative
from augserve_pipelines.samples import Sample
from augserve_pipelines.transforms.base import Transform
from augserve_pipelines.transforms.displacement import (
    Displacement,
    Pair,
    check_smoothing,
    pair,
    random_displacement,
    random_fields,
)
from augserve_pipelines.transforms.fill import Color, ColorArray, Fills, colors, image_colors
from augserve_pipelines.transforms.matrices import Size
from augserve_pipelines.transforms.pictures import by_tensor
from augserve_pipelines.transforms.warp import (
    TENSOR_MODES,
    check_warp,
    float_of,
    launches_warps,
    looks,
    warp_mask,
    warp_rows,
)
from augserve_pipelines.tv_tensors import BoundingBoxFormat, ClampingMode, is_rotated_bounding_format

__all__ = [
    "Elastic",
    "ElasticTransform",
    "elastic",
    "elastic_bounding_boxes",
    "elastic_image",
    "elastic_keypoints",
    "elastic_mask",
    "elastic_picture",
    "elastic_transform",
]

StreamArray = NDArray[np.object_]

Alpha = Annotated[float | Annotated[Sequence[float], Items((1, 2))], Words("a number or a list of one or two numbers")]
Smoothness = Annotated[
    NotNegative | Annotated[Sequence[NotNegative], Items((1, 2))], Words("a number or a list of one or two numbers")
]

TensorInterpolation = Annotated[ModeLike, Modes(TENSOR_MODES), MODES]


def elastic_image(
    image: Tensor,
    displacement: Tensor,
    interpolation: InterpolationMode | str | int = InterpolationMode.BILINEAR,
    fill: Color = None,
) -> Tensor:
    """What ``[..., C, H, W]`` holds beside each pixel.

    Args:
        image: images of any dtype.
        displacement: ``[1, H, W, 2]``: how far to the right and down of a pixel of the result its value lies in the
            image, as a share of half the width and of half the height.
        interpolation: nearest or bilinear.
        fill: value of what comes from outside the image, or one for each channel. None is not quite 0 in bilinear
            mode: it fades the border less.

    Raises:
        TypeError: ``displacement`` is no tensor.
        InvalidInput: it has another shape, or ``fill`` neither one value nor one for each channel.
    """
    _check_shape(displacement, (image.shape[-2], image.shape[-1]))
    mode = check_warp(image, interpolation, fill)
    return _warped(image.unsqueeze(0), lambda rows: displacement, mode, [fill]).squeeze(0)


def elastic_mask(mask: Tensor, displacement: Tensor, fill: Color = None) -> Tensor:
    """``elastic_image`` for masks ``[..., H, W]``, never blended; a fill may have a value for each of ``[N, H, W]``."""
    return warp_mask(elastic_image, mask, displacement, fill=fill)


def elastic_bounding_boxes(
    bounding_boxes: Tensor,
    format: BoundingBoxFormat,
    canvas_size: Size,
    displacement: Tensor,
    clamping_mode: ClampingMode = "soft",
) -> Tensor:
    """The boxes ``[..., K]`` around the displaced corners; of rotated boxes only the centre moves.

    As in torchvision, a point moves against the displacement at it, which is near where displacements are small.
    """
    _check_shape(displacement, canvas_size)
    if not bounding_boxes.numel():
        return bounding_boxes
    rotated = is_rotated_bounding_format(format)
    moved_format = BoundingBoxFormat.CXCYWHR if rotated else BoundingBoxFormat.XYXY
    boxes = convert_bounding_box_format(bounding_boxes, format, moved_format)
    boxes = boxes.reshape(-1, boxes.shape[-1])
    points = boxes[:, :2] if rotated else boxes[:, [0, 1, 2, 1, 2, 3, 0, 3]].reshape(-1, 2)
    moved = _moved(points.ceil(), canvas_size, displacement)
    if rotated:
        found = torch.cat([moved, boxes[:, 2:]], dim=1)
    else:
        found = torch.cat(torch.aminmax(moved.reshape(-1, 4, 2), dim=1), dim=1)
    found = clamp_bounding_boxes(found.to(boxes.dtype), moved_format, canvas_size, clamping_mode)
    return convert_bounding_box_format(found, moved_format, format).reshape(bounding_boxes.shape)


def elastic_keypoints(keypoints: Tensor, canvas_size: Size, displacement: Tensor) -> Tensor:
    """Where points ``[..., 2]`` go: near to it, as with ``elastic_bounding_boxes``."""
    _check_shape(displacement, canvas_size)
    if not keypoints.numel():
        return keypoints
    moved = _moved(keypoints.reshape(-1, 2), canvas_size, displacement)
    return moved.to(keypoints.dtype).reshape(keypoints.shape)


def elastic_picture(
    image: PIL.Image.Image,
    displacement: Tensor,
    interpolation: InterpolationMode | str | int = InterpolationMode.BILINEAR,
    fill: Color = None,
) -> PIL.Image.Image:
    """``elastic_image`` for a PIL image."""
    return by_tensor(image, lambda pixels: elastic_image(pixels, displacement, interpolation, fill))


def elastic_geometry(
    height: int, width: int, displacement: Tensor | Displacement, **_: Any
) -> tuple[None, tuple[int, int]]:
    """That no matrix says where points go, and the size.

    Raises:
        InvalidInput: the displacements are for another size, or cannot be smoothed so.
    """
    if isinstance(displacement, Displacement):
        check_smoothing(displacement.sigma, height, width)
        if (displacement.height, displacement.width) != (height, width):
            given = f"{displacement.height} x {displacement.width}"
            raise InvalidInput(f"displacements of {given} do not suit {height} x {width} pixels")
    return None, (height, width)


@functional(
    image=elastic_image,
    mask=elastic_mask,
    boxes=elastic_bounding_boxes,
    keypoints=elastic_keypoints,
    picture=elastic_picture,
    geometry=elastic_geometry,
)
def elastic(
    inpt: Any,
    displacement: Tensor,
    interpolation: InterpolationMode | str | int = InterpolationMode.BILINEAR,
    fill: Color = None,
) -> Any:
    """Move every pixel by a displacement of its own. See ``ElasticTransform``."""


elastic_transform = elastic


@dataclass(frozen=True, slots=True)
class Elastic(Op):
    """Move every pixel of each sample by random displacements of its own."""

    kernels: ClassVar[Kernels] = Kernels(6, 0)
    planar: ClassVar[bool] = True

    stream: StreamArray  # [N], of Stream
    height: IntArray  # [N], of the samples
    width: IntArray
    color: ColorArray  # [N], what images are filled with
    alpha: Pair
    sigma: Pair
    interpolation: InterpolationMode
    fill: Fills

    def calls(self) -> Iterator[Call]:
        size = self.row("height", "width")
        displacement = Displacement(self.stream[0], size["height"], size["width"], self.alpha, self.sigma)
        for kinds, color in colors(self.fill):
            arguments = {"displacement": displacement, "interpolation": self.interpolation, "fill": color}
            yield Call(elastic, arguments, kinds)

    def leaves(self, sample: Sample) -> Sample:
        for call in self.calls():  # once for all leaves, which share the displacements
            sample = sample.mapped(call)
        return sample

    def image(self, x: Tensor) -> Tensor:
        height, width = x.shape[-2:]
        if launches_warps(x):
            generators = [stream.generator() for stream in self.stream]
            field = random_fields(generators, (height, width), self.alpha, self.sigma, x.device)
            return _launched(x, field, self.interpolation, self.color.tolist())

        def displacements(rows: slice) -> Tensor:
            generators = [stream.generator() for stream in self.stream[rows]]
            return torch.cat([random_displacement(own, height, width, self.alpha, self.sigma) for own in generators])

        return _warped(x, displacements, self.interpolation, self.color.tolist())


class ElasticTransform(Transform):
    """Move every pixel by a random displacement, like seen through water: neighbours move alike.

    Boxes and key points follow nearly: they move against the displacement where they are, not where they come to.

    Draws: for each pixel a number for its displacement across, then for each one for that down.

    Args:
        alpha: how far pixels move: a factor of displacements which, before they are smoothed, are up to half a pixel
            across and down; or [across, down].
        sigma: standard deviation, in pixels, of the Gaussian that smooths displacements, or [across, down]; 0 leaves
            them as they are.
        interpolation: ``nearest`` or ``bilinear``. Masks are never blended.
        fill: value of what comes from outside the image, or a list with one for each channel, in the value range of the
            image at this step; null is not quite 0 in bilinear mode: it fades the border less. A mapping has one of
            these for each kind of input.

    Raises:
        InvalidInput: a side of the image is not longer than 4 sigma, which is half the kernel.
    """

    acts_on = ALL_KINDS
    one_size = True

    def __init__(
        self,
        alpha: Alpha = 50.0,
        sigma: Smoothness = 5.0,
        interpolation: TensorInterpolation = "bilinear",
        fill: Fill = 0,
    ) -> None:
        super().__init__()
        self.alpha = pair(alpha)
        self.sigma = pair(sigma)
        if 0 in self.sigma and any(self.sigma):
            raise ValueError(f"sigma {shown(self.sigma)} smooths along one side only: both are 0, or neither is")
        self.interpolation = InterpolationMode(interpolation)
        self.fill = fill

    def draw(self, lanes: Lanes, frames: Frames) -> Op:
        sizes = list(zip(frames.heights.tolist(), frames.widths.tolist(), strict=True))
        for size in set(sizes):
            check_smoothing(self.sigma, *size)
        color = image_colors(self.fill, frames)
        streams = lanes.streams(lambda generator, i: torch.rand(2, *sizes[i], generator=generator))
        shared = (self.alpha, self.sigma, self.interpolation, self.fill)
        return Elastic(streams, frames.heights, frames.widths, color, *shared)

    @staticmethod
    def get_params(alpha: Sequence[float], sigma: Sequence[float], size: Sequence[int]) -> Tensor:
        """Draw displacements ``[1, H, W, 2]`` from torch's global generator.

        Args:
            alpha: how far pixels move across and down.
            sigma: standard deviations of the Gaussian that smooths displacements, in pixels.
            size: height and width of the image.
        """
        height, width = size
        check_smoothing(pair(sigma), height, width)
        return random_displacement(torch.default_generator, height, width, pair(alpha), pair(sigma))


def _warped(
    image: Tensor, displacement: Callable[[slice], Tensor], interpolation: InterpolationMode, fills: Sequence[Color]
) -> Tensor:
    dtype = float_of(image)
    if dtype == torch.float16 and not image.is_cuda:
        dtype = torch.float32  # as in torchvision
    size = image.shape[-2], image.shape[-1]
    if launches_warps(image):
        field = displacement(slice(None)).to(image.device, torch.float32).permute(0, 3, 1, 2)
        return _launched(image, field, interpolation, fills)

    def points(rows: slice) -> Tensor:
        return _pixel_centers(size, dtype, image.device).add_(displacement(rows).to(image.device, dtype))

    return warp_rows(image, points, size, interpolation, fills)


def _launched(image: Tensor, field: Tensor, interpolation: InterpolationMode, fills: Sequence[Color]) -> Tensor:
    from augserve_pipelines.kernels import warp_triton  # Triton need not be installed

    y, x = (_centers(side, torch.float32, "cpu") for side in image.shape[-2:])
    return warp_triton.displace(image, field, (x, y), *looks(image, interpolation, fills))


def _centers(side: int, dtype: torch.dtype, device: torch.device | str) -> Tensor:
    return torch.linspace((1 - side) / side, (side - 1) / side, side, dtype=dtype, device=device)


def _pixel_centers(size: Size, dtype: torch.dtype, device: torch.device) -> Tensor:
    """-1 to 1 from edge to edge: ``[1, H, W, 2]``."""
    height, width = size
    y, x = (_centers(side, dtype, device) for side in size)
    return torch.stack([x.expand(height, width), y[:, None].expand(height, width)], -1).unsqueeze(0)


def _moved(points: Tensor, canvas_size: Size, displacement: Tensor) -> Tensor:
    """Points ``[n, 2]`` against the displacements of the pixels that they lie on."""
    height, width = canvas_size
    dtype = points.dtype if points.is_floating_point() else torch.float32
    x, y = (own.clamp(0, n - 1) for own, n in zip(points.long().unbind(1), (width, height), strict=True))
    inverse = _pixel_centers(canvas_size, dtype, points.device).sub_(displacement.to(points.device, dtype))
    sides = torch.tensor([width, height], dtype=dtype, device=points.device)
    return inverse[0, y, x].add_(1).mul_(0.5 * sides).sub_(0.5)


def _check_shape(displacement: Tensor, size: Size) -> None:
    if not isinstance(displacement, Tensor):
        raise WrongKind(f"displacement is a {type(displacement).__name__}; a tensor is needed")
    if displacement.shape != (1, *size, 2):
        raise InvalidInput(f"displacement is of shape {[*displacement.shape]}; {[1, *size, 2]} is needed")
