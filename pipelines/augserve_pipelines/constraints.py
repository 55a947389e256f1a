"""What the annotations of parameters are made of: each checks one shape of value and describes it in JSON Schema."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, get_args

import numpy as np
import torch
from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

from augserve_pipelines.arguments import UNSUITABLE, nearest, shown, words_of
from augserve_pipelines.dispatch import KINDS
from augserve_pipelines.dtypes import DTYPES
from augserve_pipelines.interpolation import InterpolationMode
from augserve_pipelines.tv_tensors.interop import our_class

__all__ = ["DTYPES", "KINDS", "DtypeName", "Items", "Modes", "PerKind", "Steps", "for_kind", "is_steps"]

OTHERS = "others"


@dataclass(frozen=True, slots=True)
class Items:
    """A sequence of one of these lengths (none given: any but empty). It becomes a tuple; arrays are taken too."""

    lengths: tuple[int, ...] = ()

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        (item,) = get_args(source)
        items = core_schema.tuple_schema([handler.generate_schema(item)], variadic_item_index=0, strict=True)
        return core_schema.no_info_before_validator_function(self._tuple, items)

    def _tuple(self, value: object) -> object:
        if isinstance(value, np.ndarray | torch.Tensor):
            value = value.tolist()
        if not isinstance(value, Sequence) or isinstance(value, str | bytes) or not self._allows(len(value)):
            # The strict tuple refuses all of these by their type, so that the message is in words.
            return list(value) if isinstance(value, tuple) else value
        return tuple(item.item() if isinstance(item, np.generic) else item for item in value)

    def _allows(self, length: int) -> bool:
        return length in self.lengths if self.lengths else length > 0

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        json_schema = handler(schema)
        if not self.lengths:
            return {**json_schema, "minItems": 1}
        low, high = min(self.lengths), max(self.lengths)
        gaps = [{"minItems": gap, "maxItems": gap} for gap in range(low, high) if gap not in self.lengths]
        return {**json_schema, "minItems": low, "maxItems": high, **({"not": {"anyOf": gaps}} if gaps else {})}


@dataclass(frozen=True, slots=True)
class Modes:
    """An InterpolationMode among these, as a member, a name or Pillow's integer."""

    allowed: tuple[InterpolationMode, ...]

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(self._mode)

    def _mode(self, value: object) -> InterpolationMode:
        names = [mode.value for mode in self.allowed]
        try:
            mode = InterpolationMode(value)
        except ValueError:
            raise ValueError(f"{shown(value)} is no interpolation mode{nearest(value, names)}") from None
        if mode not in self.allowed:
            raise ValueError(f"{mode.value!r} is not supported here; allowed: {', '.join(names)}")
        return mode

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        return {"enum": [mode.value for mode in self.allowed]}


@dataclass(frozen=True, slots=True)
class DtypeName:
    """A torch.dtype, or its name."""

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(self._dtype)

    def _dtype(self, value: object) -> torch.dtype:
        if isinstance(value, torch.dtype) and value in DTYPES.values():
            return value
        if isinstance(value, str) and value in DTYPES:
            return DTYPES[value]
        if not isinstance(value, torch.dtype | str):
            raise PydanticCustomError(UNSUITABLE, "not a dtype", {"words": "a dtype"})
        raise ValueError(f"{shown(value)} is no dtype of images{nearest(value, DTYPES)}")

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        return {"enum": list(DTYPES)}


@dataclass(frozen=True, slots=True)
class PerKind:
    """A mapping from kinds of input (types, or their names in YAML) or ``"others"`` to values."""

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        _, value = get_args(source)
        kind = core_schema.no_info_plain_validator_function(self._kind)
        values = core_schema.custom_error_schema(
            handler.generate_schema(value),
            custom_error_type=UNSUITABLE,
            custom_error_message=UNSUITABLE,
            custom_error_context={"words": words_of(value)},
        )
        return core_schema.dict_schema(kind, values, min_length=1)

    def _kind(self, key: object) -> object:
        if isinstance(key, type):
            return our_class(key)
        if key == OTHERS:
            return key
        if isinstance(key, str) and key in KINDS:
            return KINDS[key]
        raise ValueError(f"{shown(key)} is no kind of input{nearest(key, [*KINDS, OTHERS])}")

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        assert schema["type"] == "dict"
        value = handler(schema["values_schema"])
        return {"type": "object", "properties": dict.fromkeys([*KINDS, OTHERS], value), "additionalProperties": False}


@dataclass(frozen=True, slots=True)
class Steps:
    """A list of transforms, not empty."""

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(self._steps)

    def _steps(self, value: object) -> tuple[object, ...]:
        from augserve_pipelines.transforms.base import Transform  # the base class is checked by this module

        if not isinstance(value, Sequence | torch.nn.ModuleList) or isinstance(value, str):
            raise ValueError(f"{shown(value)} is not a list of transforms")
        if not len(value):
            raise ValueError("the list of transforms is empty; at least one is needed")
        for index, item in enumerate(value):
            if not isinstance(item, Transform):
                raise ValueError(f"item {index} is {_no_transform(item)}")
        return tuple(value)

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        return {"type": "array", "minItems": 1}


def is_steps(annotation: Any) -> bool:
    """Whether a parameter takes a list of transforms."""
    return any(isinstance(item, Steps) for item in getattr(annotation, "__metadata__", ()))


def for_kind(value: Any, kind: type) -> Any:
    """What a Fill or a DtypeOrMapping says for a kind of input: its own entry, else that of "others", else None."""
    return value.get(kind, value.get(OTHERS)) if isinstance(value, Mapping) else value


def _no_transform(item: object) -> str:
    """What an item is instead of a transform, and how to make it one."""
    if type(item).__module__.startswith("torchvision.transforms"):
        return f"torchvision's {shown(item)}: Pipeline.from_torchvision(steps).transforms are those of augserve"
    cure = "; Lambda makes a transform of a function" if callable(item) else ""
    return f"not an augserve transform: {shown(item)}{cure}"
