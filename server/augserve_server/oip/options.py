"""The parameters of a request: how its samples are augmented, and what is sent back."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from typing import Any, Final

from augserve.wire import DEFAULT_QUALITY, JPEG, NPY, PNG, SAFETENSORS, SEED_LIMIT, WEBP, oip
from augserve_server.errors import ParameterInvalid, ParameterUnknown
from augserve_server.oip.names import RAGGED, RAGGED_LIST, RAGGED_PAD

FORMATS: Final[Mapping[str, str]] = {"jpeg": JPEG, "png": PNG, "webp": WEBP, "npy": NPY, "safetensors": SAFETENSORS}
"""The media type of each value of ``format``."""

STANDARD: Final = ("sequence_id", "sequence_start", "sequence_end", "headers", oip.BINARY_OUTPUT)
"""Parameters of the protocol that change nothing here: there are no sequences, and outputs are asked for elsewhere."""

MICROSECONDS_LIMIT: Final = 600_000_000

INTERACTIVE: Final = 1


class OnError(StrEnum):
    """What becomes of a request with a sample that fails."""

    FAIL = "fail"  # it fails, with the error of the first one
    SKIP = "skip"  # their results are left out of every output but STATUS, ERRORS and PROBLEMS
    FILL = "fill"  # their results are zeros, or empty


@dataclass(frozen=True, slots=True)
class Options:
    """The parameters of a request, checked; those that were not given at their defaults."""

    seed: int | None = None
    """Of the first result; None: a fresh one."""
    views: int = 1
    dtype: str | None = None
    wire: str | None = None
    format: str | None = None
    """The media type of ENCODED; None: the first that the pipeline's results can be written as."""
    quality: int = DEFAULT_QUALITY
    on_error: OnError = OnError.FAIL
    params: bool = False
    ragged: str = RAGGED_PAD
    """What PIXELS are where results differ in shape."""
    timeout_us: int | None = None
    priority: int = 0
    """0 for the default, :data:`INTERACTIVE` for somebody who waits, more for work that can wait."""


def read_options(parameters: oip.Parameters, max_views: int) -> Options:
    """The options that parameters say. Raises ParameterUnknown, or ParameterInvalid for a value that cannot be."""
    fields = _fields(max_views)
    values: dict[str, Any] = {}
    for name, value in parameters.items():
        if name in STANDARD:
            continue
        if name not in fields:
            raise ParameterUnknown(name, [*fields])
        field, read = fields[name]
        if field in values:
            raise ParameterInvalid(name, value, "given by one of its two names")
        values[field] = read(name, value)
    return Options(**values)


@cache
def _fields(max_views: int) -> Mapping[str, tuple[str, Callable[[str, oip.Scalar], object]]]:
    """The field of each parameter, and what reads it."""
    dtype = "dtype", _one_of(("float16", "bfloat16", "float32"))
    return {
        "seed": ("seed", _integer(0, SEED_LIMIT - 1)),
        "views": ("views", _integer(1, max_views)),
        "output_dtype": dtype,
        "dtype": dtype,
        "wire": ("wire", _one_of(("uint8",))),
        "format": ("format", _format),
        "quality": ("quality", _integer(1, 100)),
        "on_error": ("on_error", _on_error),
        "params": ("params", _flag),
        RAGGED: ("ragged", _one_of((RAGGED_PAD, RAGGED_LIST))),
        "timeout": ("timeout_us", _integer(0, MICROSECONDS_LIMIT)),
        "priority": ("priority", _integer(0, 2**64 - 1)),
    }


def _integer(least: int, most: int) -> Callable[[str, oip.Scalar], int]:
    def read(name: str, value: oip.Scalar) -> int:
        if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
            raise ParameterInvalid(name, value, f"an integer from {least} to {most}")
        return value

    return read


def _one_of(allowed: Sequence[str]) -> Callable[[str, oip.Scalar], str]:
    def read(name: str, value: oip.Scalar) -> str:
        if not isinstance(value, str) or value not in allowed:
            raise ParameterInvalid(name, value, " or ".join(allowed))
        return value

    return read


def _format(name: str, value: oip.Scalar) -> str:
    known = {**FORMATS, **{media_type: media_type for media_type in FORMATS.values()}}
    if not isinstance(value, str) or value not in known:
        raise ParameterInvalid(name, value, " or ".join(FORMATS))
    return known[value]


def _on_error(name: str, value: oip.Scalar) -> OnError:
    return OnError(_one_of([*OnError])(name, value))


def _flag(name: str, value: oip.Scalar) -> bool:
    if not isinstance(value, bool):
        raise ParameterInvalid(name, value, "true or false")
    return value
