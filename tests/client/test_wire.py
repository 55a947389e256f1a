"""The wire formats, against the libraries that define them: safetensors, numpy, and Python's mail parser."""

from __future__ import annotations

import email.policy
import json
from contextlib import suppress
from email.parser import BytesParser
from io import BytesIO
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import safetensors.numpy
import safetensors.torch
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from augserve import wire
from augserve.wire.dtypes import ELEMENT_TYPES

NUMPY_TYPES = sorted(set(ELEMENT_TYPES) - {"bfloat16"})
SHAPES = [(), (0,), (5,), (2, 3, 4), (3, 0, 2)]
BUDGET = settings(max_examples=150, deadline=None)


def joined(buffers: list[wire.Buffer]) -> bytes:
    return b"".join(bytes(buffer) for buffer in buffers)


def make_array(dtype: str, shape: tuple[int, ...] = (2, 3, 4)) -> npt.NDArray[Any]:
    count = int(np.prod(shape))
    return (np.arange(count) % 2 if dtype == "bool" else np.arange(count)).astype(dtype).reshape(shape)


def written(array: npt.NDArray[Any], name: str = wire.TENSOR_NAME) -> bytes:
    return joined(wire.write_safetensors({name: (str(array.dtype), array.shape, array.data)}))


def with_header(header: object, data: bytes = b"") -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + data


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("dtype", NUMPY_TYPES)
def test_safetensors_reads_what_we_write(dtype: str, shape: tuple[int, ...]) -> None:
    array = make_array(dtype, shape)
    read = safetensors.numpy.load(written(array))[wire.TENSOR_NAME]
    assert read.dtype == array.dtype
    np.testing.assert_array_equal(read, array)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("dtype", NUMPY_TYPES)
def test_we_read_what_safetensors_writes(dtype: str, shape: tuple[int, ...]) -> None:
    array = make_array(dtype, shape)
    body = safetensors.numpy.save({"x": array, "other": np.zeros(3, np.uint8)}, metadata={"format": "np"})
    read = wire.read_safetensors(body)
    assert set(read) == {"x", "other"}
    assert read["x"].dtype == array.dtype
    np.testing.assert_array_equal(read["x"], array)


def test_bfloat16_is_written_as_bf16_and_read_as_its_float32_values() -> None:
    tensor = torch.randn(3, 5, generator=torch.Generator().manual_seed(0)).to(torch.bfloat16)
    tensor[0, :3] = torch.tensor([float("inf"), float("-inf"), float("nan")])
    bits = tensor.view(torch.int16).numpy().data
    body = joined(wire.write_safetensors({"x": ("bfloat16", tensor.shape, bits)}))
    assert safetensors.torch.load(body)["x"].view(torch.int16).equal(tensor.view(torch.int16))
    read = wire.read_safetensors(body)["x"]
    assert read.dtype == np.float32
    np.testing.assert_array_equal(read, tensor.float().numpy())


def test_tensors_begin_at_a_multiple_of_eight_bytes() -> None:
    for length in range(1, 20):
        header = wire.write_safetensors({"x" * length: ("uint8", (1,), b"a")})[0]
        assert len(header) % 8 == 0


def test_writing_copies_no_tensor() -> None:
    array = make_array("float32")
    buffer = wire.write_safetensors({"x": ("float32", array.shape, array.data)})[1]
    assert np.shares_memory(np.frombuffer(buffer, np.float32), array)


def test_reading_copies_no_tensor_and_gives_read_only_views() -> None:
    body = bytearray(written(make_array("float32")))
    read = wire.read_safetensors(body)[wire.TENSOR_NAME]
    assert np.shares_memory(read, np.frombuffer(body, np.uint8))
    assert not read.flags.writeable


def test_several_tensors_keep_their_names_and_values() -> None:
    one, two = make_array("int64"), make_array("float16", (4, 1))
    body = joined(wire.write_safetensors({"a": ("int64", one.shape, one.data), "b": ("float16", two.shape, two.data)}))
    read = wire.read_safetensors(body)
    np.testing.assert_array_equal(read["a"], one)
    np.testing.assert_array_equal(read["b"], two)
    assert set(safetensors.numpy.load(body)) == {"a", "b"}


def test_a_shape_that_disagrees_with_its_data_is_not_written() -> None:
    with pytest.raises(ValueError, match=r"uint8 of shape \[2, 3\] takes 6 bytes, not 5"):
        wire.write_safetensors({"x": ("uint8", (2, 3), b"12345")})


def test_data_that_is_not_in_c_order_is_not_written() -> None:
    array = make_array("uint8", (4, 6))[:, ::2]
    with pytest.raises(ValueError, match="not contiguous"):
        wire.write_safetensors({"x": ("uint8", array.shape, array.data)})


def test_an_element_type_that_does_not_travel_is_named() -> None:
    with pytest.raises(ValueError, match="no element type named 'complex64'; there are bool, uint8"):
        wire.write_safetensors({"x": ("complex64", (1,), b"12345678")})


ENTRY = {"dtype": "U8", "shape": [2], "data_offsets": [0, 2]}


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", "at least 8 bytes, not 0"),
        (b"\x00" * 7, "at least 8 bytes, not 7"),
        (b"\xff" * 8 + b"{}", "18446744073709551615 bytes; 2 follow"),
        ((3).to_bytes(8, "little") + b"{}", "3 bytes; 2 follow"),
        (with_header(b"{nonsense"), "not valid JSON"),
        (with_header(b"\xff\xfe"), "not valid JSON"),
        (with_header(b"[" * 100_000), "not valid JSON"),
        (with_header([1]), "not a JSON object but a list"),
        (with_header(b'{"a": 1, "a": 2}'), "'a' twice"),
        (with_header({"x": 3}), "wrong at x"),
        (with_header({"x": {**ENTRY, "shape": [-2]}}, b"ab"), r"wrong at x\.shape\.0"),
        (with_header({"x": {**ENTRY, "shape": [2.0]}}, b"ab"), r"wrong at x\.shape\.0"),
        (with_header({"x": {**ENTRY, "shape": "2"}}, b"ab"), r"wrong at x\.shape"),
        (with_header({"x": {**ENTRY, "data_offsets": [0, 2, 4]}}, b"ab"), r"wrong at x\.data_offsets"),
        (with_header({"x": {**ENTRY, "more": 1}}, b"ab"), r"wrong at x\.more"),
        (with_header({"x": {**ENTRY, "dtype": "U9"}}, b"ab"), "dtype 'U9'; known are BOOL, U8"),
        (with_header({"x": ENTRY}, b"a"), "take 2 bytes; 1 follow"),
        (with_header({"x": ENTRY}, b"abc"), "take 2 bytes; 3 follow"),
        (with_header({"x": {**ENTRY, "data_offsets": [2, 0]}}, b"ab"), "takes 2 bytes from offset 0"),
        (with_header({"x": {**ENTRY, "shape": [3]}}, b"ab"), "takes 3 bytes from offset 0"),
        (with_header({"x": {**ENTRY, "shape": [1 << 40, 1 << 40]}}, b"ab"), "from offset 0"),
        (with_header({"x": ENTRY, "y": {**ENTRY, "data_offsets": [1, 3]}}, b"abc"), "'y' .* from offset 2"),
        (with_header({"x": ENTRY, "y": {**ENTRY, "data_offsets": [3, 5]}}, b"abcde"), "'y' .* from offset 2"),
        (with_header({"x": {"dtype": "U8", "shape": [0, 1 << 62, 1 << 62], "data_offsets": [0, 0]}}), "cannot hold"),
        (with_header({"x": {"dtype": "U8", "shape": [1] * 99, "data_offsets": [0, 1]}}, b"a"), "cannot hold"),
    ],
)
def test_a_bad_safetensors_body_is_refused(body: bytes, message: str) -> None:
    with pytest.raises(wire.InvalidBody, match=message):
        wire.read_safetensors(body)


def test_a_safetensors_header_over_the_limit_is_refused_unread() -> None:
    body = with_header(b" " * (wire.MAX_HEADER_BYTES + 1))
    with pytest.raises(wire.InvalidBody, match=f"{wire.MAX_HEADER_BYTES} are allowed"):
        wire.read_safetensors(body)


@BUDGET
@given(data=st.data())
def test_a_mutated_safetensors_body_is_read_or_refused(data: st.DataObject) -> None:
    body = bytearray(written(make_array("int16", (2, 3))))
    for _ in range(data.draw(st.integers(1, 3))):
        body[data.draw(st.integers(0, len(body) - 1))] = data.draw(st.integers(0, 255))
    with suppress(wire.InvalidBody):
        wire.read_safetensors(bytes(body))


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("dtype", NUMPY_TYPES)
def test_numpy_reads_the_npy_we_write(dtype: str, shape: tuple[int, ...]) -> None:
    array = make_array(dtype, shape)
    body = wire.write_npy_header(dtype, shape) + array.tobytes()
    expected = BytesIO()
    np.save(expected, array, allow_pickle=False)
    assert body == expected.getvalue()


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("dtype", ["bool", "uint8", "float16", "float32", "int64", ">f4"])
def test_we_read_the_npy_that_numpy_writes(dtype: str, shape: tuple[int, ...], order: str) -> None:
    array = np.asarray(make_array(dtype, shape), order=order)  # type: ignore[call-overload]  # order is any str here
    file = BytesIO()
    np.save(file, array)
    read = wire.read_npy(file.getvalue())
    assert read.dtype == array.dtype
    np.testing.assert_array_equal(read, array)


@pytest.mark.parametrize("version", [(1, 0), (2, 0), (3, 0)])
def test_every_version_of_npy_is_read(version: tuple[int, int]) -> None:
    file, array = BytesIO(), make_array("int32")
    np.lib.format.write_array(file, array, version=version)
    np.testing.assert_array_equal(wire.read_npy(file.getvalue()), array)


def test_an_npy_header_in_another_order_and_spacing_is_read() -> None:
    text = b'{"shape" :(2,),"fortran_order":False,"descr":"<i2"}\n'
    body = b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text + b"\x01\x00\x02\x00"
    np.testing.assert_array_equal(wire.read_npy(body), np.array([1, 2], np.int16))


def test_npy_refuses_bfloat16() -> None:
    with pytest.raises(ValueError, match="npy has no bfloat16"):
        wire.write_npy_header("bfloat16", (1,))


def saved(array: npt.NDArray[Any]) -> bytes:
    file = BytesIO()
    np.save(file, array, allow_pickle=True)
    return file.getvalue()


NPY = saved(make_array("uint8", (2, 3)))


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", "begins with b''"),
        (b"\x93NUMPY", "begins with"),
        (b"PK\x03\x04 not npy at all", "begins with b'PK"),
        (NPY.replace(b"\x01\x00", b"\x07\x00", 1), "version 1.0 to 3.0"),
        (NPY[:40], "118 bytes"),
        (NPY[:-1], r"takes 6 bytes; 5 follow"),
        (NPY + b"!", r"takes 6 bytes; 7 follow"),
        (NPY.replace(b"(2, 3)", b"(-2,3)"), "not that of a plain array"),
        (NPY.replace(b"(2, 3)", b"(9**9)"), "not that of a plain array"),
        (NPY.replace(b"'shape': (2, 3)", b"'descr':  '|u1'"), "not that of a plain array"),
        (saved(np.array([{"a": 1}], dtype=object)), "not that of a plain array"),
        (saved(np.array(["text"])), "not that of a plain array"),
        (saved(np.zeros(2, "complex64")), "element type '<c8' is not read"),
        (saved(np.zeros(2, [("a", "u1")])), "not that of a plain array"),
        (wire.write_npy_header("uint8", (0, 1 << 62, 1 << 62)), "numpy cannot hold"),
    ],
)
def test_a_bad_npy_body_is_refused(body: bytes, message: str) -> None:
    with pytest.raises(wire.InvalidBody, match=message):
        wire.read_npy(body)


@BUDGET
@given(position=st.integers(0, 127), value=st.integers(0, 255))
def test_a_mutated_npy_body_is_read_or_refused(position: int, value: int) -> None:
    body = bytearray(NPY)
    body[position] = value
    with suppress(wire.InvalidBody):
        wire.read_npy(bytes(body))


PARTS = [
    wire.Part({"Content-Type": "image/jpeg", "Augserve-Index": "0"}, (b"\xff\xd8 first \r\n", memoryview(b"half"))),
    wire.Part({"Content-Type": "application/problem+json"}, (b'{"title": "bad"}',)),
    wire.Part({}, (b"",)),
]


def test_multipart_reads_what_it_writes() -> None:
    boundary = wire.new_boundary()
    read = wire.read_multipart(joined(wire.write_multipart(PARTS, boundary)), wire.multipart_type(boundary))
    assert [bytes(part.body) for part in read] == [b"\xff\xd8 first \r\nhalf", b'{"title": "bad"}', b""]
    assert read[0].headers == {"content-type": "image/jpeg", "augserve-index": "0", "content-length": "15"}


def test_the_mail_parser_reads_the_multipart_we_write() -> None:
    boundary = wire.new_boundary()
    head = f"Content-Type: {wire.multipart_type(boundary)}\r\n\r\n".encode()
    message = BytesParser(policy=email.policy.HTTP).parsebytes(head + joined(wire.write_multipart(PARTS, boundary)))
    assert not message.defects
    bodies = [part.get_payload(decode=True) for part in message.iter_parts()]  # type: ignore[attr-defined]  # EmailMessage
    assert bodies == [b"\xff\xd8 first \r\nhalf", b'{"title": "bad"}', b""]


def test_a_part_that_contains_the_boundary_is_kept_whole() -> None:
    inner = b"\r\n--b\r\n\r\nnot a part\r\n--b--\r\n"
    body = joined(wire.write_multipart([wire.Part({}, (inner,)), wire.Part({}, (b"next",))], "b"))
    assert [bytes(part.body) for part in wire.read_multipart(body, "multipart/mixed; boundary=b")] == [inner, b"next"]


def test_no_parts_make_an_empty_body() -> None:
    assert wire.read_multipart(joined(wire.write_multipart([], "b")), 'multipart/mixed; boundary="b"') == []


def test_multipart_of_others_without_lengths_is_read() -> None:
    body = b"preamble\r\n--b \t\r\n\r\none\r\n--b\r\nA: 1\r\nB:2\r\n\r\n\r\n\r\n--b--\r\nepilogue"
    read = wire.read_multipart(body, "multipart/mixed; charset=x; Boundary=b")
    assert [bytes(part.body) for part in read] == [b"one", b"\r\n"]
    assert read[1].headers == {"a": "1", "b": "2"}


def test_reading_multipart_copies_no_body() -> None:
    body = joined(wire.write_multipart(PARTS, "b"))
    part = wire.read_multipart(body, wire.multipart_type("b"))[1]
    assert np.shares_memory(np.frombuffer(part.body, np.uint8), np.frombuffer(body, np.uint8))


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", "does not contain its boundary '--b'"),
        (b"--b", "not followed by a line end"),
        (b"--bx\r\n\r\n\r\n--b--", "not followed by a line end"),
        (b"--b\r\nA: 1", "headers .* do not end"),
        (b"--b\r\nno colon\r\n\r\n\r\n--b--", "malformed header line 'no colon'"),
        (b"--b\r\n folded: 1\r\n\r\n\r\n--b--", "malformed header line"),
        (b"--b\r\nA: " + b"x" * 20_000 + b"\r\n\r\n\r\n--b--", "do not end within 16384"),
        (b"--b\r\n\r\ncut", "does not end with the boundary"),
        (b"--b\r\nContent-Length: 3\r\n\r\nfour\r\n--b--", "does not end after its Content-Length of 3"),
        (b"--b\r\nContent-Length: 99\r\n\r\nfour\r\n--b--", "does not end after its Content-Length of 99"),
        (b"--b\r\nContent-Length: -4\r\n\r\nfour\r\n--b--", "'-4', which is not a length"),
        (b"--b\r\nContent-Length: 9" + b"9" * 5000 + b"\r\n\r\nfour\r\n--b--", "which is not a length"),
    ],
)
def test_a_bad_multipart_body_is_refused(body: bytes, message: str) -> None:
    with pytest.raises(wire.InvalidBody, match=message):
        wire.read_multipart(body, "multipart/mixed; boundary=b")


def test_multipart_without_a_boundary_is_refused() -> None:
    with pytest.raises(wire.InvalidBody, match="names no boundary"):
        wire.read_multipart(b"--b--", "multipart/mixed")


def test_too_many_parts_are_refused() -> None:
    body = b"--b\r\n\r\n\r\n" * (wire.MAX_PARTS + 1) + b"--b--"
    with pytest.raises(wire.InvalidBody, match=f"more than {wire.MAX_PARTS} parts"):
        wire.read_multipart(body, "multipart/mixed; boundary=b")


def test_a_header_with_a_line_break_is_not_written() -> None:
    with pytest.raises(ValueError, match="line break"):
        wire.write_multipart([wire.Part({"A": "1\r\nB: 2"}, (b"",))], "b")


def test_a_problem_keeps_the_members_it_was_given() -> None:
    problem = wire.Problem.model_validate_json(
        b'{"type": "urn:augserve:error:image-too-large", "title": "Image too large", "status": 413,'
        b' "detail": "50000 pixels wide", "limit": 16384, "allowed": ["a"]}'
    )
    assert problem.slug == "image-too-large"
    assert problem.members == {"limit": 16384, "allowed": ["a"]}
    assert json.loads(problem.to_json()) == {
        "type": "urn:augserve:error:image-too-large",
        "title": "Image too large",
        "status": 413,
        "detail": "50000 pixels wide",
        "limit": 16384,
        "allowed": ["a"],
    }


def test_a_problem_of_another_server_is_read_too() -> None:
    problem = wire.Problem.model_validate_json(b'{"status": 502}')
    assert (problem.slug, problem.status, problem.members) == ("about:blank", 502, {})


def test_a_problem_is_frozen() -> None:
    problem = wire.Problem(title="x")
    with pytest.raises(ValueError, match="frozen"):
        problem.title = "y"  # type: ignore[misc]  # what this test is about
