"""Key points alone: clamp them, drop those outside of the image."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from augserve_pipelines.dispatch import Call
from augserve_pipelines.errors import InvalidInput
from augserve_pipelines.frames import Frames
from augserve_pipelines.kernels.keypoints import valid_keypoints
from augserve_pipelines.lanes import Lanes
from augserve_pipelines.ops import Op
from augserve_pipelines.samples import Sample
from augserve_pipelines.transforms.base import Transform
from augserve_pipelines.transforms.coordinates import OnCoordinates, clamp_keypoints
from augserve_pipelines.transforms.labels import LabelsGetter
from augserve_pipelines.transforms.sanitize import Sanitizer
from augserve_pipelines.tv_tensors import KeyPoints
from augserve_pipelines.tv_tensors.interop import metadata

__all__ = ["ClampKeyPoints", "SanitizeKeyPoints"]


class ClampKeyPoints(Transform):
    """Move key points that lie outside of the image onto its outermost pixels."""

    acts_on = (KeyPoints,)

    def __init__(self) -> None:
        super().__init__()

    def draw(self, lanes: Lanes, frames: Frames) -> Op:
        return OnCoordinates(Call(clamp_keypoints))


class SanitizeKeyPoints(Sanitizer):
    """Drop key points that lie outside of the image, with their labels; groups of points go where one point does.

    Args:
        labels_getter: where the labels are. null: there are none. default: the second item of the sample, or the entry
            "labels" in it or in the sample, or else the first one with "label" in its name. In Python, a function of
            the sample that gives a tensor, several or None; pixels are not there yet when a pipeline calls it.
    """

    acts_on = (KeyPoints,)
    needs = (KeyPoints,)
    kind = KeyPoints

    def __init__(self, labels_getter: LabelsGetter = None) -> None:
        super().__init__()
        self.labels_getter = labels_getter

    def check_sample(self, sample: Sample) -> None:
        counts = {len(sample.leaves[place]) for place in sample.places(KeyPoints)}
        if len(counts) > 1:
            raise InvalidInput(f"key points of one sample must be equally many, not {sorted(counts)}")

    def valid(self, leaf: Any) -> Tensor:
        return valid_keypoints(leaf.as_subclass(Tensor), metadata(leaf)["canvas_size"])
