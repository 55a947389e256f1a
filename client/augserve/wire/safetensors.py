"""The safetensors format: eight bytes of length, a JSON header, and the tensors' bytes."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import prod
from typing import Any, Final, TypeAlias

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, NonNegativeInt, ValidationError

from augserve.wire.dtypes import ELEMENT_TYPES, Buffer, InvalidBody, check_size, element_type, flat, widen

MAX_HEADER_BYTES: Final = 1 << 20
"""Longest JSON header that is read."""

_LENGTH_BYTES: Final = 8
_METADATA: Final = "__metadata__"
_Kind: TypeAlias = tuple[str, str, tuple[int, ...], int]
"""A tensor's name, its element type as torch spells it, its shape and its bytes."""
_NAMES: Final = {kind.safetensors: name for name, kind in ELEMENT_TYPES.items()}


class _Entry(BaseModel):
    """One tensor of the header: its safetensors dtype, shape, and where its bytes begin and end."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    dtype: str
    shape: list[NonNegativeInt]
    data_offsets: tuple[NonNegativeInt, NonNegativeInt]


@dataclass(frozen=True, slots=True)
class RawTensor:
    """A tensor as it travels: element type as torch spells it, and its bytes, little-endian in C order."""

    dtype: str
    shape: tuple[int, ...]
    data: memoryview

    def to_numpy(self) -> npt.NDArray[Any]:
        """The values, in the same memory; bfloat16 is widened to float32, exactly.

        Raises ``InvalidBody`` for more dimensions than numpy has.
        """
        try:
            values = np.frombuffer(self.data, ELEMENT_TYPES[self.dtype].numpy).reshape(self.shape)
        except ValueError as exc:  # more dimensions, or larger ones beside a zero, than numpy has
            raise InvalidBody(f"numpy cannot hold a tensor of shape {list(self.shape)}") from exc
        return widen(values) if self.dtype == "bfloat16" else values


@dataclass(frozen=True, slots=True)
class Archive:
    """A safetensors file that was read: its tensors, and the strings that it says about them."""

    tensors: Mapping[str, RawTensor]
    metadata: Mapping[str, str]


def write_safetensors(
    tensors: Mapping[str, tuple[str, Sequence[int], Buffer]], metadata: Mapping[str, str] | None = None
) -> list[Buffer]:
    """A safetensors file as buffers to send one after another; the tensors' memory is not copied.

    ``tensors`` maps a name to (dtype, shape, data): dtype as torch spells it (``"float32"``, ``"bfloat16"``), data
    little-endian in C order. Raises ``ValueError`` where data and shape disagree.
    """
    buffers: list[Buffer] = []
    kinds = []
    for name, (dtype, shape, data) in tensors.items():
        view = flat(data)
        check_size(dtype, shape, view)
        kinds.append((name, dtype, tuple(shape), view.nbytes))
        buffers.append(view)
    return [_head(tuple(kinds)) if not metadata else _written(kinds, metadata), *buffers]


@lru_cache(256)
def _head(kinds: tuple[_Kind, ...]) -> bytes:
    """What comes before the tensors: the same for all results of a pipeline."""
    return _written(kinds, {})


def _written(kinds: Sequence[_Kind], metadata: Mapping[str, str]) -> bytes:
    header: dict[str, Any] = {_METADATA: dict(metadata)} if metadata else {}
    offset = 0
    for name, dtype, shape, size in kinds:
        place = [offset, offset + size]
        header[name] = {"dtype": element_type(dtype).safetensors, "shape": list(shape), "data_offsets": place}
        offset += size
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)  # the tensors begin at a multiple of eight bytes
    return len(text).to_bytes(_LENGTH_BYTES, "little") + text


def read_safetensors(body: Buffer) -> dict[str, npt.NDArray[Any]]:
    """The tensors of a safetensors file, as read-only views into ``body``; bfloat16 is widened to float32, exactly.

    Raises ``InvalidBody`` for a header that is too long or malformed, an element type that is not known, and tensors
    that overlap, leave gaps or reach outside the body.
    """
    return {name: tensor.to_numpy() for name, tensor in read_raw_safetensors(flat(body).toreadonly()).items()}


def read_raw_safetensors(body: Buffer) -> dict[str, RawTensor]:
    """The tensors of a safetensors file, as views into ``body`` that are writable if it is.

    Raises ``InvalidBody`` as :func:`read_safetensors` does.
    """
    return dict(read_archive(body).tensors)


def read_archive(body: Buffer) -> Archive:
    """The tensors of a safetensors file as :func:`read_raw_safetensors` gives them, and its metadata.

    Raises ``InvalidBody`` as :func:`read_safetensors` does.
    """
    header, data = _split(flat(body))
    metadata = header.pop(_METADATA, None) or {}
    if not isinstance(metadata, dict) or not all(isinstance(value, str) for value in metadata.values()):
        raise InvalidBody("the metadata of the safetensors header are not an object of strings")
    entries = {name: _entry(name, value) for name, value in header.items()}
    _check_offsets(entries, data.nbytes)
    return Archive({name: _tensor(entry, data) for name, entry in entries.items()}, metadata)


def _split(view: memoryview) -> tuple[dict[str, Any], memoryview]:
    """The parsed header, and the bytes that follow it."""
    if view.nbytes < _LENGTH_BYTES:
        raise InvalidBody(f"a safetensors body has at least {_LENGTH_BYTES} bytes, not {view.nbytes}")
    length = int.from_bytes(view[:_LENGTH_BYTES], "little")
    available = view.nbytes - _LENGTH_BYTES
    if length > min(available, MAX_HEADER_BYTES):
        raise InvalidBody(
            f"the safetensors header says it has {length} bytes; {available} follow and {MAX_HEADER_BYTES} are allowed"
        )
    end = _LENGTH_BYTES + length
    return _parse(bytes(view[_LENGTH_BYTES:end])), view[end:]


def _parse(text: bytes) -> dict[str, Any]:
    try:
        header = json.loads(text.decode(), object_pairs_hook=_unique)
    except (ValueError, RecursionError) as exc:
        raise InvalidBody(f"the safetensors header is not valid JSON: {exc}") from exc
    if not isinstance(header, dict):
        raise InvalidBody(f"the safetensors header is not a JSON object but a {type(header).__name__}")
    return header


def _unique(pairs: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    result: dict[str, Any] = {}
    for name, value in pairs:
        if name in result:
            raise InvalidBody(f"the safetensors header has {name!r} twice")
        result[name] = value
    return result


def _entry(name: str, value: object) -> _Entry:
    try:
        entry = _Entry.model_validate_json(json.dumps(value))
    except ValidationError as exc:
        problem = exc.errors(include_url=False)[0]
        place = ".".join(str(part) for part in (name, *problem["loc"]))
        raise InvalidBody(f"the safetensors header is wrong at {place}: {problem['msg']}") from exc
    if entry.dtype not in _NAMES:
        raise InvalidBody(f"tensor {name!r} has dtype {entry.dtype!r}; known are {', '.join(_NAMES)}")
    return entry


def _check_offsets(entries: Mapping[str, _Entry], available: int) -> None:
    """The tensors lie end to end, in some order, and fill the data: so none overlap and none reach outside."""
    expected = 0
    for name, entry in sorted(entries.items(), key=lambda item: item[1].data_offsets):
        begin, end = entry.data_offsets
        size = prod(entry.shape) * ELEMENT_TYPES[_NAMES[entry.dtype]].numpy.itemsize
        if begin != expected or end - begin != size:
            raise InvalidBody(
                f"tensor {name!r} ({entry.dtype}, shape {entry.shape}) takes {size} bytes from offset {expected}; "
                f"its data_offsets are [{begin}, {end}]"
            )
        expected = end
    if expected != available:
        raise InvalidBody(f"the tensors take {expected} bytes; {available} follow the header")


def _tensor(entry: _Entry, data: memoryview) -> RawTensor:
    begin, end = entry.data_offsets
    return RawTensor(_NAMES[entry.dtype], tuple(entry.shape), data[begin:end])
