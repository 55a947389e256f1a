"""Requests and responses of the protocol, read from protobuf messages and written into them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any, Final

import numpy as np

from augserve.wire.dtypes import Buffer, InvalidBody
from augserve.wire.oip import (
    BYTES,
    NUMPY,
    HeadLimits,
    InferRequest,
    InferResponse,
    OutputTensor,
    Parameters,
    RequestedOutput,
    Scalar,
    Tensor,
    check_datatype,
    check_parameter,
    read_elements,
    region_of,
)
from augserve_server.errors import BodyMalformed
from augserve_server.grpc_service.fields import check_fields
from augserve_server.grpc_service.messages import messages, parsed

EMPTY_FINAL_RESPONSE: Final = "triton_enable_empty_final_response"
"""A client of a stream that sends it wants to be told which response is the last to its request."""
FINAL_RESPONSE: Final = "triton_final_response"

_CONTENTS: Final[Mapping[str, str]] = {
    "BOOL": "bool_contents",
    "INT8": "int_contents",
    "INT16": "int_contents",
    "INT32": "int_contents",
    "INT64": "int64_contents",
    "UINT8": "uint_contents",
    "UINT16": "uint_contents",
    "UINT32": "uint_contents",
    "UINT64": "uint64_contents",
    "FP32": "fp32_contents",
    "FP64": "fp64_contents",
    BYTES: "bytes_contents",
}
"""Where each element type is among typed contents; FP16 and BF16 are nowhere."""

_MAX_NAME: Final = 256
_MAX_RANK: Final = 32
_RAW_OUTPUT_TAG: Final = bytes([6 << 3 | 2])  # raw_output_contents = 6, of a length that follows
_INFER_RESPONSE_TAG: Final = bytes([2 << 3 | 2])  # ModelStreamInferResponse.infer_response = 2


def read_infer(data: bytes) -> InferRequest:
    """The request that the bytes of a ``ModelInferRequest`` are. Raises BodyMalformed."""
    return read_streamed(data).request


def read_streamed(data: bytes) -> Streamed:
    """The same, of a stream. Raises BodyMalformed."""
    try:
        check_fields(data)
        message = parsed("ModelInferRequest", data)
        return Streamed(read_request(message), _wants_final(message))
    except InvalidBody as exc:
        raise BodyMalformed(str(exc), field="body") from exc


@dataclass(frozen=True, slots=True)
class Streamed:
    """A request of a stream. ``wants_final``: it asks which response is the last one to it."""

    request: InferRequest
    wants_final: bool


def read_request(message: Any, limits: HeadLimits = HeadLimits()) -> InferRequest:  # noqa: B008  # frozen
    """The request that a ``ModelInferRequest`` is. Raises ``InvalidBody`` where it is more than the limits allow,
    or not as the protocol says.
    """
    for kind in ("inputs", "outputs"):
        _check_named(kind, [each.name for each in getattr(message, kind)], limits)
    for name in ("model_name", "model_version", "id"):
        _check_text(name, getattr(message, name))
    return InferRequest(
        message.model_name,
        message.model_version,
        message.id,
        _parameters("the request", message.parameters, limits, without=EMPTY_FINAL_RESPONSE),
        _inputs(message, limits),
        _requested(message, limits),
    )


def _wants_final(message: Any) -> bool:
    return EMPTY_FINAL_RESPONSE in message.parameters and message.parameters[EMPTY_FINAL_RESPONSE].bool_param


def write_response(response: InferResponse, *, final: bool = False) -> bytes:
    """A ``ModelInferResponse`` as it is sent, with every output in ``raw_output_contents``.

    Stock clients read nothing but BYTES from typed contents, and look for an output at its place among the raw ones.
    Those are laid behind the rest of the message by hand: protobuf would copy each of them twice.
    """
    head = messages()["ModelInferResponse"](
        model_name=response.model_name, model_version=response.model_version, id=response.id
    )
    _set_parameters(head.parameters, {**response.parameters, **({FINAL_RESPONSE: True} if final else {})})
    for output in response.outputs:
        one = head.outputs.add(name=output.name, datatype=output.datatype, shape=output.shape)
        _set_parameters(one.parameters, output.parameters)
    blobs = (part for output in response.outputs for part in _raw(output))
    return b"".join([head.SerializeToString(), *blobs])


def write_in_stream(response: bytes) -> bytes:
    """A ``ModelStreamInferResponse`` with what :func:`write_response` gave."""
    return b"".join([_INFER_RESPONSE_TAG, _varint(len(response)), response])


def _raw(output: OutputTensor) -> Iterator[Buffer]:
    yield _RAW_OUTPUT_TAG
    yield _varint(output.nbytes)
    yield from output.buffers


def _varint(value: int) -> bytes:
    """As protobuf writes lengths: seven bits a byte, the lowest first."""
    parts = bytearray()
    while value > 0x7F:
        parts.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*parts, value])


def _check_named(kind: str, names: Sequence[str], limits: HeadLimits) -> None:
    if len(names) > limits.tensors:
        raise InvalidBody(f"there are {len(names)} {kind}; allowed are {limits.tensors}")
    for name in names:
        _check_text(f"a name in {kind}", name)
    if len(set(names)) != len(names):
        raise InvalidBody(f"a name is twice in {kind}; there are {', '.join(names)}")


def _check_text(what: str, text: str) -> None:
    if len(text) > _MAX_NAME:
        raise InvalidBody(f"{what} is a string of at most {_MAX_NAME} characters, not {text[:80]!r}...")


def _parameters(where: str, values: Any, limits: HeadLimits, without: str = "") -> dict[str, Scalar]:
    if len(values) > limits.parameters:
        raise InvalidBody(f"{where} has {len(values)} parameters; allowed are {limits.parameters}")
    read: dict[str, Scalar] = {}
    for name in values:
        if name != without:
            read[name] = _scalar(where, name, values[name])
            check_parameter(where, name, read[name])
    return read


def _scalar(where: str, name: str, value: Any) -> Scalar:
    choice = value.WhichOneof("parameter_choice")
    if choice is None:
        raise InvalidBody(f"{where}: parameter {name[:80]!r} has no value")
    scalar: Scalar = getattr(value, choice)
    return scalar


def _set_parameters(target: Any, parameters: Parameters) -> None:
    for name, value in parameters.items():
        setattr(target[name], _choice(value), value)


def _choice(value: Scalar) -> str:
    match value:
        case bool():
            return "bool_param"
        case int():
            return "int64_param" if value < 1 << 63 else "uint64_param"
        case float():
            return "double_param"
    return "string_param"


def _requested(message: Any, limits: HeadLimits) -> list[RequestedOutput] | None:
    outputs = [
        RequestedOutput(each.name, _parameters(f"output {each.name!r}", each.parameters, limits))
        for each in message.outputs
    ]
    for output in outputs:
        region_of(output)
    return outputs or None


def _inputs(message: Any, limits: HeadLimits) -> list[Tensor]:
    heads = [_head(each, limits) for each in message.inputs]
    own = [i for i, head in enumerate(heads) if region_of(head) is None]
    raw = message.raw_input_contents
    typed = [each.name for each in message.inputs if each.HasField("contents")]
    if typed and raw:
        raise InvalidBody(f"contents and raw_input_contents are not to be mixed; contents: {', '.join(typed)}")
    if raw and len(raw) != len(own):
        raise InvalidBody(f"there are {len(raw)} raw_input_contents for {len(own)} inputs that are to have one")
    for place, i in enumerate(own):
        head = heads[i]
        data = (
            read_elements(head.name, head.datatype, head.shape, raw[place])
            if raw
            else _typed(head, message.inputs[i].contents)
        )
        heads[i] = Tensor(head.name, head.datatype, head.shape, data, head.parameters)
    return heads


def _head(message: Any, limits: HeadLimits) -> Tensor:
    """An input without its elements."""
    name, shape = message.name, tuple(message.shape)
    check_datatype(name, message.datatype[:_MAX_NAME])
    if len(shape) > _MAX_RANK or any(size < 0 for size in shape):
        raise InvalidBody(
            f"input {name!r}: shape has at most {_MAX_RANK} dimensions, none below 0, not {str(list(shape))[:80]}"
        )
    return Tensor(name, message.datatype, shape, b"", _parameters(f"input {name!r}", message.parameters, limits))


def _typed(head: Tensor, contents: Any) -> Buffer | Sequence[Buffer]:
    """The elements of an input that are in typed contents."""
    where = f"input {head.name!r}"
    if head.datatype not in _CONTENTS:
        raise InvalidBody(f"{where}: {head.datatype} is sent in raw_input_contents; there are no contents for it")
    field = _CONTENTS[head.datatype]
    if others := [found.name for found, _ in contents.ListFields() if found.name != field]:
        raise InvalidBody(f"{where}: {head.datatype} is sent in {field}, not in {', '.join(others)}")
    values, count = getattr(contents, field), prod(head.shape)
    if len(values) != count:
        raise InvalidBody(f"{where}: shape {list(head.shape)} takes {count} elements, and {field} has {len(values)}")
    return list(values) if head.datatype == BYTES else _numbers(where, head.datatype, values)


def _numbers(where: str, datatype: str, values: Any) -> bytes:
    dtype = NUMPY[datatype]
    wide = np.array(values, dtype if dtype.itemsize > 2 or dtype.kind == "b" else np.int64)
    narrow = wide.astype(dtype)
    if dtype.kind in "iu" and (narrow != wide).any():
        raise InvalidBody(f"{where}: a value is out of the range of {datatype}")
    return narrow.tobytes()
