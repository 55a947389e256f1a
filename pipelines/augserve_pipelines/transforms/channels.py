"""The channels of an image: how many it must have, and their order."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Picture
from torch import Tensor

from augserve_pipelines.arguments import shown
from augserve_pipelines.dispatch import Call, functional
from augserve_pipelines.errors import InvalidInput, WrongKind
from augserve_pipelines.frames import Frames
from augserve_pipelines.lanes import Lanes
from augserve_pipelines.ops import BoolArray, Kernels, Op
from augserve_pipelines.samples import Pending, Sample
from augserve_pipelines.transforms.base import Transform
from augserve_pipelines.transforms.pictures import pil_to_tensor, to_pil_image
from augserve_pipelines.tv_tensors import Mask

__all__ = [
    "PermuteChannels",
    "RandomChannelPermutation",
    "check_channels",
    "check_dimensions",
    "check_gray_or_rgb",
    "check_one_shape",
    "draw_permutations",
    "permute_channels",
    "permute_channels_image",
    "tensors",
]

GRAY_OR_RGB = (1, 3)

PermutationArray = NDArray[np.object_]  # [N], of tuples: samples differ in their channels


def check_channels(frames: Frames, name: str) -> None:
    """Check that every tensor is gray or RGB; ``name`` is the transform that needs it.

    Raises:
        InvalidInput: one has neither 1 nor 3 channels.
    """
    for channels in frames.channels[tensors(frames)].tolist():
        if channels not in GRAY_OR_RGB:
            raise InvalidInput(f"{name} takes images of 1 or 3 channels; got one of {channels}")


def check_gray_or_rgb(image: Tensor) -> None:
    """Check that ``[..., C, H, W]`` is gray or RGB.

    Raises:
        TypeError: it has neither 1 nor 3 channels.
    """
    if image.shape[-3] not in GRAY_OR_RGB:
        raise WrongKind(f"an image of 1 or 3 channels is needed; got one of {image.shape[-3]}")


def tensors(frames: Frames) -> BoolArray:
    """Which samples are an image or a video in a tensor, and neither a PIL image nor boxes alone."""
    rows: BoolArray = frames.channels > 0
    if frames.samples is not None:
        rows &= np.array([not _is_picture(sample) for sample in frames.samples], bool)
    return rows


def check_dimensions(leaf: Any, name: str) -> None:
    """Check that a tensor has the dimensions of an image; ``name`` is the transform that needs it.

    Raises:
        TypeError: it has fewer.
    """
    if isinstance(leaf, Tensor) and leaf.ndim < 3:
        raise WrongKind(f"{name} takes an image [..., C, H, W]; the first tensor has the shape {[*leaf.shape]}")


def check_one_shape(sample: Sample, name: str) -> None:
    """Check that there is an image, and that all images of the sample have the same channels and size.

    Raises:
        TypeError: there is no image.
        ValueError: they differ.
    """
    if any(isinstance(leaf, Pending) for leaf in sample.leaves):
        return  # a pipeline draws, and has looked at the sample before
    for place in sample.pixel_places():
        check_dimensions(sample.leaves[place], name)
    shapes = {_shape(sample.leaves[place]) for place in sample.pixel_places()}
    if not shapes:
        raise WrongKind(f"{name} takes an image or a video, and there is none")
    if len(shapes) > 1:
        raise ValueError(f"{name} takes images of one shape [C, H, W]; these have {shown(sorted(shapes))}")


def permute_channels_image(image: Tensor, permutation: Sequence[int]) -> Tensor:
    """Channel ``c`` of the result is channel ``permutation[c]`` of ``[..., C, H, W]``.

    Raises:
        ValueError: there is not one number for each channel.
    """
    if len(permutation) != image.shape[-3]:
        raise ValueError(f"permutation has {len(permutation)} numbers for an image of {image.shape[-3]} channels")
    return image[..., list(permutation), :, :]


def _permute_channels_picture(image: Picture.Image, permutation: Sequence[int]) -> Picture.Image:
    return to_pil_image(permute_channels_image(pil_to_tensor(image), permutation))


@functional(image=permute_channels_image, picture=_permute_channels_picture)
def permute_channels(inpt: Any, permutation: Sequence[int]) -> Any:
    """Put the channels into another order: channel ``c`` of the result is channel ``permutation[c]`` of the input."""


@dataclass(frozen=True, slots=True)
class PermuteChannels(Op):
    """Put the channels of each sample into an order of its own."""

    kernels: ClassVar[Kernels] = Kernels(0, 3)
    planar: ClassVar[bool] = True

    permutation: PermutationArray

    def image(self, x: Tensor) -> Tensor:
        orders = np.array(self.permutation.tolist())  # [n, C]
        if len(orders) == 1 or (orders == orders[0]).all():
            return permute_channels_image(x, orders[0].tolist())
        permuted = x.new_empty(x.shape)
        for image, order, result in zip(x, orders.tolist(), permuted, strict=True):
            result.copy_(permute_channels_image(image, order))
        return permuted

    def calls(self) -> Iterator[Call]:
        yield Call(permute_channels, {"permutation": list(self.permutation[0])})


class RandomChannelPermutation(Transform):
    """Put the channels of an image or video into random order.

    Draws: one permutation of the channels.

    Raises:
        TypeError: there is no image.
    """

    def __init__(self) -> None:
        super().__init__()

    def check_sample(self, sample: Sample) -> None:
        check_one_shape(sample, type(self).__name__)

    def draw(self, lanes: Lanes, frames: Frames) -> Op:
        return PermuteChannels(draw_permutations(lanes, frames))


def draw_permutations(lanes: Lanes, frames: Frames) -> PermutationArray:
    """A permutation of the channels of each sample, ``[N]`` of tuples."""
    orders = np.empty(len(frames), object)
    for channels in sorted(set(frames.channels.tolist())):
        rows = np.flatnonzero(frames.channels == channels)
        for row, order in zip(rows, lanes[rows].permutation(channels).tolist(), strict=True):
            orders[row] = tuple(order)
    return orders


def _is_picture(sample: Sample) -> bool:
    kinds = (leaf.kind for leaf in sample.leaves if isinstance(leaf, Pending) and leaf.kind is not Mask)
    return next(kinds, None) is Picture.Image


def _shape(leaf: Any) -> tuple[int, int, int]:
    if isinstance(leaf, Picture.Image):
        return len(leaf.getbands()), leaf.height, leaf.width
    return leaf.shape[-3], leaf.shape[-2], leaf.shape[-1]
