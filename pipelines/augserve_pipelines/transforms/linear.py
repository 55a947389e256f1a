"""Multiply flattened images by a matrix, as for whitening."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

import numpy as np
import torch
from PIL import Image as Picture
from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, core_schema
from torch import Tensor

from augserve_pipelines.arguments import Words, shown
from augserve_pipelines.dispatch import Call, functional
from augserve_pipelines.errors import WrongKind, WrongSize
from augserve_pipelines.frames import Frames
from augserve_pipelines.lanes import Lanes
from augserve_pipelines.ops import Kernels, Op, each_row
from augserve_pipelines.samples import Sample
from augserve_pipelines.transforms.base import Transform
from augserve_pipelines.transforms.conversion import IMAGES

__all__ = ["Linear", "LinearTransformation", "linear_transformation", "linear_transformation_image"]


@dataclass(frozen=True, slots=True)
class Array:
    """Numbers in so many dimensions: a tensor, an array, or nested lists, which become a tensor of float32."""

    dimensions: int

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(self._tensor)

    def _tensor(self, value: object) -> Tensor:
        if isinstance(value, Tensor | np.ndarray):
            tensor = torch.as_tensor(value)
        else:
            try:
                tensor = torch.tensor(value, dtype=torch.float32)
            except (TypeError, ValueError, RuntimeError):
                raise ValueError(f"{shown(value)} is not {self._words()}") from None
        if tensor.ndim != self.dimensions or not tensor.numel():
            raise ValueError(f"{shown(value)} is not {self._words()}")
        if not tensor.isfinite().all():
            raise ValueError("not all of the numbers are finite")
        return tensor

    def _words(self) -> str:
        return "a list of numbers" if self.dimensions == 1 else "a list of lists of numbers, all of one length"

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        items: JsonSchemaValue = {"type": "number"}
        for _ in range(self.dimensions):
            items = {"type": "array", "minItems": 1, "items": items}
        return items


if TYPE_CHECKING:
    Matrix = Tensor
    Vector = Tensor
else:
    Matrix = Annotated[Sequence, Array(2), Words("a list of lists of numbers", example=[[1, 0], [0, 1]])]
    Vector = Annotated[Sequence, Array(1), Words("a list of numbers", example=[0.5, 0.5])]


def linear_transformation_image(image: Tensor, transformation_matrix: Tensor, mean_vector: Tensor) -> Tensor:
    """``(x - mean_vector) @ transformation_matrix`` of each ``[C, H, W]`` of ``[..., C, H, W]``, flattened.

    Args:
        image: images of any dtype; integers become floats of the vector's dtype.
        transformation_matrix: ``[C * H * W, C * H * W]``.
        mean_vector: ``[C * H * W]``, of the same dtype.

    Raises:
        ValueError: the image has another number of values, or lies on another device.
    """
    _check_values(image.shape[-3:], len(mean_vector))
    if image.device.type != mean_vector.device.type:
        raise ValueError(f"the matrix lies on {mean_vector.device} and the image on {image.device}")
    centered = image.reshape(-1, len(mean_vector)) - mean_vector
    return torch.mm(centered, transformation_matrix.to(centered.dtype)).reshape(image.shape)


def _no_pictures(image: Picture.Image) -> Picture.Image:
    raise WrongKind("LinearTransformation takes tensors, not PIL images: ToImage() goes before it")


@functional(image=linear_transformation_image, picture=_no_pictures)
def linear_transformation(inpt: Any, transformation_matrix: Tensor, mean_vector: Tensor) -> Any:
    """Subtract a vector from the flattened image and multiply it by a matrix."""


@dataclass(frozen=True, slots=True)
class Linear(Op):
    """Multiply each flattened sample by a matrix; one at a time, as products of more rows have other sums."""

    kernels: ClassVar[Kernels] = Kernels(0, 3)
    matrix: Tensor
    mean: Tensor

    def frames(self, frames: Frames) -> Frames:
        promoted = (dtype and torch.promote_types(dtype, self.mean.dtype) for dtype in frames.dtypes)
        return replace(frames, dtypes=np.fromiter(promoted, object, len(frames)))

    def image(self, x: Tensor) -> Tensor:
        matrix, mean = self.matrix.to(x.device), self.mean.to(x.device)
        return each_row(lambda image: linear_transformation_image(image, matrix, mean), x)

    def calls(self) -> Iterator[Call]:
        yield Call(linear_transformation, {"transformation_matrix": self.matrix, "mean_vector": self.mean})


class LinearTransformation(Transform):
    """Subtract a vector from the flattened image and multiply it by a square matrix, such as one that whitens.

    Args:
        transformation_matrix: channels times height times width rows, and as many columns.
        mean_vector: as many numbers, which are subtracted first.

    Raises:
        InvalidInput: the image has another number of values.
    """

    acts_on = IMAGES

    def __init__(self, transformation_matrix: Matrix, mean_vector: Vector) -> None:
        super().__init__()
        rows, columns = transformation_matrix.shape
        if rows != columns:
            raise ValueError(f"transformation_matrix has {rows} rows and {columns} columns; a square one is needed")
        if len(mean_vector) != rows:
            raise ValueError(f"mean_vector has {len(mean_vector)} numbers for a matrix of {rows} rows")
        for name in ("device", "dtype"):
            of_matrix, of_vector = getattr(transformation_matrix, name), getattr(mean_vector, name)
            if of_matrix != of_vector:
                raise ValueError(f"transformation_matrix and mean_vector differ in {name}: {of_matrix}, {of_vector}")
        self.transformation_matrix = transformation_matrix
        self.mean_vector = mean_vector

    def check_sample(self, sample: Sample) -> None:
        if sample.first(Picture.Image) is not None:
            _no_pictures(sample.first(Picture.Image))

    def draw(self, lanes: Lanes, frames: Frames) -> Op:
        for row in np.flatnonzero(frames.channels).tolist():
            _check_values(frames.shape(row)[-3:], len(self.mean_vector))
        return Linear(self.transformation_matrix, self.mean_vector)


def _check_values(shape: Sequence[int], count: int) -> None:
    channels, height, width = shape
    if channels * height * width != count:
        raise WrongSize(
            f"LinearTransformation takes images of {count} values; this one has {channels} x {height} x {width}"
        )
