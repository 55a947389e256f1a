"""What is asked and answered in the Open Inference Protocol, however it travels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, TypeAlias

from augserve.wire.dtypes import Buffer, InvalidBody

Scalar: TypeAlias = str | int | float | bool
Parameters: TypeAlias = Mapping[str, Scalar]

REGION: Final = "shared_memory_region"
REGION_SIZE: Final = "shared_memory_byte_size"
REGION_OFFSET: Final = "shared_memory_offset"
REGION_KEYS: Final = (REGION, REGION_SIZE, REGION_OFFSET)

_SIZE_LIMIT: Final = 1 << 63


@dataclass(frozen=True, slots=True)
class Tensor:
    """An input. ``data`` is its elements, little-endian and row-major; for BYTES a list, one entry for each element.

    Where the parameters name a region of shared memory, ``data`` is empty, and the region has it.
    """

    name: str
    datatype: str
    shape: tuple[int, ...]
    data: Buffer | Sequence[Buffer] = b""
    parameters: Parameters = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class RequestedOutput:
    """An output that is wanted, and how: ``binary_data``, or a region of shared memory."""

    name: str
    parameters: Parameters = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class InferRequest:
    """Work for a model. ``model_version`` is empty for the latest, ``outputs`` None for all of the usual ones."""

    model_name: str
    model_version: str = ""
    id: str = ""
    parameters: Parameters = field(default_factory=dict)
    inputs: Sequence[Tensor] = ()
    outputs: Sequence[RequestedOutput] | None = None


@dataclass(frozen=True, slots=True)
class OutputTensor:
    """An output. ``buffers``, one after another, are its elements, little-endian; BYTES with lengths in front.

    Where the parameters name a region of shared memory, there are no buffers: the region has the elements.
    """

    name: str
    datatype: str
    shape: tuple[int, ...]
    buffers: Sequence[Buffer] = ()
    parameters: Parameters = field(default_factory=dict)

    @property
    def nbytes(self) -> int:
        """Of all buffers together."""
        return sum(memoryview(buffer).nbytes for buffer in self.buffers)


@dataclass(frozen=True, slots=True)
class InferResponse:
    """What a model has made of a request. ``id`` is the request's."""

    model_name: str
    model_version: str = ""
    id: str = ""
    parameters: Parameters = field(default_factory=dict)
    outputs: Sequence[OutputTensor] = ()


@dataclass(frozen=True, slots=True)
class Region:
    """The part of a region of shared memory that a tensor lies in: ``byte_size`` bytes from ``offset``."""

    name: str
    byte_size: int
    offset: int = 0


def region_of(tensor: Tensor | RequestedOutput | OutputTensor) -> Region | None:
    """The shared memory that a tensor's parameters name; None where they name none.

    Raises ``InvalidBody`` where they say it only in part, or with values that cannot be.
    """
    given = {key: tensor.parameters[key] for key in REGION_KEYS if key in tensor.parameters}
    if not given:
        return None
    if REGION not in given or REGION_SIZE not in given:
        raise InvalidBody(f"tensor {tensor.name!r} has {', '.join(given)}; {REGION} and {REGION_SIZE} go together")
    name = given[REGION]
    if not isinstance(name, str) or not name:
        raise InvalidBody(f"tensor {tensor.name!r}: {REGION} is the name of a region, not {name!r}")
    return Region(name, _size(tensor.name, REGION_SIZE, given), _size(tensor.name, REGION_OFFSET, given))


def _size(tensor: str, key: str, given: Parameters) -> int:
    size = given.get(key, 0)
    if isinstance(size, bool) or not isinstance(size, int) or not 0 <= size < _SIZE_LIMIT:
        raise InvalidBody(f"tensor {tensor!r}: {key} is {size!r}; allowed: an integer from 0 to {_SIZE_LIMIT - 1}")
    return size
