"""AutoAugment: one of the pairs of operations of a policy."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Annotated, Any

import numpy as np
import torch
from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, core_schema
from torch import Tensor

from augserve_pipelines.arguments import Words, nearest, shown
from augserve_pipelines.frames import Frames
from augserve_pipelines.interpolation import InterpolationMode
from augserve_pipelines.lanes import GlobalLane, Lanes
from augserve_pipelines.ops import Chain, Op, Select
from augserve_pipelines.parameters import Fill, WarpInterpolation
from augserve_pipelines.transforms.augmentation_space import USUAL, ImageAugmentation, augmentations, draw_signs
from augserve_pipelines.transforms.auto_augment_policies import AutoAugmentPolicy, Step, policies

__all__ = ["AutoAugment", "AutoAugmentPolicy"]

BINS = 10


@dataclass(frozen=True, slots=True)
class _PolicyName:
    """An AutoAugmentPolicy, as a member or its value; torchvision's members have the same values."""

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(self._policy)

    def _policy(self, value: object) -> AutoAugmentPolicy:
        name = value.value if isinstance(value, Enum) else value
        try:
            return AutoAugmentPolicy(name)
        except ValueError:
            names = [policy.value for policy in AutoAugmentPolicy]
            raise ValueError(f"{shown(name)} is no policy of AutoAugment{nearest(name, names)}") from None

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        return {"enum": [policy.value for policy in AutoAugmentPolicy]}


Policy = Annotated[AutoAugmentPolicy, _PolicyName(), Words("one of imagenet, cifar10, svhn")]


class AutoAugment(ImageAugmentation):
    """Do one of 25 pairs of operations, each operation with its own probability and magnitude.

    As in "AutoAugment: Learning Augmentation Strategies from Data" (https://arxiv.org/abs/1805.09501). It takes exactly
    one image or video, and no masks, boxes or key points.

    Draws: which pair; for each of its operations one number for its probability and, where it fires and goes both ways,
    its sign.

    Args:
        policy: the data set that the pairs were found on: ``imagenet``, ``cifar10`` or ``svhn``.
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
        policy: Policy = AutoAugmentPolicy.IMAGENET,
        interpolation: WarpInterpolation = "nearest",
        fill: Fill = None,
    ) -> None:
        super().__init__()
        self.policy = policy
        self.interpolation = InterpolationMode(interpolation)
        self.fill = fill

    def draw(self, lanes: Lanes, frames: Frames) -> Op:
        pairs = policies(self.policy)
        picked = [pairs[place] for place in lanes.integers(0, len(pairs)).tolist()]
        return Chain(tuple(self._one([pair[place] for pair in picked], lanes, frames) for place in range(2)))

    @staticmethod
    def get_params(transform_num: int) -> tuple[int, Tensor, Tensor]:
        """Draw one of so many pairs, two numbers for their probabilities and two signs (0 is minus), as v1 does."""
        lane = GlobalLane()
        pair = int(lane.integers(0, transform_num)[0])
        probabilities = torch.from_numpy(np.concatenate([lane.rand() for _ in range(2)]))
        return pair, probabilities, torch.from_numpy(np.concatenate([lane.integers(0, 2) for _ in range(2)]))

    def _one(self, steps: list[Step], lanes: Lanes, frames: Frames) -> Op:
        names = np.array([name for name, _, _ in steps], np.str_)
        fires = lanes.rand() <= np.array([p for _, p, _ in steps], np.float32)  # torchvision compares in float32
        places = np.array([place for _, _, place in steps], np.int64)[fires]
        names, lanes, frames = names[fires], lanes[fires], frames[fires]
        magnitudes = USUAL.magnitudes(names, places, BINS, frames) * draw_signs(names, lanes)
        return Select(fires, augmentations(names, magnitudes, frames, self.interpolation, self.fill))
