"""Requests and responses of the protocol as protobuf messages: what is read, what is refused, what is written."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any

import numpy as np
import pytest

from augserve.wire import InvalidBody
from augserve.wire.oip import BYTES, NUMPY, InferResponse, OutputTensor, Tensor
from augserve_server.errors import BodyMalformed
from augserve_server.grpc_service.messages import messages
from augserve_server.grpc_service.tensors import (
    read_infer,
    read_request,
    read_streamed,
    write_in_stream,
    write_response,
)


def request(*inputs: tuple[str, str, list[int]], raw: tuple[bytes, ...] = ()) -> Any:
    message = messages()["ModelInferRequest"](model_name="thumbnail", raw_input_contents=raw)
    for name, datatype, shape in inputs:
        message.inputs.add(name=name, datatype=datatype, shape=shape)
    return message


def only(message: Any) -> Tensor:
    (tensor,) = read_request(message).inputs
    return tensor


@pytest.mark.parametrize(
    ("datatype", "field", "values"),
    [
        ("BOOL", "bool_contents", [True, False]),
        ("INT8", "int_contents", [-128, 127]),
        ("INT16", "int_contents", [-32768, 32767]),
        ("INT32", "int_contents", [-(2**31), 2**31 - 1]),
        ("INT64", "int64_contents", [-(2**63), 2**63 - 1]),
        ("UINT8", "uint_contents", [0, 255]),
        ("UINT16", "uint_contents", [0, 65535]),
        ("UINT32", "uint_contents", [0, 2**32 - 1]),
        ("UINT64", "uint64_contents", [0, 2**64 - 1]),
        ("FP32", "fp32_contents", [0.5, float("inf")]),
        ("FP64", "fp64_contents", [0.1, -1e300]),
    ],
)
def test_typed_contents_are_read_as_the_same_elements_in_bytes(datatype: str, field: str, values: list[Any]) -> None:
    message = request(("X", datatype, [2]))
    getattr(message.inputs[0].contents, field).extend(values)
    data = only(message).data
    assert isinstance(data, bytes)
    assert data == np.array(values, NUMPY[datatype]).tobytes()


def test_typed_bytes_are_any_bytes() -> None:
    message = request(("IMAGE", BYTES, [2, 1]))
    message.inputs[0].contents.bytes_contents.extend([b"\xff\xd8\x00", b""])
    assert only(message).data == [b"\xff\xd8\x00", b""]


def test_raw_contents_are_those_of_the_inputs_that_are_not_in_shared_memory() -> None:
    message = request(("A", "UINT8", [2]), ("B", "UINT8", [3]), ("C", BYTES, [1]), raw=(b"ab", b"\1\0\0\0c"))
    message.inputs[1].parameters["shared_memory_region"].string_param = "r"
    message.inputs[1].parameters["shared_memory_byte_size"].int64_param = 3
    first, second, third = read_request(message).inputs
    assert (bytes(first.data), bytes(second.data)) == (b"ab", b"")  # type: ignore[arg-type]
    assert second.parameters == {"shared_memory_region": "r", "shared_memory_byte_size": 3}
    assert [bytes(element) for element in third.data] == [b"c"]  # type: ignore[union-attr,arg-type]


def test_a_tensor_of_no_elements_needs_no_contents() -> None:
    assert only(request(("X", "FP32", [0, 4]))).data == b""
    assert only(request(("X", "FP32", [0, 4]), raw=(b"",))).shape == (0, 4)


def test_parameters_are_read_as_what_they_are() -> None:
    message = request()
    for name, choice, value in (
        ("seed", "int64_param", 7),
        ("priority", "uint64_param", 2**64 - 1),
        ("params", "bool_param", True),
        ("scale", "double_param", 0.5),
        ("format", "string_param", "jpeg"),
    ):
        setattr(message.parameters[name], choice, value)
    message.parameters["triton_enable_empty_final_response"].bool_param = True
    read = read_request(message).parameters
    assert read == {"seed": 7, "priority": 2**64 - 1, "params": True, "scale": 0.5, "format": "jpeg"}
    assert read_streamed(message.SerializeToString()).wants_final
    assert not read_streamed(request().SerializeToString()).wants_final


def mixed(message: Any) -> None:
    message.inputs.add(name="X", datatype="UINT8", shape=[1]).contents.uint_contents.append(1)
    message.raw_input_contents.append(b"a")


def typed(datatype: str, shape: list[int], **contents: list[Any]) -> Callable[[Any], None]:
    def fill(message: Any) -> None:
        one = message.inputs.add(name="X", datatype=datatype, shape=shape)
        one.contents.SetInParent()
        for field, values in contents.items():
            getattr(one.contents, field).extend(values)

    return fill


def raw(datatype: str, shape: list[int], *contents: bytes) -> Callable[[Any], None]:
    def fill(message: Any) -> None:
        message.inputs.add(name="X", datatype=datatype, shape=shape)
        message.raw_input_contents.extend(contents)

    return fill


def parameter(name: str, **value: Any) -> Callable[[Any], None]:
    def fill(message: Any) -> None:
        message.parameters[name].SetInParent()
        for choice, given in value.items():
            setattr(message.parameters[name], choice, given)

    return fill


def many(kind: str, count: int, name: str = "X{}") -> Callable[[Any], None]:
    def fill(message: Any) -> None:
        for i in range(count):
            getattr(message, kind).add(name=name.format(i))

    return fill


@pytest.mark.parametrize(
    ("fill", "says"),
    [
        (mixed, "contents and raw_input_contents are not to be mixed; contents: X"),
        (raw("UINT8", [2], b"ab", b"c"), "there are 2 raw_input_contents for 1 inputs"),
        (raw("UINT8", [2], b"abc"), "'X'"),
        (raw("UINT8", [2**40, 2**40], b"abc"), "'X'"),
        (raw("UINT8", [-1], b"a"), "none below 0, not [-1]"),
        (raw("UINT8", [1] * 33, b"a"), "at most 32 dimensions"),
        (raw("UINT9", [1], b"a"), "datatype 'UINT9'; allowed: BOOL"),
        (raw(BYTES, [1], b"\xff\xff\xff\xff"), "element 0 of BYTES ends at byte 4294967299 of 4"),
        (raw(BYTES, [2**62], b""), "elements of BYTES; at most 131072 are allowed"),
        (raw(BYTES, [2**16], b""), "elements of BYTES do not fit in 0 bytes"),
        (typed("UINT8", [2], uint_contents=[1]), "takes 2 elements, and uint_contents has 1"),
        (typed("UINT8", [1], uint_contents=[256]), "a value is out of the range of UINT8"),
        (typed("INT8", [1], int_contents=[-129]), "a value is out of the range of INT8"),
        (typed("UINT8", [1], fp32_contents=[1.0]), "UINT8 is sent in uint_contents, not in fp32_contents"),
        (typed("FP16", [1], fp32_contents=[1.0]), "FP16 is sent in raw_input_contents"),
        (parameter("triton_x", bool_param=True), "begins with 'triton_', which is reserved"),
        (parameter("x"), "parameter 'x' has no value"),
        (parameter("x", double_param=float("nan")), "parameter 'x' is a string, a number or a boolean"),
        (many("inputs", 17), "there are 17 inputs; allowed are 16"),
        (many("outputs", 10_000), "there are 10000 outputs; allowed are 16"),
        (many("outputs", 2, "PIXELS"), "a name is twice in outputs; there are PIXELS, PIXELS"),
        (many("inputs", 1, "X" * 257), "a name in inputs is a string of at most 256 characters"),
    ],
)
def test_what_is_not_as_the_protocol_says_is_refused(fill: Callable[[Any], None], says: str) -> None:
    message = request()
    fill(message)
    with pytest.raises(InvalidBody) as caught:
        read_request(message)
    assert says in str(caught.value)


def tiny(field: bytes) -> bytes:
    """A flood of one field, at the top of a message and within each that a request has."""
    return field * 100_000


def within(*path: int, content: bytes) -> bytes:
    """Bytes as the field within the field of these numbers."""
    for number in reversed(path):
        size = bytearray()
        left = len(content)
        while left > 127:
            size.append(left & 127 | 128)
            left >>= 7
        content = bytes([number << 3 | 2, *size, left]) + content
    return content


@pytest.mark.parametrize("path", [(), (4,), (4, 2), (5,), (5, 4), (5, 4, 2), (5, 5), (6,), (6, 2), (6, 2, 2)])
@pytest.mark.parametrize("field", [b"\x42\x00", b"\x7a\x00", b"\x78\x01", b"\x7d\0\0\0\0", b"\x79" + bytes(8)])
def test_a_flood_of_fields_is_refused_before_it_is_parsed(path: tuple[int, ...], field: bytes) -> None:
    with pytest.raises(BodyMalformed, match="more than 16384 fields"):
        read_infer(within(*path, content=tiny(field)))


def test_typed_numbers_are_not_for_large_tensors() -> None:
    some = within(5, 5, 4, content=bytes(1 << 19))
    with pytest.raises(BodyMalformed, match="send large tensors in raw_input_contents"):
        read_infer(some * 3)


@pytest.mark.parametrize("data", [b"\x0a", b"\x0a\x05ab", b"\x0b", b"\xff" * 12, b"\x09\x00", b"\x2a\x02\x0a\x09"])
def test_a_broken_message_is_refused(data: bytes) -> None:
    with pytest.raises(BodyMalformed):
        read_infer(data)


def test_a_mutated_message_is_read_or_refused() -> None:
    message = request(("IMAGE", BYTES, [2]), raw=(b"\1\0\0\0a\2\0\0\0bc",))
    message.parameters["seed"].int64_param = 7
    message.outputs.add(name="PIXELS").parameters["binary_data"].bool_param = True
    whole = message.SerializeToString()
    random = np.random.default_rng(0)
    for _ in range(2000):
        data = bytearray(whole)
        for place in random.integers(0, len(data), random.integers(1, 6)):
            data[place] = random.integers(0, 256)
        with suppress(BodyMalformed):
            read_infer(bytes(data))


def test_outputs_are_written_raw_at_their_places_as_any_reader_of_the_message_finds_them() -> None:
    pixels = np.arange(300, dtype=np.float32)
    response = InferResponse(
        "thumbnail",
        "1",
        "mine",
        {"seed": 7, "big": 2**63, "scale": 0.5, "last": False, "hash": "é"},
        [
            OutputTensor("PIXELS", "FP32", (300,), [pixels[:10].data, pixels[10:].data]),
            OutputTensor("SHARED", "UINT8", (4,), [], {"shared_memory_region": "r"}),
            OutputTensor("EMPTY", "UINT8", (0,), [b""]),
            OutputTensor("ENCODED", BYTES, (1,), [b"\2\0\0\0", b"\xff\x00"]),
        ],
    )
    read = messages()["ModelInferResponse"].FromString(write_response(response, final=True))
    assert (read.model_name, read.model_version, read.id) == ("thumbnail", "1", "mine")
    assert [(one.name, one.datatype, list(one.shape)) for one in read.outputs][1] == ("SHARED", "UINT8", [4])
    assert list(read.raw_output_contents) == [pixels.tobytes(), b"", b"", b"\2\0\0\0\xff\x00"]
    chosen = {name: getattr(value, value.WhichOneof("parameter_choice")) for name, value in read.parameters.items()}
    assert chosen == {**response.parameters, "triton_final_response": True}
    assert read.outputs[1].parameters["shared_memory_region"].string_param == "r"
    in_stream = messages()["ModelStreamInferResponse"].FromString(write_in_stream(write_response(response)))
    assert in_stream.infer_response.raw_output_contents == read.raw_output_contents
    assert "triton_final_response" not in in_stream.infer_response.parameters
