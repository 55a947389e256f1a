"""The JSON of requests and responses: parsed under limits, and each field checked for what it is."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, NoReturn

import numpy as np

from augserve.wire.dtypes import Buffer, InvalidBody
from augserve.wire.oip.datatypes import short
from augserve.wire.oip.tensors import Scalar

MAX_NAME: Final = 256
MAX_RANK: Final = 32
DIMENSION_LIMIT: Final = 1 << 63
RESERVED_PREFIX: Final = "triton_"

_STRING: Final = re.compile(rb'"(?:[^"\\]|\\.)*+"?', re.DOTALL)  # the last may have no end: never is a byte read twice
_STEPS: Final = np.zeros(256, np.int8)
_STEPS[[*b"[{"]], _STEPS[[*b"]}"]] = 1, -1


@dataclass(frozen=True, slots=True)
class HeadLimits:
    """What the JSON of a message may be."""

    bytes: int = 1 << 20
    depth: int = 100
    tensors: int = 16
    """Of inputs, and of outputs."""
    parameters: int = 64
    """Of the message, and of each tensor."""
    elements: int = 1 << 14
    """Of all tensors of BYTES together: each costs more than its bytes."""


def parse(text: Buffer, limits: HeadLimits) -> dict[str, Any]:
    """The object that ``text`` is; raises ``InvalidBody`` where it is none, or is more than the limits allow."""
    raw = bytes(text)
    if len(raw) > limits.bytes:
        raise InvalidBody(
            f"the JSON is {len(raw)} bytes; allowed are {limits.bytes}: send large tensors as binary data"
        )
    if (depth := _depth(raw)) > limits.depth:
        raise InvalidBody(f"the JSON is nested {depth} deep; allowed are {limits.depth}")
    try:
        head = json.loads(raw.decode(), parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as exc:
        raise InvalidBody(f"this is not JSON: {_reason(exc)}") from exc
    if not isinstance(head, dict):
        raise InvalidBody(f"the JSON is an object, not {_kind(head)}")
    return head


def text_of(head: Mapping[str, Any], key: str, where: str, *, default: str | None = None) -> str:
    """A string of an object; ``default`` where it is absent, or an error where that is None."""
    value = head.get(key, default)
    if isinstance(value, str) and len(value) <= MAX_NAME and _can_be_sent(value):
        return value
    if value is None:
        raise InvalidBody(f"{where} has no {key!r}")
    raise InvalidBody(f"{where}: {key!r} is a string of at most {MAX_NAME} characters, not {short(value)}")


def objects_of(head: Mapping[str, Any], key: str, limit: int) -> list[dict[str, Any]]:
    """A list of objects; empty where it is absent."""
    values = head.get(key, [])
    if not isinstance(values, list) or not all(isinstance(value, dict) for value in values):
        raise InvalidBody(f"{key!r} is a list of objects, not {short(values)}")
    if len(values) > limit:
        raise InvalidBody(f"there are {len(values)} {key}; allowed are {limit}")
    return values


def shape_of(head: Mapping[str, Any], where: str) -> tuple[int, ...]:
    """The shape of a tensor: at most 32 dimensions, each from 0 to 2**63 - 1."""
    shape = head.get("shape")
    if not isinstance(shape, list) or len(shape) > MAX_RANK or not all(_is_dimension(size) for size in shape):
        raise InvalidBody(
            f"{where}: 'shape' is a list of at most {MAX_RANK} integers from 0 to {DIMENSION_LIMIT - 1}, "
            f"not {short(shape)}"
        )
    return tuple(shape)


def parameters_of(head: Mapping[str, Any], where: str, limits: HeadLimits) -> dict[str, Scalar]:
    """The parameters of a message or a tensor: strings, numbers and booleans by name."""
    values = head.get("parameters", {})
    if not isinstance(values, dict):
        raise InvalidBody(f"{where}: 'parameters' is an object, not {short(values)}")
    if len(values) > limits.parameters:
        raise InvalidBody(f"{where} has {len(values)} parameters; allowed are {limits.parameters}")
    for name, value in values.items():
        check_parameter(where, name, value)
    return values


def check_parameter(where: str, name: str, value: object) -> None:
    """Raise ``InvalidBody`` for a parameter that cannot be, or whose name is kept for another server."""
    if not _can_be_sent(name) or len(name) > MAX_NAME:
        raise InvalidBody(f"{where}: a parameter has a name that cannot be: {short(name)}")
    if name.startswith(RESERVED_PREFIX):
        raise InvalidBody(f"{where}: parameter {name!r} begins with {RESERVED_PREFIX!r}, which is reserved")
    good = isinstance(value, (bool, int)) or (isinstance(value, float) and math.isfinite(value))
    if not good and not (isinstance(value, str) and _can_be_sent(value)):
        raise InvalidBody(f"{where}: parameter {name!r} is a string, a number or a boolean, not {short(value)}")


def size_parameter(where: str, name: str, value: object) -> int:
    """A number of bytes; raises ``InvalidBody`` for anything else."""
    if not _is_dimension(value):
        raise InvalidBody(f"{where}: {name} is an integer from 0 to {DIMENSION_LIMIT - 1}, not {short(value)}")
    return value  # type: ignore[return-value]  # it is an integer


def flag_parameter(where: str, name: str, value: object) -> bool:
    """True or false; raises ``InvalidBody`` for anything else."""
    if not isinstance(value, bool):
        raise InvalidBody(f"{where}: {name} is true or false, not {short(value)}")
    return value


def _is_dimension(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < DIMENSION_LIMIT


_FEW: Final = 64
"""Brackets that are not worth looking for strings."""


def _depth(raw: bytes) -> int:
    """How deep brackets nest outside of strings; where there are few of them, how many there are."""
    if (brackets := raw.count(b"[") + raw.count(b"{")) <= _FEW:
        return brackets
    steps = _STEPS[np.frombuffer(_STRING.sub(b"", raw), np.uint8)]
    return int(np.cumsum(steps, dtype=np.int64).max(initial=0))


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no number of JSON")


def _reason(exc: Exception) -> str:
    if isinstance(exc, json.JSONDecodeError):
        return f"{exc.msg} at character {exc.pos}"
    return "it is not UTF-8" if isinstance(exc, UnicodeDecodeError) else str(exc)[:200]


def _can_be_sent(text: str) -> bool:
    """Whether it is made of whole characters: JSON can also say halves of surrogate pairs."""
    return text.isascii() or not any("\ud800" <= character <= "\udfff" for character in text)


def _kind(value: object) -> str:
    return {list: "a list", str: "a string", bool: "a boolean", type(None): "null"}.get(type(value), "a number")
