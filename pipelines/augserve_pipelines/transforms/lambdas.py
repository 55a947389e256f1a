"""Run a function of your own as a transform."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
import torch
from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, core_schema
from torch import Tensor

from augserve_pipelines.arguments import Words, shown
from augserve_pipelines.dispatch import ALL_KINDS, Call
from augserve_pipelines.errors import InvalidInput
from augserve_pipelines.frames import Frames
from augserve_pipelines.lanes import Lanes
from augserve_pipelines.ops import BoolArray, Op
from augserve_pipelines.samples import Pending, Sample
from augserve_pipelines.transforms.base import Transform
from augserve_pipelines.transforms.fill import pixel_kinds
from augserve_pipelines.tv_tensors.interop import kind_of, our_class

__all__ = ["Applied", "Lambda"]


@dataclass(frozen=True, slots=True)
class _Callable:
    """A function."""

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(self._function)

    def _function(self, value: object) -> object:
        if not callable(value):
            raise ValueError(f"{shown(value)} is no function: Lambda is for pipelines in Python, YAML has no functions")
        return value

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        return {"not": {}}


Function = Annotated[Callable[[Any], Any], _Callable(), Words("a function, which only Python has: YAML has none")]


@dataclass(frozen=True, slots=True)
class Applied(Op):
    """Run a function on every leaf of some types."""

    function: Callable[[Any], Any]
    types: tuple[type, ...]
    on_image: BoolArray  # [N], whether the image is of these types

    def image(self, x: Tensor) -> Tensor:
        rows = zip(x, self.on_image.tolist(), strict=True)
        return torch.stack([self._checked(one) if fires else one for one, fires in rows])

    def calls(self) -> Iterator[Call]:
        raise InvalidInput("a Lambda cannot be recorded: a record has no functions")

    def leaf(self, leaf: Any) -> Any:
        return self.function(leaf) if _is_of(leaf, self.types) else leaf

    def leaves(self, sample: Sample) -> Sample:
        others = (place for place, leaf in enumerate(sample.leaves) if kind_of(leaf) is None)
        places = {*sample.acts, *others}
        done = (place for place in places if not isinstance(sample.leaves[place], Pending))
        return sample.with_leaves({place: self.leaf(sample.leaves[place]) for place in done})

    def _checked(self, image: Tensor) -> Tensor:
        result = self.function(image)
        if not isinstance(result, Tensor) or (result.shape, result.dtype) != (image.shape, image.dtype):
            got = f"{[*result.shape]} {result.dtype}" if isinstance(result, Tensor) else type(result).__name__
            raise InvalidInput(
                f"a Lambda in a pipeline keeps the shape and the dtype of images, {[*image.shape]} {image.dtype}:"
                f" this one gave {got}"
            )
        return result


class Lambda(Transform):
    """Run a function of your own on every input: images, boxes, numbers, strings, whatever there is.

    Of tensors that are marked as nothing it gets those that are images alone. In a pipeline it gets images one by one,
    as tensors, and must keep their shape and dtype; YAML has no functions, so this is for Python.

    Args:
        lambd: the function, of one input.
        types: the types of inputs that it gets; absent: all.

    Raises:
        InvalidInput: in a pipeline, the function changes the shape or the dtype of an image.
    """

    acts_on = ALL_KINDS
    transformed_types = (object,)

    def __init__(self, lambd: Function, *types: type) -> None:
        super().__init__()
        self.lambd = lambd
        self.types = types or self.transformed_types

    def draw(self, lanes: Lanes, frames: Frames) -> Op:
        fires = [_is_class_of(kind, self.types) for kind in pixel_kinds(frames)]
        return Applied(self.lambd, self.types, np.array(fires, bool))

    def act(self, sample: Sample) -> Sample:
        """A sample whose leaves went through the function, each once."""
        return Applied(self.lambd, self.types, np.ones(1, bool)).leaves(sample)

    def extra_repr(self) -> str:
        name = getattr(self.lambd, "__name__", type(self.lambd).__name__)
        return f"{name}, types={[one.__name__ for one in self.types]}"


def _is_of(leaf: Any, types: tuple[type, ...]) -> bool:
    kind = kind_of(leaf)
    return isinstance(leaf, types) or (kind is not None and _is_class_of(kind, types))


def _is_class_of(kind: type, types: tuple[type, ...]) -> bool:
    return issubclass(kind, tuple(our_class(one) for one in types))
