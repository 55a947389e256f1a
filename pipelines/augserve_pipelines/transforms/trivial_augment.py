"""TrivialAugment: one operation of any magnitude."""

from __future__ import annotations

import numpy as np

from augserve_pipelines.frames import Frames
from augserve_pipelines.interpolation import InterpolationMode
from augserve_pipelines.lanes import Lanes
from augserve_pipelines.ops import Op
from augserve_pipelines.parameters import Fill, WarpInterpolation
from augserve_pipelines.transforms.augmentation_space import (
    WIDE,
    Bins,
    ImageAugmentation,
    augmentations,
    draw_names,
    draw_signs,
    has_magnitude,
)

__all__ = ["TrivialAugmentWide"]


class TrivialAugmentWide(ImageAugmentation):
    """Do one operation, picked at random of 14, of a random magnitude from a wide range.

    As in "TrivialAugment: Tuning-free Yet State-of-the-Art Data Augmentation" (https://arxiv.org/abs/2103.10158). It
    takes exactly one image or video, and no masks, boxes or key points.

    Draws: which operation; its magnitude, where it has any; its sign, where it goes both ways.

    Args:
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
        self, num_magnitude_bins: Bins = 31, interpolation: WarpInterpolation = "nearest", fill: Fill = None
    ) -> None:
        super().__init__()
        self.num_magnitude_bins = num_magnitude_bins
        self.interpolation = InterpolationMode(interpolation)
        self.fill = fill

    def draw(self, lanes: Lanes, frames: Frames) -> Op:
        names = draw_names(WIDE, lanes)
        strong = has_magnitude(names)
        places = np.zeros(len(frames), np.int64)
        places[strong] = lanes[strong].integers(0, self.num_magnitude_bins)
        magnitudes = WIDE.magnitudes(names, places, self.num_magnitude_bins, frames) * draw_signs(names, lanes)
        return augmentations(names, magnitudes, frames, self.interpolation, self.fill)
