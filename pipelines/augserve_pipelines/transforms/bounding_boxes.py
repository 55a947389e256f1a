"""Bounding boxes alone: convert their format, clamp them, drop those that are not worth keeping."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import Field, GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, core_schema
from torch import Tensor

from augserve_pipelines.arguments import Words, nearest, shown
from augserve_pipelines.dispatch import Call
from augserve_pipelines.frames import Frames
from augserve_pipelines.kernels.boxes import valid_bounding_boxes
from augserve_pipelines.lanes import Lanes
from augserve_pipelines.ops import Op
from augserve_pipelines.transforms.base import Transform
from augserve_pipelines.transforms.coordinates import (
    OnCoordinates,
    clamp_bounding_boxes,
    convert_bounding_box_format,
    set_clamping_mode,
)
from augserve_pipelines.transforms.labels import LabelsGetter
from augserve_pipelines.transforms.sanitize import Sanitizer
from augserve_pipelines.tv_tensors import BoundingBoxes, BoundingBoxFormat, Mask
from augserve_pipelines.tv_tensors.interop import metadata

__all__ = ["ClampBoundingBoxes", "ConvertBoundingBoxFormat", "SanitizeBoundingBoxes", "SetClampingMode"]


@dataclass(frozen=True, slots=True)
class _Formats:
    """A BoundingBoxFormat, as a member or a name."""

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(self._format)

    def _format(self, value: object) -> BoundingBoxFormat:
        try:
            return BoundingBoxFormat(value)
        except ValueError:
            raise ValueError(
                f"{shown(value)} is no format of boxes{nearest(value, BoundingBoxFormat.__members__)}"
            ) from None

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        return {"enum": list(BoundingBoxFormat.__members__)}


Format = Annotated[str | BoundingBoxFormat, _Formats(), Words("a format of boxes", example="XYXY")]
Mode = Annotated[Literal["soft", "hard"] | None, Words("'soft', 'hard' or null", example="hard")]
ModeOrAuto = Annotated[Literal["soft", "hard", "auto"] | None, Words("'soft', 'hard', 'auto' or null")]
Smallest = Annotated[float, Field(ge=1), Words("a number")]


class ConvertBoundingBoxFormat(Transform):
    """Convert bounding boxes to another format; rotated ones to a rotated format, upright ones to an upright one.

    Args:
        format: XYXY (two corners), XYWH (corner and size) or CXCYWH (centre and size); of rotated boxes XYWHR, CXCYWHR
            (and an angle in degrees) or XYXYXYXY (four corners).
    """

    acts_on = (BoundingBoxes,)

    def __init__(self, format: Format) -> None:
        super().__init__()
        self.format = format

    def draw(self, lanes: Lanes, frames: Frames) -> Op:
        return OnCoordinates(Call(convert_bounding_box_format, {"new_format": self.format}))


class ClampBoundingBoxes(Transform):
    """Cut bounding boxes down to their image.

    Args:
        clamping_mode: soft and hard are the same for upright boxes; rotated ones keep their angle and end within the
            image (hard), or are the smallest ones around what is on the image (soft). null clamps nothing. auto takes
            the mode of the boxes.
    """

    acts_on = (BoundingBoxes,)

    def __init__(self, clamping_mode: ModeOrAuto = "auto") -> None:
        super().__init__()
        self.clamping_mode = clamping_mode

    def draw(self, lanes: Lanes, frames: Frames) -> Op:
        return OnCoordinates(Call(clamp_bounding_boxes, {"clamping_mode": self.clamping_mode}))


class SetClampingMode(Transform):
    """Set how the following transforms clamp bounding boxes that reach out of the image.

    Args:
        clamping_mode: soft, hard (see ClampBoundingBoxes) or null: boxes may reach out.
    """

    acts_on = (BoundingBoxes,)

    def __init__(self, clamping_mode: Mode) -> None:
        super().__init__()
        self.clamping_mode = clamping_mode

    def draw(self, lanes: Lanes, frames: Frames) -> Op:
        return OnCoordinates(Call(set_clamping_mode, {"clamping_mode": self.clamping_mode}))


class SanitizeBoundingBoxes(Sanitizer):
    """Drop bounding boxes that are too small or reach out of the image, with their labels and masks.

    Masks go with their boxes where there are as many of them as boxes. ClampBoundingBoxes before it keeps boxes that
    reach out. RandomIoUCrop needs it afterwards. Of rotated boxes, torchvision's measure of the height is taken, which
    is not the length of a side.

    Args:
        min_size: boxes that are narrower or lower go, in pixels.
        min_area: boxes that are smaller go, in square pixels.
        labels_getter: where the labels are. default: the second item of the sample, or the entry "labels" in it or in
            the sample, or else the first one with "label" in its name. null: there are none. In Python, a function of
            the sample that gives a tensor, several or None; pixels are not there yet when a pipeline calls it.
    """

    acts_on = (BoundingBoxes, Mask)
    needs = (BoundingBoxes,)
    kind = BoundingBoxes

    def __init__(
        self, min_size: Smallest = 1.0, min_area: Smallest = 1.0, labels_getter: LabelsGetter = "default"
    ) -> None:
        super().__init__()
        self.min_size = min_size
        self.min_area = min_area
        self.labels_getter = labels_getter

    def valid(self, leaf: Any) -> Tensor:
        own = metadata(leaf)
        return valid_bounding_boxes(
            leaf.as_subclass(Tensor), own["format"], own["canvas_size"], self.min_size, self.min_area
        )
