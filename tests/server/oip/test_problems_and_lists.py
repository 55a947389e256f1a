"""What our own client asks for in the protocol: problem documents, pixels one by one, files with all of a sample."""

from __future__ import annotations

import json

import httpx
import numpy as np
import pytest
import tritonclient.http as triton

from augserve.wire import SAFETENSORS, oip, read_safetensors
from factories import make_file
from tritons import outputs, strings, theirs

Stock = triton.InferenceServerClient

SIZES = ((60, 80), (50, 50), (50, 50))
FILES = [make_file("PNG", size) for size in SIZES]
BAD = b"no photograph"


def test_a_problem_says_of_each_result_what_is_wrong(client: Stock) -> None:
    asked = {"on_error": "fill", "views": 2}
    result = client.infer("train", [strings("IMAGE", [FILES[0], BAD])], parameters=asked, outputs=outputs("PROBLEMS"))
    problems = result.as_numpy("PROBLEMS")
    assert [len(problem) > 0 for problem in problems] == [False, False, True, True]
    problem = json.loads(problems[3])
    assert problem["type"] == "urn:augserve:error:format-not-allowed"
    assert (problem["status"], problem["index"]) == (415, 3)
    assert len(problem["request_id"]) == 16


@pytest.mark.parametrize("pipeline", ["ragged", "train"])
def test_a_list_has_of_each_result_its_own_bytes(client: Stock, pipeline: str) -> None:
    asked = {"on_error": "fill", "ragged": "list", "seed": 7}
    files = [*FILES[:2], BAD]
    result = client.infer(pipeline, [strings("IMAGE", files)], parameters=asked, outputs=outputs("PIXELS", "SHAPES"))
    dtype = oip.NUMPY[result.get_output("PIXELS")["parameters"]["datatype"]]
    pixels, shapes = result.as_numpy("PIXELS"), result.as_numpy("SHAPES").tolist()
    for i in range(2):
        assert np.array_equal(np.frombuffer(pixels[i], dtype).reshape(shapes[i]), theirs(pipeline, SIZES[i], 7 + i))
    assert pixels[2] == b""


def test_a_list_of_one_shape_is_one_block(client: Stock) -> None:
    result = client.infer("ragged", [strings("IMAGE", FILES[1:])], parameters={"ragged": "list", "seed": 7})
    assert np.array_equal(result.as_numpy("PIXELS"), [theirs("ragged", (50, 50), seed) for seed in (7, 8)])


def test_a_safetensors_file_has_all_of_a_sample_and_says_what_it_is(client: Stock) -> None:
    inputs = [strings("IMAGE", FILES[:1]), strings("BOXES", ["[[1, 2, 30, 40]]"]), strings("LABELS", ["[3]"])]
    asked = {"format": "safetensors", "seed": 7, "params": True}
    result = client.infer("ragged", inputs, parameters=asked, outputs=outputs("ENCODED"))
    assert result.get_output("ENCODED")["parameters"]["content_type"] == SAFETENSORS
    (file,) = result.as_numpy("ENCODED")
    tensors = read_safetensors(file)
    assert np.array_equal(tensors["image"], theirs("ragged", SIZES[0], 7))
    assert (tensors["boxes"].shape, tensors["labels"].tolist()) == ((1, 4), [3])
    assert b'"record"' in file


def test_the_first_tensor_of_an_answer_lies_at_a_multiple_of_eight_bytes(http: httpx.Client) -> None:
    for name in ("a", "ab", "abc", "abcd"):
        request = oip.write_request(
            oip.InferRequest("train", id=name, inputs=[oip.Tensor("IMAGE", oip.BYTES, (1,), [FILES[0]])])
        )
        assert request.head_length is not None
        assert request.head_length % 8 == 0
        answer = http.post("/v2/models/train/infer", content=b"".join(request.buffers), headers=request.headers)
        assert answer.status_code == 200
        assert int(answer.headers[oip.HEAD_LENGTH_HEADER]) % 8 == 0


def test_an_error_has_what_a_problem_has_beside_its_text(http: httpx.Client) -> None:
    answer = http.post("/v2/models/nothing/infer", content=b"{}")
    problem = answer.json()
    assert problem["error"].startswith("no pipeline named")
    assert problem["type"] == "urn:augserve:error:pipeline-not-found"
    assert problem["field"] == "pipeline"
    assert problem["status"] == answer.status_code == 404
