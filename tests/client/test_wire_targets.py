"""Targets on the wire: what is written is read again to the bit, and what is none is refused with the reason."""

from __future__ import annotations

import json
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from safetensors import safe_open

from augserve import wire

JSON_DTYPES = ("float16", "float32", "float64", "int8", "int16", "int32", "int64", "uint8", "bool")
EXTREMES = [0.1, -0.0, 1e-45, 3.4e38, np.nan, np.inf, -np.inf, 7.0]


def npy(values: Any) -> bytes:
    file = BytesIO()
    np.save(file, np.asarray(values))
    return file.getvalue()


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
@pytest.mark.parametrize("mode", ["soft", "hard", None])
def test_boxes_in_json_come_back_to_the_bit(dtype: str, mode: wire.ClampingMode | None) -> None:
    with np.errstate(over="ignore"):
        values = np.array([EXTREMES], np.float64).astype(dtype)
    body = wire.write_boxes(wire.Boxes(values, "XYXYXYXY", mode, (480, 640)))
    json.loads(body, parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))
    read = wire.read_boxes(body)
    assert read.values.dtype == values.dtype
    assert np.array_equal(read.values, values, equal_nan=True)
    assert (read.format, read.clamping_mode, read.canvas_size) == ("XYXYXYXY", mode, (480, 640))


@given(
    values=st.sampled_from(JSON_DTYPES).flatmap(
        lambda dtype: npst.arrays(dtype, npst.array_shapes(min_dims=0, max_dims=3, max_side=4))
    )
)
def test_labels_in_json_come_back_to_the_bit(values: np.ndarray) -> None:
    read = wire.read_labels(wire.write_labels(values))
    assert read.dtype == values.dtype
    assert read.shape == values.shape
    assert np.array_equal(read, values, equal_nan=values.dtype.kind == "f")


def test_keypoints_in_json_come_back_to_the_bit() -> None:
    values = np.random.default_rng(0).normal(size=(2, 3, 2)).astype(np.float32)
    read = wire.read_keypoints(wire.write_keypoints(wire.KeyPoints(values, (4, 5))))
    assert np.array_equal(read.values, values)
    assert read.canvas_size == (4, 5)


@pytest.mark.parametrize(
    ("body", "dtype", "expected"),
    [
        (b"3", "int64", 3),
        (b"[1, 2]", "int64", [1, 2]),
        (b"[1, 2.5]", "float32", [1, 2.5]),
        (b"[true, false]", "bool", [True, False]),
        (b"[]", "int64", []),
        (b'{"data": [1, null], "dtype": "float16"}', "float16", [1, np.nan]),
        (b'{"data": [1, 0], "dtype": "uint8"}', "uint8", [1, 0]),
    ],
)
def test_labels_are_what_json_says_they_are(body: bytes, dtype: str, expected: Any) -> None:
    read = wire.read_labels(body)
    assert read.dtype == dtype
    assert np.array_equal(read, np.asarray(expected, dtype), equal_nan=read.dtype.kind == "f")


def test_a_bare_list_of_boxes_is_xyxy_in_float32() -> None:
    read = wire.read_boxes(b" [[1, 2, 3, 4], [5, 6, 7, 8.5]]")
    assert (read.format, read.clamping_mode, read.values.dtype) == ("XYXY", "soft", np.float32)
    assert np.array_equal(read.values, [[1, 2, 3, 4], [5, 6, 7, 8.5]])


@pytest.mark.parametrize(("format", "columns"), wire.BOX_COLUMNS.items())
def test_no_boxes_are_boxes_of_their_format(format: str, columns: int) -> None:
    for body in (json.dumps({"format": format, "data": []}).encode(), npy(np.zeros((0, columns), np.float32))):
        read = wire.read_boxes(body, f"{wire.NPY}; format={format}" if body[:1] != b"{" else "")
        assert (read.values.shape, read.format) == ((0, columns), format)


def test_no_keypoints_are_keypoints() -> None:
    for body in (b"[]", b'{"data": []}'):
        read = wire.read_keypoints(body).values
        assert (read.shape, read.dtype) == ((0, 2), np.float32)


@pytest.mark.parametrize(
    ("content_type", "format", "mode"),
    [
        ("application/x-npy", "XYXY", "soft"),
        ("application/x-npy; format=CXCYWH", "CXCYWH", "soft"),
        ('Application/X-NPY ;clamping_mode="hard"; Format=XYWH', "XYWH", "hard"),
        ("application/x-npy; clamping_mode=none", "XYXY", None),
        ("", "XYXY", "soft"),
        ("application/octet-stream", "XYXY", "soft"),
    ],
)
def test_boxes_in_npy_are_told_by_their_media_type_or_first_bytes(
    content_type: str, format: str, mode: str | None
) -> None:
    values = np.arange(8, dtype=np.int32).reshape(2, 4)
    read = wire.read_boxes(npy(values), content_type)
    assert np.array_equal(read.values, values)
    assert (read.format, read.clamping_mode, read.values.dtype) == (format, mode, np.int32)


@pytest.mark.parametrize("format", wire.BOX_COLUMNS)
@pytest.mark.parametrize("mode", ["soft", "hard", None])
def test_the_media_type_of_boxes_in_npy_says_all_that_npy_cannot(format: Any, mode: Any) -> None:
    boxes = wire.Boxes(np.zeros((3, wire.BOX_COLUMNS[format]), np.float64), format, mode)
    read = wire.read_boxes(npy(boxes.values), wire.boxes_type(boxes))
    assert (read.format, read.clamping_mode) == (format, mode)


@pytest.mark.parametrize("dtype", [">f4", "<f4", ">i8"])
@pytest.mark.parametrize("order", ["C", "F"])
def test_npy_of_any_layout_becomes_an_array_in_order(dtype: str, order: Any) -> None:
    values = np.asarray(np.arange(12).reshape(3, 2, 2), dtype, order=order)
    read = wire.read_keypoints(npy(values)).values
    assert np.array_equal(read, values)
    assert read.flags.c_contiguous
    assert read.dtype == np.dtype(dtype).newbyteorder("<")


@pytest.mark.parametrize("dtype", wire.MASK_DTYPES)
@pytest.mark.parametrize("shape", [(3, 4), (2, 3, 4), (0, 3, 4)])
def test_masks_come_as_npy(dtype: str, shape: tuple[int, ...]) -> None:
    masks = np.random.default_rng(0).integers(0, 2, shape).astype(dtype)
    read = wire.read_masks(npy(masks))
    assert read.dtype == dtype
    assert np.array_equal(read, masks)


@pytest.mark.parametrize(
    ("body", "content_type", "message"),
    [
        (b"", "", "not valid JSON"),
        (b"[[1, 2, 3, 4]", "", "not valid JSON"),
        (b"[" * 100_000, "", "not valid JSON"),
        (b"[[NaN, 0, 0, 0]]", "", "not valid JSON"),
        (b"[[1, 2, 3]]", "", r"boxes in XYXY are \[N, 4\], not \[1, 3\]"),
        (b"[1, 2, 3, 4]", "", r"boxes in XYXY are \[N, 4\], not \[4\]"),
        (b"[[1, 2], [3]]", "", "not a regular array"),
        (b'[["1", "2", "3", "4"]]', "", "not numbers alone"),
        (b'[[null, "2", null, null]]', "", "not numbers alone"),
        (b'[[{"a": 1}]]', "", "not numbers alone"),
        (b"null", "", "not numbers alone|boxes in XYXY"),
        (b'{"format": "XYXY"}', "", "wrong at data: Field required"),
        (b'{"data": [], "colour": 1}', "", "wrong at colour"),
        (b'{"data": [], "format": "XXYY"}', "", "no box format 'XXYY'; there are XYXY, XYWH"),
        (b'{"data": [], "clamping_mode": "firm"}', "", "wrong at clamping_mode"),
        (b'{"data": [], "canvas_size": [1]}', "", r"wrong at canvas_size\.1"),
        (b'{"data": [[1, 2, 3, 4]], "dtype": "complex64"}', "", "no element type 'complex64' for targets"),
        (b'{"data": [[1, 2, 3, 4]], "dtype": "bfloat16"}', "", "no element type 'bfloat16' for targets"),
        (b'{"data": [[1, 2, 3, 4.5]], "dtype": "int64"}', "", "not all data are int64"),
        (b'{"data": [[1, 2, 3, 256]], "dtype": "uint8"}', "", "not all data are uint8"),
        (npy(np.zeros((2, 5))), "", r"boxes in XYXY are \[N, 4\], not \[2, 5\]"),
        (npy(np.zeros((2, 4))), f"{wire.NPY}; format=box", "no box format 'box'"),
        (npy(np.zeros((2, 4))), f"{wire.NPY}; clamping_mode=firm", "soft, hard or none, not 'firm'"),
        (b"[[1, 2, 3, 4]]", wire.NPY, "npy: the body begins with"),
        (npy(np.zeros((2, 4)))[:-1], "", "npy: float64 of shape"),
    ],
)
def test_what_are_no_boxes_is_refused_with_the_reason(body: bytes, content_type: str, message: str) -> None:
    with pytest.raises(wire.InvalidBody, match=message):
        wire.read_boxes(body, content_type)


@pytest.mark.parametrize("body", [b"3", b"[1, 2, 3]", npy(np.zeros((2, 3))), npy(np.float32(1))])
def test_what_are_no_keypoints_is_refused(body: bytes) -> None:
    with pytest.raises(wire.InvalidBody, match=r"keypoints are \[\.\.\., 2\]"):
        wire.read_keypoints(body)


@pytest.mark.parametrize(
    ("masks", "message"),
    [
        (np.zeros((3, 4), np.float32), "bool, uint8, int16, int32, int64, not float32"),
        (np.zeros((3, 4), np.uint16), "not uint16"),
        (np.zeros(3, np.uint8), r"\[H, W\] or \[N, H, W\], not \[3\]"),
        (np.zeros((1, 2, 3, 4), np.uint8), r"not \[1, 2, 3, 4\]"),
    ],
)
def test_what_are_no_masks_is_refused(masks: np.ndarray, message: str) -> None:
    with pytest.raises(wire.InvalidBody, match=message):
        wire.read_masks(npy(masks))


@given(data=st.binary(max_size=60))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    for read in (wire.read_boxes, wire.read_keypoints, wire.read_labels):
        for content_type in ("", wire.NPY):
            try:
                read(data, content_type)
            except wire.InvalidBody:
                continue


@pytest.mark.parametrize(
    "metadata",
    [
        wire.Metadata(),
        wire.Metadata("XYWH", "hard", (480, 640), '{"version": 1}'),
        wire.Metadata("CXCYWHR", None, (1, 2)),
        wire.Metadata(canvas_size=(7, 13)),
    ],
)
def test_metadata_come_back_through_a_safetensors_file(metadata: wire.Metadata) -> None:
    tensors = {"boxes": ("float32", (1, 4), np.zeros((1, 4), np.float32).tobytes())}
    file = b"".join(bytes(buffer) for buffer in wire.write_safetensors(tensors, metadata.write()))
    archive = wire.read_archive(file)
    assert wire.Metadata.read(archive.metadata) == metadata
    assert archive.tensors["boxes"].shape == (1, 4)


def test_the_safetensors_library_reads_our_metadata(tmp_path: Path) -> None:
    metadata = wire.Metadata("XYXY", None, (480, 640), '{"a": "é"}').write()
    buffers = wire.write_safetensors({"x": ("uint8", (2,), b"ab")}, metadata)
    (tmp_path / "x.safetensors").write_bytes(b"".join(bytes(buffer) for buffer in buffers))
    with safe_open(tmp_path / "x.safetensors", "np") as opened:
        assert opened.metadata() == metadata
        assert opened.get_tensor("x").tolist() == [97, 98]


@pytest.mark.parametrize(
    ("metadata", "message"),
    [
        ({"boxes_format": "XXYY"}, "no box format 'XXYY'"),
        ({"clamping_mode": "firm"}, "soft, hard or none"),
        ({"canvas_size": "[1]"}, r"canvas_size is \[height, width\], not '\[1\]'"),
        ({"canvas_size": "many"}, "canvas_size is"),
        ({"canvas_size": "3"}, "canvas_size is"),
    ],
)
def test_metadata_that_make_no_sense_are_refused(metadata: dict[str, str], message: str) -> None:
    with pytest.raises(wire.InvalidBody, match=message):
        wire.Metadata.read(metadata)


@pytest.mark.parametrize("metadata", [[], "text", 3, {"a": 1}, {"a": None}])
def test_metadata_that_are_no_strings_are_refused(metadata: Any) -> None:
    header = json.dumps({"__metadata__": metadata or [1]}).encode()
    with pytest.raises(wire.InvalidBody, match="not an object of strings"):
        wire.read_archive(len(header).to_bytes(8, "little") + header)


def test_a_part_is_called_what_its_disposition_says() -> None:
    parts = [wire.Part(wire.attachment("boxes"), [b"1"]), wire.Part({"Content-Type": "Image/PNG; q=1"}, [b"2"])]
    body = b"".join(bytes(buffer) for buffer in wire.write_multipart(parts, "b"))
    first, second = wire.read_multipart(body, wire.multipart_type("b"))
    assert (first.name, first.media_type) == ("boxes", "")
    assert (second.name, second.media_type) == (None, "image/png")
