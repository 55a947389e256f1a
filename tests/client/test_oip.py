"""The bodies of the Open Inference Protocol: there and back, and everything that is refused."""

from __future__ import annotations

import json
import struct
from typing import Any

import numpy as np
import pytest

from augserve.wire import InvalidBody, oip

GOOD = {"name": "IMAGE", "datatype": "BYTES", "shape": [1], "data": ["x"]}


def read(head: Any, blob: bytes = b"", **options: Any) -> oip.InferRequest:
    text = head if isinstance(head, bytes) else json.dumps(head).encode()
    return oip.read_request(text + blob, len(text), "m", **options)


def refusal(head: Any, blob: bytes = b"", **options: Any) -> str:
    with pytest.raises(InvalidBody) as caught:
        read(head, blob, **options)
    return str(caught.value)


def one(**changes: Any) -> dict[str, Any]:
    tensor = {**GOOD, **changes}
    return {"inputs": [{key: value for key, value in tensor.items() if value is not ...}]}


def binary(size: Any, **changes: Any) -> dict[str, Any]:
    return one(data=..., parameters={"binary_data_size": size}, **changes)


def there_and_back(request: oip.InferRequest) -> oip.InferRequest:
    message = oip.write_request(request)
    return oip.read_request(b"".join(message.buffers), message.head_length, request.model_name)


def test_a_request_is_what_was_written() -> None:
    seeds = np.array([[3], [2**63 - 1]], "<i8")
    inputs = [
        oip.Tensor("IMAGE", "BYTES", (2,), [b"\xff\xd8 no utf-8", b""]),
        oip.Tensor("SEED", "INT64", (2, 1), seeds.tobytes(), {"note": "two"}),
    ]
    outputs = [oip.RequestedOutput("PIXELS", {"binary_data": False}), oip.RequestedOutput("STATUS")]
    read = there_and_back(oip.InferRequest("m", "", "id 1", {"views": 2, "f": 0.5}, inputs, outputs))
    assert (read.model_name, read.id) == ("m", "id 1")
    assert read.parameters == {"views": 2, "f": 0.5, "binary_data_output": True}
    assert list(read.inputs[0].data) == [b"\xff\xd8 no utf-8", b""]
    assert np.array_equal(np.frombuffer(read.inputs[1].data, "<i8"), [3, 2**63 - 1])  # type: ignore[arg-type]
    assert read.inputs[1].parameters == {"note": "two"}
    assert read.outputs == outputs


@pytest.mark.parametrize("datatype", oip.NAMES)
def test_every_datatype_travels_both_ways(datatype: str) -> None:
    elements = b"\x05\0\0\0\xff\0abc\0\0\0\0" if datatype == "BYTES" else bytes(2 * oip.NUMPY[datatype].itemsize)
    data = oip.read_elements("X", datatype, (2,), elements)
    request = there_and_back(oip.InferRequest("m", inputs=[oip.Tensor("X", datatype, (2,), data)]))
    sent = request.inputs[0].data
    assert b"".join([sent] if isinstance(sent, memoryview) else oip.write_strings(sent)) == elements  # type: ignore[arg-type]
    message = oip.write_response(
        oip.InferResponse("m", outputs=[oip.OutputTensor("Y", datatype, (2,), [elements])]), request
    )
    answer = oip.read_response(b"".join(message.buffers), message.head_length)
    assert b"".join(answer.outputs[0].buffers) == elements


@pytest.mark.parametrize(
    ("datatype", "data"),
    [("BOOL", [True, False]), ("INT64", [-(2**63), 2**63 - 1]), ("UINT64", [0, 2**64 - 1]), ("FP32", [1, -0.5])],
)
def test_numbers_travel_as_json_flat_or_nested(datatype: str, data: list[Any]) -> None:
    flat, nested = (read(one(datatype=datatype, shape=[1, 2], data=values)) for values in (data, [data]))
    assert flat.inputs[0].data == nested.inputs[0].data == np.array(data, oip.NUMPY[datatype]).tobytes()
    output = oip.OutputTensor("Y", datatype, (1, 2), [np.array(data, oip.NUMPY[datatype]).tobytes()])
    message = oip.write_response(oip.InferResponse("m", outputs=[output]), flat)
    assert message.head_length is None
    assert json.loads(b"".join(message.buffers))["outputs"][0]["data"] == data


def test_the_worked_example_of_two_images_is_read() -> None:
    blob = bytes.fromhex("0b000000ffd86a706567627974657306000000") + bytes.fromhex("89504e470001")
    head = binary(25, shape=[2]) | {"parameters": {"binary_data_output": True}}
    assert [bytes(each) for each in read(head, blob).inputs[0].data] == [b"\xff\xd8jpegbytes", b"\x89PNG\x00\x01"]  # type: ignore[union-attr]


def test_an_input_of_size_zero_has_no_bytes() -> None:
    request = read(binary(0, datatype="UINT8", shape=[0, 3]))
    assert bytes(request.inputs[0].data) == b""  # type: ignore[arg-type]
    assert there_and_back(request).inputs[0].shape == (0, 3)


def test_a_body_without_a_head_is_the_one_input() -> None:
    request = oip.read_request(b"a photograph", 0, "m", "1")
    assert [bytes(each) for each in request.inputs[0].data] == [b"a photograph"]  # type: ignore[union-attr]
    assert oip.wants_binary(request, "PIXELS")


def test_an_empty_binary_output_leaves_the_answer_json() -> None:
    request = oip.InferRequest("m", parameters={"binary_data_output": True})
    message = oip.write_response(oip.InferResponse("m", outputs=[oip.OutputTensor("Y", "UINT8", (0, 3))]), request)
    assert message.headers == {"Content-Type": "application/json"}
    answer = oip.read_response(b"".join(message.buffers), None)
    assert (answer.outputs[0].shape, answer.outputs[0].nbytes) == ((0, 3), 0)


def test_a_tensor_in_shared_memory_has_no_data() -> None:
    where = {"shared_memory_region": "r", "shared_memory_byte_size": 8, "shared_memory_offset": 2}
    request = there_and_back(oip.InferRequest("m", inputs=[oip.Tensor("X", "INT64", (1,), parameters=where)]))
    assert oip.region_of(request.inputs[0]) == oip.Region("r", 8, 2)
    message = oip.write_response(
        oip.InferResponse("m", outputs=[oip.OutputTensor("Y", "INT8", (4,), (), where)]), request
    )
    assert oip.region_of(oip.read_response(b"".join(message.buffers), message.head_length).outputs[0]) is not None
    assert b"data" not in b"".join(message.buffers).replace(b"binary_data", b"").replace(b"datatype", b"")


@pytest.mark.parametrize("text", ["-1", "11", "x", str(2**63), "", "1.0", "0x1", "٣"])
def test_a_head_length_that_cannot_be_is_refused(text: str) -> None:
    with pytest.raises(InvalidBody, match="an integer from 0 to 10, the body"):
        oip.read_head_length(text, 10)


@pytest.mark.parametrize(("text", "length"), [("0", 0), ("10", 10), (None, None)])
def test_a_head_may_be_as_long_as_the_body(text: str | None, length: int | None) -> None:
    assert oip.read_head_length(text, 10) == length


@pytest.mark.parametrize(
    ("head", "words"),
    [
        (b"{", "not JSON"),
        (b"\xff\xfe{\0", "not UTF-8"),
        (b"[]", "an object, not a list"),
        (b'{"inputs":[],"parameters":{"a":NaN}}', "no number of JSON"),
        (b'{"inputs":[],"parameters":{"a":1e999}}', "not inf"),
        (b'{"inputs":[],"x":' + b"[" * 200 + b"]" * 200 + b"}", "nested 201 deep"),
        (b'{"inputs":' + b"[" * 90_000, "nested 90001 deep"),
        ({}, "no 'inputs'"),
        ({"inputs": {}}, "a list of objects"),
        ({"inputs": [1]}, "a list of objects"),
        ({"inputs": [GOOD] * 2}, "there twice"),
        ({"inputs": [GOOD] * 17}, "17 inputs; allowed are 16"),
        ({"inputs": [], "outputs": [{"name": "a"}] * 10_000}, "10000 outputs; allowed are 16"),
        ({"inputs": [], "outputs": [{"name": "a"}] * 2}, "there twice"),
        ({"inputs": [], "id": 5}, "'id' is a string"),
        ({"inputs": [], "parameters": []}, "'parameters' is an object"),
        ({"inputs": [], "parameters": {"a": None}}, "not None"),
        ({"inputs": [], "parameters": {"a": [1]}}, "parameter 'a'"),
        ({"inputs": [], "parameters": {"triton_x": 1}}, "reserved"),
        ({"inputs": [], "parameters": {str(i): 1 for i in range(65)}}, "65 parameters; allowed are 64"),
        (one(name=...), "no 'name'"),
        (one(name="\ud800"), "'name' is a string"),
        (one(datatype="STRING"), "allowed: BOOL"),
        (one(shape=[-1]), "'shape'"),
        (one(shape=[True]), "'shape'"),
        (one(shape=[2**63]), "'shape'"),
        (one(shape=[1] * 33), "at most 32 integers"),
        (one(shape=[2]), "takes 2 elements, and data has 1"),
        (one(data=...), "there is none of them"),
        (one(parameters={"binary_data_size": 0}), "there is binary_data_size and data"),
        (one(parameters={"shared_memory_region": "r", "shared_memory_byte_size": 1}), "exactly one of"),
        (one(data=..., parameters={"shared_memory_region": "r"}), "go together"),
        (one(data=..., parameters={"shared_memory_region": "r", "shared_memory_byte_size": -1}), "allowed: an integer"),
        (one(data="x"), "a list of its elements"),
        (one(data=[1]), "a string of UTF-8"),
        (one(data=["\ud800"]), "a string of UTF-8"),
        (one(data=["x", ["y"]], shape=[2]), "side by side"),
        (one(datatype="FP16", data=[1.0]), "cannot be sent as JSON"),
        (one(datatype="BF16", data=[1.0]), "cannot be sent as JSON"),
        (one(datatype="UINT8", data=[256]), "out of the range of UINT8"),
        (one(datatype="UINT8", data=[True]), "True is not a value of UINT8"),
        (one(datatype="UINT8", data=[1.0]), "1.0 is not a value of UINT8"),
        (one(datatype="FP32", data=[1e300]), "out of the range of FP32"),
        (one(datatype="FP32", data=[10**400]), "out of the range of FP32"),
        (binary(-1), "binary_data_size is an integer"),
        (binary(2**63), "binary_data_size is an integer"),
        (binary("5"), "binary_data_size is an integer"),
        (binary(5), "0 bytes are left"),
        (binary(0, datatype="UINT8", shape=[2**40, 2**40, 2**40]), "takes 1329227995784915872903807060280344576 bytes"),
    ],
)
def test_a_head_that_is_wrong_is_refused(head: Any, words: str) -> None:
    assert words in refusal(head)


@pytest.mark.parametrize(
    ("blob", "shape", "words"),
    [
        (b"\x01\0\0\0a", [2], "2 elements of BYTES do not fit in 5 bytes"),
        (b"\x02\0\0\0a", [1], "element 0 of BYTES ends at byte 6 of 5"),
        (b"\xff\xff\xff\xff" + b"a" * 8, [1], "element 0 of BYTES ends at byte"),
        (b"\x01\0\0\0a\0\0\0", [2], "element 1 of BYTES ends at byte 9 of 8"),
        (b"\x01\0\0\0ab", [1], "1 bytes follow"),
        (b"\x01\0\0\0a", [2**40], "1099511627776 elements of BYTES; allowed are 16384"),
        (b"a", [0], "1 bytes follow"),
    ],
)
def test_bytes_that_lie_about_their_lengths_are_refused(blob: bytes, shape: list[int], words: str) -> None:
    assert words in refusal(binary(len(blob), shape=shape), blob)


def test_bytes_behind_the_last_input_are_refused() -> None:
    assert "1 bytes follow the last input" in refusal(binary(5), b"\x01\0\0\0a!")


def test_a_head_over_its_limit_is_refused() -> None:
    assert "allowed are 50" in refusal(one(data=["x" * 50]), limits=oip.HeadLimits(bytes=50))


def test_brackets_in_strings_are_not_nesting() -> None:
    assert read(one(data=['[{"\\' * 200])).inputs[0].data == [('[{"\\' * 200).encode()]


@pytest.mark.parametrize(
    ("datatype", "elements", "words"),
    [
        ("FP16", bytes(2), "FP16, which cannot be sent as JSON"),
        ("FP32", struct.pack("<f", float("nan")), "not finite"),
        ("BYTES", b"\x01\0\0\0\xff", "not UTF-8"),
    ],
)
def test_an_output_that_json_cannot_say_is_refused(datatype: str, elements: bytes, words: str) -> None:
    response = oip.InferResponse("m", outputs=[oip.OutputTensor("Y", datatype, (1,), [elements])])
    with pytest.raises(InvalidBody, match=words):
        oip.write_response(response, oip.InferRequest("m"))


def test_an_output_says_for_itself_whether_it_is_binary() -> None:
    outputs = [oip.RequestedOutput("A", {"binary_data": True}), oip.RequestedOutput("B")]
    request = oip.InferRequest("m", outputs=outputs)
    assert [oip.wants_binary(request, name) for name in "AB"] == [True, False]
    wrong = oip.InferRequest("m", outputs=[oip.RequestedOutput("A", {"binary_data": "yes"})])
    with pytest.raises(InvalidBody, match="true or false"):
        oip.wants_binary(wrong, "A")
