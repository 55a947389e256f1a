"""RandAugment: some operations of one magnitude."""

from __future__ import annotations

from typing import Annotated

import numpy as np
from pydantic import Field

from augserve_pipelines.arguments import Words
from augserve_pipelines.frames import Frames
from augserve_pipelines.interpolation import InterpolationMode
from augserve_pipelines.lanes import Lanes
from augserve_pipelines.ops import Chain, Op
from augserve_pipelines.parameters import Fill, WarpInterpolation
from augserve_pipelines.transforms.augmentation_space import (
    USUAL,
    Bins,
    ImageAugmentation,
    augmentations,
    draw_names,
    draw_signs,
)

__all__ = ["RandAugment"]

NotNegativeInt = Annotated[int, Field(ge=0), Words("an integer of at least 0")]


class RandAugment(ImageAugmentation):
    """Do a number of operations, each picked at random of 14, all of one magnitude.

    As in "RandAugment: Practical automated data augmentation with a reduced search space"
    (https://arxiv.org/abs/1909.13719). It takes exactly one image or video, and no masks, boxes or key points.

    Draws: for each operation which, and its sign, where it goes both ways.

    Args:
        num_ops: how many operations.
        magnitude: how strong they are: one of ``num_magnitude_bins``, from 0 on.
        num_magnitude_bins: how many magnitudes there are.
        interpolation: ``nearest`` or ``bilinear``; PIL images take ``bicubic`` too.
        fill: value of what comes from outside the image, or a list with one for each channel, in the value range of the
            image; null is 0, which in bilinear mode fades the border less. A mapping has one of these for each kind of
            input.

    Raises:
        TypeError: the sample holds anything but one image or video to act on.
        InvalidInput: an operation that was picked cannot act on the image, such as one of colours on two channels.
    """

    def __init__(
        self,
        num_ops: NotNegativeInt = 2,
        magnitude: NotNegativeInt = 9,
        num_magnitude_bins: Bins = 31,
        interpolation: WarpInterpolation = "nearest",
        fill: Fill = None,
    ) -> None:
        super().__init__()
        if magnitude >= num_magnitude_bins:
            raise ValueError(f"magnitude is {magnitude}; with {num_magnitude_bins} of them it is less than that")
        self.num_ops = num_ops
        self.magnitude = magnitude
        self.num_magnitude_bins = num_magnitude_bins
        self.interpolation = InterpolationMode(interpolation)
        self.fill = fill

    def draw(self, lanes: Lanes, frames: Frames) -> Op:
        return Chain(tuple(self._one(lanes, frames) for _ in range(self.num_ops)))

    def _one(self, lanes: Lanes, frames: Frames) -> Op:
        names = draw_names(USUAL, lanes)
        places = np.full(len(frames), self.magnitude)
        magnitudes = USUAL.magnitudes(names, places, self.num_magnitude_bins, frames) * draw_signs(names, lanes)
        return augmentations(names, magnitudes, frames, self.interpolation, self.fill)
