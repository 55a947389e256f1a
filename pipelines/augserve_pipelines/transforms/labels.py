"""Where the labels of a sample are: the parameter ``labels_getter``, and what it finds."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import torch
from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

from augserve_pipelines.arguments import UNSUITABLE, Words
from augserve_pipelines.errors import InvalidInput
from augserve_pipelines.samples import Pending, Sample
from augserve_pipelines.tv_tensors.interop import kind_of

__all__ = ["LabelsGetter", "find_labels", "is_tensor", "places_of", "places_of_labels"]

_CURE = "give labels, or set labels_getter to None where there are none, or to a function"
_WORDS = "'default', null or, in Python, a function"


@dataclass(frozen=True, slots=True)
class _Getter:
    """``"default"``, None or a function."""

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(self._getter)

    def _getter(self, value: object) -> object:
        if value is None or value == "default" or callable(value):
            return value
        raise PydanticCustomError(UNSUITABLE, UNSUITABLE, {"words": _WORDS})

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        return {"enum": ["default", None]}


LabelsGetter = Annotated[Callable[[Any], Any] | Literal["default"] | None, _Getter(), Words(_WORDS, example="default")]


def find_labels(getter: Callable[[Any], Any] | Literal["default"] | None, value: Any) -> Any:
    """What a ``labels_getter`` finds in the structure of a sample.

    ``"default"`` takes the second item of a tuple or a list, or the mapping itself: the labels are that item where it
    is a tensor; else they are under its key ``labels``, in any case, else under its first key with "label" in it.

    Raises:
        InvalidInput: the default finds none.
    """
    if getter is None:
        return None
    return _by_default(value) if getter == "default" else getter(value)


def places_of_labels(getter: Callable[[Any], Any] | Literal["default"] | None, sample: Sample) -> tuple[int, ...]:
    """The places of the tensors that a ``labels_getter`` finds: one, or a tuple or list of them, or None.

    Raises:
        InvalidInput: it finds anything else.
    """
    labels = find_labels(getter, sample.value())
    if labels is None:
        return ()
    found = labels if isinstance(labels, tuple | list) else (labels,)
    for label in found:
        if not is_tensor(label):
            raise InvalidInput(
                f"labels must be a tensor, a tuple or list of tensors or None, not {type(label).__name__}"
            )
    return places_of(sample, found)


def places_of(sample: Sample, found: Sequence[Any]) -> tuple[int, ...]:
    """Where these very objects are among the leaves."""
    return tuple(place for place, leaf in enumerate(sample.leaves) if any(leaf is one for one in found))


def is_tensor(leaf: Any) -> bool:
    """Whether this is a tensor, or stands for one."""
    return isinstance(leaf, torch.Tensor | Pending)


def _by_default(value: Any) -> Any:
    if isinstance(value, tuple | list):
        if len(value) < 2:
            raise InvalidInput(f"a sample of {len(value)} items has no second one to find labels in")
        value = value[1]
    if kind_of(value) is torch.Tensor or (isinstance(value, Pending) and value.kind is torch.Tensor):
        return value
    if not isinstance(value, Mapping):
        raise InvalidInput(
            "labels are found in a mapping, or where the second item of the sample is a mapping or a tensor,"
            f" and here it is {type(value).__name__}; {_CURE}"
        )
    names = {key: str(key).lower() for key in value}
    exact = (key for key, name in names.items() if name == "labels")
    near = (key for key, name in names.items() if "label" in name)
    for key in itertools.chain(exact, near):
        return value[key]
    raise InvalidInput(f"no key of the sample has 'label' in it: {sorted(names.values())}; {_CURE}")
