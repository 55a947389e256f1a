"""Tensors that know what they show, under torchvision's names; torchvision's own are understood everywhere too."""

from augserve_pipelines.tv_tensors.bounding_boxes import (
    BoundingBoxes,
    BoundingBoxFormat,
    ClampingMode,
    is_rotated_bounding_format,
)
from augserve_pipelines.tv_tensors.images import Image, Mask, Video
from augserve_pipelines.tv_tensors.interop import wrap
from augserve_pipelines.tv_tensors.keypoints import KeyPoints
from augserve_pipelines.tv_tensors.return_type import set_return_type
from augserve_pipelines.tv_tensors.tv_tensor import TVTensor

__all__ = [
    "BoundingBoxFormat",
    "BoundingBoxes",
    "ClampingMode",
    "Image",
    "KeyPoints",
    "Mask",
    "TVTensor",
    "Video",
    "is_rotated_bounding_format",
    "set_return_type",
    "wrap",
]
