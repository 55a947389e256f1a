"""Bodies of answers as what was asked for: arrays, tensors or files."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np

from augserve.errors import ResponseInvalid
from augserve.requests import Form
from augserve.wire import (
    NPY,
    SAFETENSORS,
    TENSOR_MEDIA_TYPES,
    TENSOR_NAME,
    Buffer,
    RawTensor,
    read_npy,
    read_raw_safetensors,
    write_npy_header,
    write_safetensors,
)
from augserve.wire.dtypes import ELEMENT_TYPES


class Reader(Protocol):
    """Bodies into results. Both methods raise ResponseInvalid or InvalidBody where the body is something else."""

    def one(self, body: Buffer, media_type: str) -> Any:
        """The body of one result."""

    def many(self, body: Buffer, media_type: str, count: int) -> tuple[Sequence[Any], Any]:
        """The body of ``count`` results: each of them, and the dense block that they are views of or None."""


def reader(form: Form) -> Reader:
    """The reader for results of ``form``.

    Raises:
        ModuleNotFoundError: The form is torch, and torch is not installed.
    """
    if form == "bytes":
        return FileReader()
    if form == "numpy":
        return TensorReader(RawTensor.to_numpy)
    try:
        from augserve.torch import to_tensor
    except ModuleNotFoundError as exc:
        raise ModuleNotFoundError("'torch' is not installed: pip install 'augserve[pipelines]'", name="torch") from exc
    return TensorReader(to_tensor)


@dataclass(frozen=True, slots=True)
class TensorReader:
    """Results as arrays or tensors, in the memory they arrived in where that is writable and aligned."""

    convert: Callable[[RawTensor], Any]

    def one(self, body: Buffer, media_type: str) -> Any:
        return self.convert(_own(_read_raw(body, media_type)))

    def many(self, body: Buffer, media_type: str, count: int) -> tuple[Sequence[Any], Any]:
        block = self.convert(_own(_read_block(body, media_type, count)))  # [R, C, H, W]
        return list(block), block


class FileReader:
    """Results as the bytes of a file each, also where they come in one."""

    def one(self, body: Buffer, media_type: str) -> bytes:
        return bytes(body)

    def many(self, body: Buffer, media_type: str, count: int) -> tuple[Sequence[bytes], None]:
        if media_type not in TENSOR_MEDIA_TYPES:
            raise ResponseInvalid(f"the answer is one {media_type or 'body of no media type'}, not {count} results")
        block = _read_block(body, media_type, count)
        size_bytes = block.data.nbytes // count
        shares = [block.data[i * size_bytes : (i + 1) * size_bytes] for i in range(count)]
        return [_write(replace(block, shape=block.shape[1:], data=share), media_type) for share in shares], None


def _read_block(body: Buffer, media_type: str, count: int) -> RawTensor:
    block = _read_raw(body, media_type)
    if block.shape[:1] != (count,):
        raise ResponseInvalid(f"the answer is a tensor of shape {list(block.shape)}, not of {count} results")
    return block


def _read_raw(body: Buffer, media_type: str) -> RawTensor:
    if media_type == SAFETENSORS:
        tensors = read_raw_safetensors(body)
        if TENSOR_NAME not in tensors:
            raise ResponseInvalid(f"the answer has no tensor {TENSOR_NAME!r}, but {sorted(tensors)}")
        return tensors[TENSOR_NAME]
    if media_type == NPY:
        values = read_npy(body)
        values = np.ascontiguousarray(values, values.dtype.newbyteorder("<"))
        return RawTensor(values.dtype.name, values.shape, values.data.cast("B"))
    raise ResponseInvalid(f"the answer is {media_type or 'of no media type'}, not a tensor")


def _own(raw: RawTensor) -> RawTensor:
    flags = np.frombuffer(raw.data, ELEMENT_TYPES[raw.dtype].numpy).flags
    return raw if flags.writeable and flags.aligned else replace(raw, data=memoryview(bytearray(raw.data)))


def _write(raw: RawTensor, media_type: str) -> bytes:
    if media_type == NPY:
        return write_npy_header(raw.dtype, raw.shape) + bytes(raw.data)
    return b"".join(write_safetensors({TENSOR_NAME: (raw.dtype, raw.shape, raw.data)}))
