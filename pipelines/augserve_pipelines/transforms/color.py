"""Change the colours of images at random: jitter, and the photometric distortion of detectors."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from augserve_pipelines.arguments import Words
from augserve_pipelines.dispatch import Call
from augserve_pipelines.frames import Frames, IntArray
from augserve_pipelines.kernels import color
from augserve_pipelines.lanes import GlobalLane, Lanes
from augserve_pipelines.ops import NOTHING, Chain, Op, Select
from augserve_pipelines.parameters import Factor, Hue, HueRange, NotNegativeRange, Probability
from augserve_pipelines.samples import Sample
from augserve_pipelines.transforms.adjust import (
    adjust_brightness,
    adjust_brightness_image,
    adjust_contrast,
    adjust_contrast_image,
    adjust_hue,
    adjust_hue_image,
    adjust_saturation,
    adjust_saturation_image,
)
from augserve_pipelines.transforms.base import Transform
from augserve_pipelines.transforms.channels import (
    PermuteChannels,
    check_channels,
    check_one_shape,
    draw_permutations,
)
from augserve_pipelines.transforms.retouch import Retouch

__all__ = ["ColorJitter", "Jitter", "RandomPhotometricDistort"]

FloatArray = NDArray[np.floating[Any]]
Limits = tuple[float, float]

Factors = Annotated[NotNegativeRange, Words("two numbers [low, high]")]
Hues = Annotated[HueRange, Words("two numbers [low, high]")]

BRIGHTNESS, CONTRAST, SATURATION, HUE = range(4)
_CONTRAST_EARLY = (BRIGHTNESS, CONTRAST, SATURATION, HUE)
_CONTRAST_LATE = (BRIGHTNESS, SATURATION, HUE, CONTRAST)
_CALLS = (
    (adjust_brightness, "brightness_factor"),
    (adjust_contrast, "contrast_factor"),
    (adjust_saturation, "saturation_factor"),
    (adjust_hue, "hue_factor"),
)
_KERNELS = (adjust_brightness_image, adjust_contrast_image, adjust_saturation_image, adjust_hue_image)
_LAUNCHES = (4, 10, 9, 84)  # of each of these for one image on CUDA, as counted
_CHANGES = (color.brighten, color.stretch, color.saturate, color.shift_hue)  # of bytes, in place


@dataclass(frozen=True, slots=True)
class Jitter(Retouch):
    """Adjust brightness (0), contrast (1), saturation (2) and hue (3), each sample in its own order."""

    order: IntArray  # [N, 4]
    factors: FloatArray  # [N, 4], NaN where nothing is to be done

    def frames(self, frames: Frames) -> Frames:
        return frames.planar(~np.isnan(self.factors[:, HUE]) & (frames.channels == 3))

    def launches(self, frames: Frames, *, alone: bool = False) -> int:
        changes = ~np.isnan(self.factors[:, :4])  # [N, 4]
        return int((changes * _LAUNCHES).sum())

    def change(self, row: int, image: Tensor) -> None:
        planar = False  # in torchvision
        for step, factor in self._steps(row):
            if step == CONTRAST:
                color.stretch(image, factor, planar)
            else:
                _CHANGES[step](image, factor)
            planar |= step == HUE

    def changed(self, row: int, image: Tensor) -> Tensor:
        for step, factor in self._steps(row):
            image = _KERNELS[step](image, factor)
        return image

    def calls(self) -> Iterator[Call]:
        for step, factor in self._steps(0):
            function, name = _CALLS[step]
            yield Call(function, {name: factor})

    def _steps(self, row: int) -> list[tuple[int, float]]:
        factors = self.factors[row].tolist()
        return [(step, factors[step]) for step in self.order[row].tolist() if not math.isnan(factors[step])]


class ColorJitter(Transform):
    """Change brightness, contrast, saturation and hue by random factors, in random order.

    Draws: the order of the four, always; then a factor for each that is given and can change the image.

    Args:
        brightness: the range of factors [low, high]; one number ``v`` stands for [max(0, 1 - v), 1 + v].
        contrast: likewise.
        saturation: likewise.
        hue: the range of shifts [low, high], in circles, within [-0.5, 0.5]; one number ``v`` stands for [-v, v].

    Raises:
        InvalidInput: the image has neither 1 nor 3 channels.
    """

    def __init__(
        self,
        brightness: Factor = None,
        contrast: Factor = None,
        saturation: Factor = None,
        hue: Hue = None,
    ) -> None:
        super().__init__()
        self.brightness = _factors(brightness)
        self.contrast = _factors(contrast)
        self.saturation = _factors(saturation)
        self.hue = _shifts(hue)

    def draw(self, lanes: Lanes, frames: Frames) -> Op:
        order = lanes.permutation(4)
        ranges = (self.brightness, self.contrast, self.saturation, self.hue)
        factors = np.full((len(lanes), 4), np.nan, np.float32)
        for step, limits in enumerate(ranges):
            if limits is not None:
                factors[:, step] = lanes.uniform(*limits)
        if ranges == (None,) * 4:
            return NOTHING
        check_channels(frames, type(self).__name__)
        return Jitter(order, factors)

    @staticmethod
    def get_params(
        brightness: Sequence[float] | None,
        contrast: Sequence[float] | None,
        saturation: Sequence[float] | None,
        hue: Sequence[float] | None,
    ) -> tuple[Tensor, float | None, float | None, float | None, float | None]:
        """Draw the order of the four and their factors, from torch's global generator.

        Args:
            brightness: the range of its factor; None is no factor.
            contrast: likewise.
            saturation: likewise.
            hue: likewise.
        """
        lane = GlobalLane()
        order = torch.from_numpy(lane.permutation(4)[0])
        ranges = (brightness, contrast, saturation, hue)
        factors = [None if limits is None else float(lane.uniform(*limits)[0]) for limits in ranges]
        return order, factors[0], factors[1], factors[2], factors[3]


class RandomPhotometricDistort(Transform):
    """Change brightness, contrast, saturation, hue and the order of the channels, each with probability ``p``.

    As in "SSD: Single Shot MultiBox Detector" (https://arxiv.org/abs/1512.02325): contrast comes after brightness or
    after hue.

    Draws: for brightness, contrast, saturation and hue one number for ``p``, and the factor where it fires; one number
    for the place of contrast; one for ``p``, and a permutation of the channels where it fires.

    Args:
        brightness: the range of factors [low, high].
        contrast: likewise.
        saturation: likewise.
        hue: the range of shifts [low, high], in circles, within [-0.5, 0.5].
        p: probability of each of the five.

    Raises:
        InvalidInput: the image has neither 1 nor 3 channels where a factor is drawn.
        TypeError: there is no image.
    """

    def __init__(
        self,
        brightness: Factors = (0.875, 1.125),
        contrast: Factors = (0.5, 1.5),
        saturation: Factors = (0.5, 1.5),
        hue: Hues = (-0.05, 0.05),
        p: Probability = 0.5,
    ) -> None:
        super().__init__()
        self.brightness = brightness
        self.contrast = contrast
        self.saturation = saturation
        self.hue = hue
        self.p = p

    def check_sample(self, sample: Sample) -> None:
        check_one_shape(sample, type(self).__name__)

    def draw(self, lanes: Lanes, frames: Frames) -> Op:
        factors = np.full((len(lanes), 4), np.nan, np.float32)
        for step, limits in enumerate((self.brightness, self.contrast, self.saturation, self.hue)):
            fires = lanes.rand() < np.float32(self.p)
            factors[fires, step] = lanes[fires].uniform(*limits)
        order = np.where(lanes.rand()[:, None] < 0.5, _CONTRAST_EARLY, _CONTRAST_LATE)
        permutes = lanes.rand() < np.float32(self.p)
        permutations = draw_permutations(lanes[permutes], frames[permutes])
        check_channels(frames[~np.isnan(factors).all(axis=1)], type(self).__name__)
        return Chain((Jitter(order, factors), Select(permutes, PermuteChannels(permutations))))


def _factors(value: Any) -> Limits | None:
    """The range of a Factor, None where it can only be 1."""
    if value is None:
        return None
    low, high = (max(0.0, 1.0 - value), 1.0 + value) if isinstance(value, float | int) else value
    return None if low == high == 1.0 else (float(low), float(high))


def _shifts(value: Any) -> Limits | None:
    """The range of a Hue, None where it can only be 0."""
    if value is None:
        return None
    low, high = (-value, value) if isinstance(value, float | int) else value
    return None if low == high == 0.0 else (float(low), float(high))
