"""Answers to replays that are not the protocol: errors, whatever is wrong with them."""

from __future__ import annotations

import json
from typing import Any

import httpx
import numpy as np
import pytest
from asking import ask as ask_for
from asking import both
from small_service import record_of

import augserve
from augserve import Record, Sample, wire
from augserve.bodies import reader
from factories import make_pixels

PIXELS = np.zeros((3, 4, 5), np.uint8)
BOXES = np.zeros((1, 4), np.float32)


def archive(metadata: dict[str, str] | None = None, **arrays: np.ndarray) -> bytes:
    tensors = {name: (array.dtype.name, array.shape, array.tobytes()) for name, array in arrays.items()}
    return b"".join(bytes(buffer) for buffer in wire.write_safetensors(tensors, metadata))


def part(media_type: str, body: bytes, name: str = wire.IMAGE_PART, index: int = 0) -> wire.Part:
    headers = {"Content-Type": media_type, wire.INDEX_HEADER: str(index), **wire.attachment(name)}
    return wire.Part(headers, [body])


def in_parts(*parts: wire.Part) -> tuple[str, bytes]:
    return wire.multipart_type("b"), b"".join(bytes(buffer) for buffer in wire.write_multipart(parts, "b"))


def ask(kind: type, content: tuple[str, bytes], count: int, **options: Any) -> Any:
    content_type, body = content
    headers = {"Content-Type": content_type, wire.COUNT_HEADER: str(count)}
    samples = [Sample(make_pixels(size=(4, 5)), boxes=BOXES)] * count
    records = [Record.from_json(record_of(7, (4, 5)))] * count
    return ask_for(
        kind, lambda request: httpx.Response(200, headers=headers, content=body), "replay", samples, records, **options
    )


GOOD = archive({"boxes_format": "XYXY", "record": record_of(7, (4, 5))}, image=PIXELS, boxes=BOXES)


@both
@pytest.mark.parametrize(
    ("content", "message"),
    [
        (("image/png", b"1"), "a result came as image/png, not as one application/vnd.safetensors"),
        (("", b"1"), "a result came as no media type"),
        ((wire.SAFETENSORS, b"1"), "cannot be read: a safetensors body"),
        ((wire.SAFETENSORS, archive({}, boxes=BOXES)), "boxes, and does not say in which format"),
        ((wire.SAFETENSORS, archive({"boxes_format": "XYXY"}, boxes=BOXES)), "no image for result 0"),
        ((wire.SAFETENSORS, archive({"boxes_format": "box"}, image=PIXELS)), "cannot be read: no box format"),
        ((wire.SAFETENSORS, archive({"record": "{}"}, image=PIXELS)), "the answer has no record of version 1"),
        (in_parts(part(wire.SAFETENSORS, GOOD), part(wire.JSON, b"[]", "boxes")), "safetensors, application/json"),
        (in_parts(part(wire.SAFETENSORS, GOOD, index=1)), "each of 1 results once"),
        (in_parts(), "each of 1 results once"),
    ],
)
def test_an_answer_in_tensors_that_is_not_the_protocol_is_an_error(
    kind: type, content: tuple[str, bytes], message: str
) -> None:
    with pytest.raises(augserve.ResponseInvalid, match=message):
        ask(kind, content, 1)


@both
@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ([part(wire.JSON, b"[[1, 2, 3, 4]]", "boxes")], "no image for result 0"),
        ([part(wire.PNG, b"1"), part(wire.JSON, b"[[1, 2]]", "boxes")], "cannot be read: boxes in XYXY"),
        ([part(wire.PNG, b"1"), part(wire.JSON, b"no", "labels")], "cannot be read: not valid JSON"),
        ([part(wire.PNG, b"1"), part(wire.JSON, b"[1]", "keypoints")], r"cannot be read: keypoints are"),
        ([part(wire.PNG, b"1"), part(wire.JSON, b"\xff", "record")], "the answer has no record"),
    ],
)
def test_an_answer_in_files_that_is_not_the_protocol_is_an_error(
    kind: type, parts: list[wire.Part], message: str
) -> None:
    with pytest.raises(augserve.ResponseInvalid, match=message):
        ask(kind, in_parts(*parts), 1, as_="bytes")


@both
def test_one_body_for_several_samples_is_an_error(kind: type) -> None:
    with pytest.raises(augserve.ResponseInvalid, match=r"one application/vnd\.safetensors, not 2 results"):
        ask(kind, (wire.SAFETENSORS, GOOD), 2)


@both
def test_what_the_protocol_may_add_is_left_alone(kind: type) -> None:
    more = archive({"boxes_format": "XYXY", "colour": "red"}, image=PIXELS, boxes=BOXES, depth=PIXELS)
    (result,) = ask(kind, (wire.SAFETENSORS, more), 1)
    assert np.array_equal(result.boxes, BOXES)
    parts = in_parts(part(wire.PNG, b"1"), part("text/plain", b"?", "depth"), part(wire.JSON, b"[]", "boxes"))
    (files,) = ask(kind, parts, 1, as_="bytes")
    assert (files.image, files.boxes.shape) == (b"1", (0, 4))


@pytest.mark.parametrize("form", ["numpy", "torch"])
@pytest.mark.parametrize("length", range(9))
def test_tensors_behind_others_of_any_length_are_read(form: Any, length: int) -> None:
    labels = np.zeros(length, np.uint8)
    body = archive({"boxes_format": "XYXY"}, labels=labels, boxes=BOXES + 1, image=PIXELS)
    result = reader(form).augmented([wire.Part({"content-type": wire.SAFETENSORS}, [bytearray(body)])])
    assert np.array_equal(result.boxes, BOXES + 1)
    result.boxes[...] = 2
    assert json.dumps(np.asarray(result.boxes).tolist()) == "[[2.0, 2.0, 2.0, 2.0]]"
