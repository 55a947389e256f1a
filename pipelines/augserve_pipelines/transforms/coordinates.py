"""Functionals that read or change the metadata of boxes and points, and the op that calls one of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from torch import Tensor

from augserve_pipelines.dispatch import FUNCTIONALS, Call, Functional
from augserve_pipelines.kernels import boxes, keypoints
from augserve_pipelines.ops import NOTHING, Op
from augserve_pipelines.tv_tensors import BoundingBoxes, ClampingMode, KeyPoints
from augserve_pipelines.tv_tensors.interop import kind_of, like

__all__ = [
    "CoordinatesFunctional",
    "OnCoordinates",
    "clamp_bounding_boxes",
    "clamp_keypoints",
    "convert_bounding_box_format",
    "of_coordinates",
    "set_clamping_mode",
]


class CoordinatesFunctional(Functional):
    """A functional of boxes or of points that is given the leaf itself, with its metadata.

    Called with a pure tensor, it takes the metadata as arguments; ``apply`` passes pure tensors through.
    """

    def __init__(self, kind: type, function: Callable[..., Any]) -> None:
        super().__init__(function, {kind: function}, None, None)
        self._function = function
        FUNCTIONALS[self.name] = self

    def __call__(self, inpt: Any, *args: Any, **kwargs: Any) -> Any:
        """Act on boxes or points, or on a pure tensor of their coordinates."""
        return self._function(inpt, *args, **kwargs)

    def apply(self, leaf: Any, arguments: Mapping[str, Any]) -> Any:
        """Act on boxes or points; anything else comes back as it is."""
        return self._function(leaf, **arguments) if kind_of(leaf) in self.kinds else leaf


def of_coordinates(kind: type) -> Callable[[Callable[..., Any]], CoordinatesFunctional]:
    """Make a functional of a function of boxes or of points."""
    return partial(CoordinatesFunctional, kind)


convert_bounding_box_format = of_coordinates(BoundingBoxes)(boxes.convert_bounding_box_format)
clamp_bounding_boxes = of_coordinates(BoundingBoxes)(boxes.clamp_bounding_boxes)
clamp_keypoints = of_coordinates(KeyPoints)(keypoints.clamp_keypoints)


@of_coordinates(BoundingBoxes)
def set_clamping_mode(inpt: Tensor, clamping_mode: ClampingMode) -> Tensor:
    """A copy of boxes that transforms clamp in another way from here on.

    Args:
        inpt: the boxes.
        clamping_mode: ``"soft"``, ``"hard"`` or None.
    """
    return like(inpt, inpt.as_subclass(Tensor).clone(), clamping_mode=clamping_mode)


@dataclass(frozen=True, slots=True)
class OnCoordinates(Op):
    """Call a functional that acts on boxes or points, not on pixels."""

    call: Call

    def image(self, x: Tensor) -> Tensor:
        return x

    def parts(self) -> Op:
        return NOTHING

    def calls(self) -> Iterator[Call]:
        yield self.call
