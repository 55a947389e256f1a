"""The binary tensor data extension: a message is JSON, and behind it the bytes of tensors, in order, without gaps."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any, Final

from augserve.wire.dtypes import Buffer, InvalidBody, flat
from augserve.wire.names import JSON, OCTETS
from augserve.wire.oip.datatypes import BYTES, check_datatype
from augserve.wire.oip.elements import read_elements, read_json, write_json, write_strings
from augserve.wire.oip.heads import (
    HeadLimits,
    flag_parameter,
    objects_of,
    parameters_of,
    parse,
    shape_of,
    size_parameter,
    text_of,
)
from augserve.wire.oip.tensors import (
    REGION,
    InferRequest,
    InferResponse,
    OutputTensor,
    Parameters,
    RequestedOutput,
    Tensor,
    region_of,
)

HEAD_LENGTH_HEADER: Final = "Inference-Header-Content-Length"
BINARY_SIZE: Final = "binary_data_size"
BINARY_DATA: Final = "binary_data"
BINARY_OUTPUT: Final = "binary_data_output"

ALIGNMENT: Final = 8
"""JSON before bytes is filled up with spaces to a multiple of this: the first tensor can be used where it lies."""

RESPONSE_LIMITS: Final = HeadLimits(bytes=1 << 30, tensors=64, elements=1 << 24)

_JSON: Final = json.JSONEncoder(separators=(",", ":"))
_DIGITS: Final = re.compile(r"[0-9]{1,19}")


@dataclass(frozen=True, slots=True)
class Message:
    """A body to send. ``head_length`` is the bytes of its JSON where more follows, and None where it is all JSON."""

    buffers: Sequence[Buffer]
    head_length: int | None

    @property
    def headers(self) -> dict[str, str]:
        """What says how to read the body."""
        if self.head_length is None:
            return {"Content-Type": JSON}
        return {"Content-Type": OCTETS, HEAD_LENGTH_HEADER: str(self.head_length)}


def read_head_length(text: str | None, body_size: int) -> int | None:
    """The bytes of JSON that the header tells of; None without it. Raises ``InvalidBody`` where the body is shorter."""
    if text is None:
        return None
    if not _DIGITS.fullmatch(text.strip()) or int(text) > body_size:
        raise InvalidBody(f"{HEAD_LENGTH_HEADER} is an integer from 0 to {body_size}, the body, not {text[:40]!r}")
    return int(text)


def write_request(request: InferRequest) -> Message:
    """A request whose inputs are binary, and whose outputs are to be, but for those in shared memory."""
    head: dict[str, Any] = {"id": request.id} if request.id else {}
    blobs: list[Buffer] = []
    head["inputs"] = [_write_input(tensor, blobs) for tensor in request.inputs]
    head["parameters"] = {**request.parameters, BINARY_OUTPUT: True}
    if request.outputs is not None:
        head["outputs"] = [{"name": output.name, "parameters": dict(output.parameters)} for output in request.outputs]
    return _message(head, blobs, any(BINARY_SIZE in each["parameters"] for each in head["inputs"]))


def read_request(
    body: Buffer,
    head_length: int | None,
    model_name: str,
    model_version: str = "",
    *,
    raw_input: str = "IMAGE",
    limits: HeadLimits = HeadLimits(),  # noqa: B008  # frozen
) -> InferRequest:
    """The request that a body is; ``head_length`` is what :func:`read_head_length` gave.

    0 makes the whole body the one element of the input ``raw_input``, and asks for binary outputs. Raises
    ``InvalidBody`` for whatever is not as the protocol says, or more than the limits allow.
    """
    view = flat(body)
    if head_length == 0:
        only = Tensor(raw_input, BYTES, (1,), [view])
        return InferRequest(model_name, model_version, parameters={BINARY_OUTPUT: True}, inputs=[only])
    end = len(view) if head_length is None else head_length
    head = parse(view[:end], limits)
    return InferRequest(
        model_name,
        model_version,
        text_of(head, "id", "the request", default=""),
        parameters_of(head, "the request", limits),
        _read_inputs(head, view[end:], limits),
        _read_requested(head, limits),
    )


def wants_binary(request: InferRequest, output: str) -> bool:
    """Whether an output is to be sent as binary data, not as JSON."""
    asked = next((each.parameters for each in request.outputs or () if each.name == output), {})
    default = flag_parameter("the request", BINARY_OUTPUT, request.parameters.get(BINARY_OUTPUT, False))
    return flag_parameter(f"output {output!r}", BINARY_DATA, asked.get(BINARY_DATA, default))


def write_response(response: InferResponse, request: InferRequest) -> Message:
    """A response, each output as the request wants it.

    Raises ``InvalidBody`` for an output that cannot be JSON where binary data was not asked for.
    """
    head: dict[str, Any] = {"model_name": response.model_name, "model_version": response.model_version}
    head |= {"id": response.id} if response.id else {}
    head |= {"parameters": dict(response.parameters)} if response.parameters else {}
    blobs: list[Buffer] = []
    head["outputs"] = [_write_output(output, request, blobs) for output in response.outputs]
    return _message(head, blobs, any(memoryview(blob).nbytes for blob in blobs))


def read_response(body: Buffer, head_length: int | None, limits: HeadLimits = RESPONSE_LIMITS) -> InferResponse:
    """The response that a body is; its outputs are views of it. Raises ``InvalidBody`` where it is none."""
    view = flat(body)
    end = len(view) if head_length is None else head_length
    head = parse(view[:end], limits)
    where = "the response"
    return InferResponse(
        text_of(head, "model_name", where),
        text_of(head, "model_version", where, default=""),
        text_of(head, "id", where, default=""),
        parameters_of(head, where, limits),
        _read_outputs(head, view[end:], limits),
    )


def _message(head: Mapping[str, Any], blobs: Sequence[Buffer], binary: bool) -> Message:
    text = _JSON.encode(head).encode()
    if not binary:
        return Message([text], None)
    text += b" " * (-len(text) % ALIGNMENT)
    return Message([text, *blobs], len(text))


def _write_input(tensor: Tensor, blobs: list[Buffer]) -> dict[str, Any]:
    parameters = dict(tensor.parameters)
    if REGION not in parameters:
        data = tensor.data
        buffers: Sequence[Buffer] = [data] if isinstance(data, Buffer) else write_strings(data)
        parameters[BINARY_SIZE] = _extend(blobs, buffers)
    return {
        "name": tensor.name,
        "shape": list(tensor.shape),
        "datatype": tensor.datatype,
        "parameters": parameters,
    }


def _write_output(output: OutputTensor, request: InferRequest, blobs: list[Buffer]) -> dict[str, Any]:
    head: dict[str, Any] = {"name": output.name, "shape": list(output.shape), "datatype": output.datatype}
    parameters = dict(output.parameters)
    if REGION in parameters:
        return {**head, "parameters": parameters}
    if wants_binary(request, output.name):
        return {**head, "parameters": {**parameters, BINARY_SIZE: _extend(blobs, output.buffers)}}
    head |= {"parameters": parameters} if parameters else {}
    return {**head, "data": write_json(output.name, output.datatype, output.shape, output.buffers)}


def _extend(blobs: list[Buffer], buffers: Sequence[Buffer]) -> int:
    blobs.extend(buffers)
    return sum(memoryview(buffer).nbytes for buffer in buffers)


def _read_inputs(head: Mapping[str, Any], blobs: memoryview, limits: HeadLimits) -> list[Tensor]:
    if "inputs" not in head:
        raise InvalidBody("the request has no 'inputs'")
    inputs: list[Tensor] = []
    heads = objects_of(head, "inputs", limits.tensors)
    _check_elements(heads, limits)
    for each in heads:
        tensor, blobs = _read_tensor(each, blobs, "input", limits)
        inputs.append(tensor)
    _check_end(blobs, "input")
    _check_names([tensor.name for tensor in inputs], "input")
    return inputs


def _read_outputs(head: Mapping[str, Any], blobs: memoryview, limits: HeadLimits) -> list[OutputTensor]:
    outputs: list[OutputTensor] = []
    heads = objects_of(head, "outputs", limits.tensors)
    _check_elements(heads, limits)
    for each in heads:
        read, blobs = _read_tensor(each, blobs, "output", limits)
        data = [read.data] if isinstance(read.data, Buffer) else write_strings(read.data)
        buffers: Sequence[Buffer] = [] if REGION in read.parameters else data
        outputs.append(OutputTensor(read.name, read.datatype, read.shape, buffers, read.parameters))
    _check_end(blobs, "output")
    _check_names([output.name for output in outputs], "output")
    return outputs


def _check_elements(heads: Sequence[Mapping[str, Any]], limits: HeadLimits) -> None:
    count = sum(prod(shape_of(each, "a tensor")) for each in heads if each.get("datatype") == BYTES)
    if count > limits.elements:
        raise InvalidBody(f"there are {count} elements of BYTES; allowed are {limits.elements}")


def _read_tensor(
    head: Mapping[str, Any], blobs: memoryview, kind: str, limits: HeadLimits
) -> tuple[Tensor, memoryview]:
    """A tensor, and the bytes behind those that are its own."""
    name = text_of(head, "name", f"an {kind}")
    where = f"{kind} {name!r}"
    datatype, shape = text_of(head, "datatype", where), shape_of(head, where)
    check_datatype(name, datatype)
    parameters = parameters_of(head, where, limits)
    empty = Tensor(name, datatype, shape, b"", parameters)
    region = region_of(empty)
    _check_one_source(where, head, parameters)
    if region is not None:
        return empty, blobs
    if BINARY_SIZE not in parameters:
        return Tensor(name, datatype, shape, read_json(name, datatype, shape, head["data"]), parameters), blobs
    size = size_parameter(where, BINARY_SIZE, parameters[BINARY_SIZE])
    if size > len(blobs):
        raise InvalidBody(f"{where} has {BINARY_SIZE} {size}, and {len(blobs)} bytes are left of the body")
    rest = {key: value for key, value in parameters.items() if key != BINARY_SIZE}
    return Tensor(name, datatype, shape, read_elements(name, datatype, shape, blobs[:size]), rest), blobs[size:]


def _check_one_source(where: str, head: Mapping[str, Any], parameters: Parameters) -> None:
    sources = [key for key in (BINARY_SIZE, REGION) if key in parameters] + (["data"] if "data" in head else [])
    if len(sources) != 1:
        found = " and ".join(sources) or "none of them"
        raise InvalidBody(f"{where} has exactly one of 'data', {BINARY_SIZE} and {REGION}; there is {found}")


def _check_end(blobs: memoryview, kind: str) -> None:
    if len(blobs):
        raise InvalidBody(f"{len(blobs)} bytes follow the last {kind} that has {BINARY_SIZE}")


def _check_names(names: Sequence[str], kind: str) -> None:
    if len(set(names)) != len(names):
        raise InvalidBody(f"an {kind} is there twice; there are {', '.join(names)}")


def _read_requested(head: Mapping[str, Any], limits: HeadLimits) -> list[RequestedOutput] | None:
    outputs = [
        RequestedOutput(text_of(each, "name", "an output"), parameters_of(each, "an output", limits))
        for each in objects_of(head, "outputs", limits.tensors)
    ]
    _check_names([output.name for output in outputs], "output")
    for output in outputs:
        region_of(output)
    return outputs or None
