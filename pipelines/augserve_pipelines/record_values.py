"""The values of a record in JSON: arguments of functionals, and how they are checked on the way back."""

from __future__ import annotations

import base64
import binascii
import dataclasses
import functools
import inspect
import zlib
from collections.abc import Mapping
from enum import Enum
from typing import Annotated, Any, get_type_hints

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict, Field, InstanceOf, TypeAdapter, ValidationError
from torch import Tensor

from augserve_pipelines.dispatch import Deferred, Functional
from augserve_pipelines.dtypes import DTYPES
from augserve_pipelines.errors import InvalidInput
from augserve_pipelines.lanes import Stream

__all__ = ["arguments", "checked", "written"]

STREAM, DEFERRED, TENSOR, DTYPE = "stream", "deferred", "tensor", "dtype"
STATE_BYTES = 5056  # of torch's CPU generator
LONGEST_LIST = 10_000

Side = Annotated[int, Field(ge=1)]


class _Operation(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    name: Annotated[str, Field(max_length=100)]
    arguments: dict[str, Any]
    kinds: list[str] | None = None


class _Document(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    version: int
    seed: int | None = None
    input_size: Annotated[list[Side], Field(min_length=2, max_length=2)]
    output_size: list[int] | None = None
    matrix: list[list[float]] | None = None
    keypoints_matrix: list[list[float]] | None = None
    operations: list[_Operation]


def checked(document: Any, version: int) -> dict[str, Any]:
    """The document where it has the shape of a record.

    Raises:
        InvalidInput: it has not; names the first thing that is wrong.
    """
    try:
        content = _Document.model_validate(document)
    except ValidationError as error:
        raise InvalidInput(f"no record: {_first(error)}") from error
    if content.version != version:
        raise InvalidInput(f"no record: version is {content.version}; {version} is known")
    return content.model_dump(exclude_none=True) | {"seed": content.seed}


def written(value: Any) -> Any:
    """An argument in plain values; those that JSON does not know become a mapping with one key."""
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, torch.dtype):
        return {DTYPE: str(value).removeprefix("torch.")}
    if isinstance(value, Stream):
        return {STREAM: base64.b64encode(zlib.compress(value.state.numpy().tobytes(), 9)).decode()}
    if isinstance(value, Deferred):
        fields = {one.name: written(getattr(value, one.name)) for one in dataclasses.fields(value)}  # type: ignore[arg-type]
        return {DEFERRED: type(value).__name__, **fields}
    if isinstance(value, Tensor):
        return {TENSOR: value.tolist(), DTYPE: str(value.dtype).removeprefix("torch.")}
    if isinstance(value, np.generic | np.ndarray):
        return value.tolist()
    if isinstance(value, list | tuple):
        return [written(item) for item in value]
    if value is None or isinstance(value, bool | int | float | str):
        return value
    raise InvalidInput(f"a {type(value).__name__} cannot be written into a record")


def arguments(own: Functional, given: Mapping[str, Any], place: str) -> dict[str, Any]:
    """The arguments of a call, read and checked against the types of the functional's parameters.

    Raises:
        InvalidInput: one is missing, unknown or of another type.
    """
    try:
        bound = own.signature.bind(None, **given)
    except TypeError as error:
        raise InvalidInput(f"{place}: {error}") from error
    bound.apply_defaults()
    values = dict(list(bound.arguments.items())[1:])
    return {name: _argument(own, name, value, f"{place}.{name}") for name, value in values.items()}


def _argument(own: Functional, name: str, value: Any, place: str) -> Any:
    read = _read(value, place)
    if isinstance(read, Deferred):
        return read
    try:
        return _adapters(own)[name].validate_python(read)
    except ValidationError as error:
        raise InvalidInput(f"{place}: {_first(error)}") from error


def _read(value: Any, place: str) -> Any:
    if isinstance(value, list):
        if len(value) > LONGEST_LIST:
            raise InvalidInput(f"{place}: a list of {len(value)} values; at most {LONGEST_LIST} are allowed")
        return [_read(item, place) for item in value]
    if not isinstance(value, dict):
        return value
    if DEFERRED in value:
        return _deferred(value, place)
    if STREAM in value:
        return Stream(_state(value[STREAM], place))
    if TENSOR in value:
        return _tensor(value, place)
    if set(value) == {DTYPE}:
        return _dtype(value, place)
    raise InvalidInput(f"{place}: a mapping of {sorted(map(str, value))[:5]} is no value of a record")


def _deferred(value: Mapping[str, Any], place: str) -> Deferred:
    kinds = {kind.__name__: kind for kind in Deferred.__subclasses__()}
    kind: Any = kinds.get(str(value[DEFERRED]))
    if kind is None:
        raise InvalidInput(f"{place}: {value[DEFERRED]!r:.80} is no value of a record")
    fields = {name: _read(item, f"{place}.{name}") for name, item in value.items() if name != DEFERRED}
    known = _fields(kind)
    if set(fields) != set(known):
        raise InvalidInput(f"{place}: {kind.__name__} has {sorted(known)}, not {sorted(fields)[:10]}")
    try:
        made: Deferred = kind(**{name: known[name].validate_python(field) for name, field in fields.items()})
        return made
    except (ValidationError, ValueError) as error:
        message = _first(error) if isinstance(error, ValidationError) else str(error)
        raise InvalidInput(f"{place}: {message}") from error


def _state(value: Any, place: str) -> Tensor:
    try:
        packed = base64.b64decode(value, validate=True)
        state = zlib.decompressobj().decompress(packed, STATE_BYTES + 1)
    except (TypeError, ValueError, binascii.Error, zlib.error) as error:
        raise InvalidInput(f"{place}: no state of a random generator") from error
    tensor = torch.from_numpy(np.frombuffer(bytearray(state), np.uint8).copy())
    try:
        torch.Generator().set_state(tensor)
    except RuntimeError as error:
        raise InvalidInput(f"{place}: no state of a random generator") from error
    return tensor


def _tensor(value: Mapping[str, Any], place: str) -> Tensor:
    try:
        return torch.tensor(value[TENSOR], dtype=_dtype(value, place))
    except (TypeError, ValueError, RuntimeError) as error:
        raise InvalidInput(f"{place}: no tensor: {error}") from error


def _dtype(value: Mapping[str, Any], place: str) -> torch.dtype:
    name = str(value.get(DTYPE))
    if name not in DTYPES:
        raise InvalidInput(f"{place}: {name!r:.80} is no dtype; allowed: {', '.join(DTYPES)}")
    return DTYPES[name]


_LAX = ConfigDict(arbitrary_types_allowed=True, allow_inf_nan=False)


@functools.cache
def _adapters(own: Functional) -> Mapping[str, TypeAdapter[Any]]:
    declared: Any = inspect.unwrap(own)
    hints = get_type_hints(declared, include_extras=True)
    names = list(own.signature.parameters)[1:]
    return {name: _adapter(hints.get(name, Any)) for name in names}


@functools.cache
def _fields(kind: Any) -> Mapping[str, TypeAdapter[Any]]:
    hints = get_type_hints(kind, include_extras=True)
    return {one.name: _adapter(hints[one.name]) for one in dataclasses.fields(kind)}


def _adapter(hint: Any) -> TypeAdapter[Any]:
    """Checks a field; one that is a dataclass, such as Stream, has been read by now."""
    return TypeAdapter(InstanceOf[hint]) if dataclasses.is_dataclass(hint) else TypeAdapter(hint, config=_LAX)


def _first(error: ValidationError) -> str:
    detail = error.errors(include_url=False, include_input=False)[0]
    place = ".".join(map(str, detail["loc"]))
    return f"{place}: {detail['msg']}" if place else detail["msg"]
