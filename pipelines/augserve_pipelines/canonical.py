"""The canonical form of a pipeline: every default spelled out, plain data, one fingerprint."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from enum import Enum
from typing import TYPE_CHECKING, TypeAlias

import torch
import yaml

from augserve_pipelines.constraints import KINDS
from augserve_pipelines.decode_rule import DecodeRule
from augserve_pipelines.document import FLOAT, INTEGER
from augserve_pipelines.errors import InvalidParameters, Problem
from augserve_pipelines.input_rule import InputRule
from augserve_pipelines.kernels.resample import Parity
from augserve_pipelines.registry import name_of

if TYPE_CHECKING:
    from augserve_pipelines.transforms.base import Transform

__all__ = ["canonical", "fingerprint", "plain", "to_yaml"]

AS_STORED = DecodeRule()
Json: TypeAlias = "bool | int | float | str | list[Json] | dict[str, Json] | None"


def canonical(
    parity: Parity, input: InputRule, transforms: Sequence[Transform], decode: DecodeRule = AS_STORED
) -> dict[str, Json]:
    """The pipeline as plain data: JSON types only, each transform with all its arguments.

    How images may be decoded is there only where it is not the default: fingerprints are older than the choice.

    Raises:
        InvalidParameters: an argument of a transform of your own, such as a function, has no plain form.
    """
    return {
        "parity": parity,
        "input": dict(input.model_dump()),
        **({} if decode == AS_STORED else {"decode": dict(decode.model_dump())}),
        "transforms": [_step(transform) for transform in transforms],
    }


def fingerprint(
    parity: Parity, input: InputRule, transforms: Sequence[Transform], decode: DecodeRule = AS_STORED
) -> str:
    """The sha256, in hexadecimal, of the canonical form as compact JSON with sorted keys.

    Equal fingerprints, equal results: name and description do not enter.
    """
    form = canonical(parity, input, transforms, decode)
    text = json.dumps(form, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def to_yaml(
    description: str,
    parity: Parity,
    input: InputRule,
    transforms: Sequence[Transform],
    decode: DecodeRule = AS_STORED,
) -> str:
    """The canonical form as YAML, which loads to a pipeline of the same fingerprint."""
    form = {"description": description, **canonical(parity, input, transforms, decode)}
    return yaml.dump(form, Dumper=_Dumper, sort_keys=False, allow_unicode=True, default_flow_style=None, width=100)


class _Dumper(yaml.SafeDumper):
    """Quotes the strings that YAML 1.1 takes for something else (by inheritance) and those that YAML 1.2 does."""

    def ignore_aliases(self, data: object) -> bool:
        return True


_Dumper.add_implicit_resolver("tag:yaml.org,2002:int", INTEGER, None)
_Dumper.add_implicit_resolver("tag:yaml.org,2002:float", FLOAT, None)


def _step(transform: Transform) -> dict[str, Json]:
    name = name_of(type(transform))
    return {name: {key: plain(value, f"{name}.{key}") for key, value in transform.arguments.items()}}


def plain(value: object, place: str) -> Json:
    """An argument as JSON data: a dtype by its name, a mode by its value, a tuple as a list.

    Raises:
        InvalidParameters: it has no such form; ``place`` says which it is.
    """
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, torch.dtype):
        return str(value).removeprefix("torch.")
    if isinstance(value, Enum):
        return plain(value.value, place)
    if isinstance(value, torch.nn.Module) and hasattr(value, "arguments"):
        return _step(value)  # type: ignore[arg-type]  # what has arguments is a Transform
    if isinstance(value, torch.Tensor):
        return plain(value.tolist(), place)
    if isinstance(value, list | tuple):
        return [plain(item, f"{place}[{index}]") for index, item in enumerate(value)]
    if isinstance(value, Mapping):
        return {_kind(key): plain(item, f"{place}[{_kind(key)}]") for key, item in value.items()}
    raise InvalidParameters([Problem(None, place, f"{value!r} has no plain form, so the pipeline has no fingerprint")])


def _kind(key: object) -> str:
    if not isinstance(key, type):
        return str(key)
    return next((name for name, kind in KINDS.items() if kind is key), f"{key.__module__}.{key.__qualname__}")
