"""Calls over the Open Inference Protocol: what is sent of items, and what answers become."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import httpx
import numpy as np
import pytest
from asking import CORRUPT, augment, both, images_of
from small_inference import asked
from small_service import Service, augmented

import augserve
from augserve import Client, Clip, InvalidInput, ResponseInvalid, Sample
from augserve.wire import oip

Change = Callable[[dict[str, Any]], None]


def requests_of(images: Any, **options: Any) -> list[oip.InferRequest]:
    service = Service()
    augment(Client, service, images, **options)
    assert {request.url.path for request in service.requests} == {"/v2/models/brighten/infer"}
    return [asked(request) for request in service.requests]


def test_images_are_strings_of_bytes_and_pixels_are_wanted_first() -> None:
    images = images_of(3)
    (request,) = requests_of(images, seed=7, views=2)
    assert [(tensor.name, tensor.datatype, tensor.shape) for tensor in request.inputs] == [("IMAGE", "BYTES", (3,))]
    assert [output.name for output in request.outputs] == ["PIXELS", "SHAPES", "STATUS", "PROBLEMS"]
    assert request.parameters == {
        "on_error": "fill",
        "ragged": "list",
        "seed": 7,
        "views": 2,
        "binary_data_output": True,
    }


def test_what_is_asked_for_of_files_and_samples_is_what_they_have() -> None:
    sample = Sample(images_of(1)[0], boxes=[[1, 2, 3, 4]], box_format="XYWH", labels=[1])
    (files,) = requests_of([sample], as_="bytes", media_type="image/png", quality=None, params=True)
    assert [output.name for output in files.outputs] == ["ENCODED", "BOXES", "LABELS", "RECIPE", "STATUS", "PROBLEMS"]
    assert (files.parameters["format"], files.parameters["params"]) == ("image/png", True)
    assert files.inputs[1].parameters == {"format": "XYWH", "clamping_mode": "soft"}
    (arrays,) = requests_of([sample])
    assert [output.name for output in arrays.outputs] == ["ENCODED", "STATUS", "PROBLEMS"]
    assert arrays.parameters["format"] == "application/vnd.safetensors"


def test_clips_are_rows_of_frames_filled_up_with_nothing() -> None:
    frames = [np.full((4, 5, 3), i, np.uint8) for i in range(3)]
    (request,) = requests_of([Clip(frames), Clip(frames[:1])], seed=1)
    assert [(tensor.name, tensor.shape) for tensor in request.inputs] == [("FRAMES", (2, 3))]
    assert [len(element) > 0 for element in request.inputs[0].data] == [True] * 4 + [False] * 2


def test_items_that_cannot_go_together_go_in_requests_of_their_own_and_keep_their_seeds() -> None:
    image = images_of(1)[0]
    boxes = [Sample(image, boxes=[[1, 2, 3, 4]], box_format=kind) for kind in ("XYXY", "XYXY", "XYWH")]
    items = [image, image, Clip([image]), boxes[0], image, boxes[1], boxes[2]]
    requests = requests_of(items, seed=5)
    assert [request.inputs[0].shape[0] for request in requests] == [2, 1, 3, 1]
    assert [request.parameters["seed"] for request in requests] == [5, 7, 8, 11]


@both
@pytest.mark.parametrize("views", [None, 2])
def test_every_image_may_have_a_seed_of_its_own(kind: type, views: int | None) -> None:
    images, seeds = images_of(5), [9, 2, 200, 2, 7]
    service = Service()
    results = augment(kind, service, images, seeds=seeds, views=views, client_images_per_request=3)
    expected = [(image, seed + v) for image, seed in zip(images, seeds, strict=True) for v in range(views or 1)]
    assert [np.array_equal(r, augmented(*pair)) for r, pair in zip(results, expected, strict=True)] == [True] * len(
        expected
    )
    assert list(results.seeds) == [seed for _, seed in expected]
    assert results.seed == 9
    assert len(service.requests) == 2


@both
def test_clips_as_files_with_seeds_of_their_own_go_as_forms_of_consecutive_seeds(kind: type) -> None:
    service, clip = Service(), Clip(images_of(1))
    results = augment(kind, service, [clip] * 4, seeds=[3, 4, 9, 10], as_="bytes", media_type="image/png")
    assert not results.errors
    assert [request.url.params["seed"] for request in service.requests] == ["3", "9"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"seeds": [1]}, "1 seeds do not go with 2 images"),
        ({"seeds": [1, -1]}, "-1 is outside"),
        ({"seeds": [1, 2**63 - 2], "views": 3}, "9223372036854775806 is outside, or its last view's is"),
        ({"seeds": [1, 2], "seed": 1}, "give one of them"),
    ],
)
def test_seeds_that_cannot_be_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        augment(Client, Service(), images_of(2), **options)


@both
@pytest.mark.parametrize("form", ["numpy", "torch"])
def test_results_of_one_shape_lie_in_the_memory_of_the_answer(kind: type, form: str) -> None:
    images = [images_of(1)[0]] * 4
    results = augment(kind, Service(), images, seed=1, as_=form)
    block = np.asarray(results.stack())
    assert all(np.shares_memory(np.asarray(result), block) for result in results)
    assert block.flags.writeable


@both
def test_results_of_many_shapes_and_errors_among_them_come_one_by_one(kind: type) -> None:
    images = [*images_of(4), CORRUPT]
    results = augment(kind, Service(), images, seed=1)
    assert results.block is None
    assert [np.array_equal(results[i], augmented(images[i], 1 + i)) for i in range(4)] == [True] * 4
    assert results[0].flags.c_contiguous
    assert results.errors[4].slug == "image-corrupt"


def spoiled(change: Change, keep: int | None = None) -> Callable[[httpx.Request], httpx.Response]:
    """The small service with the JSON of its answers changed, and only so many bytes behind it."""
    service = Service()

    def answer(request: httpx.Request) -> httpx.Response:
        response = service(request)
        length = int(response.headers[oip.HEAD_LENGTH_HEADER])
        head, blobs = json.loads(response.content[:length]), response.content[length:]
        change(head)
        text = json.dumps(head).encode()
        headers = {oip.HEAD_LENGTH_HEADER: str(len(text))}
        return httpx.Response(200, headers=headers, content=text + blobs[:keep])

    return answer


def rename(old: str, new: str) -> Change:
    def change(head: dict[str, Any]) -> None:
        next(output for output in head["outputs"] if output["name"] == old)["name"] = new

    return change


def output(name: str, **members: Any) -> Change:
    def change(head: dict[str, Any]) -> None:
        next(output for output in head["outputs"] if output["name"] == name).update(members)

    return change


@both
@pytest.mark.parametrize(
    ("change", "keep", "message"),
    [
        (lambda head: head["parameters"].update(seed=8), None, "the answer has seed 8, not 7"),
        (lambda head: head["parameters"].pop("seed"), None, "the answer has seed None, not 7"),
        (lambda head: head.pop("model_name"), None, "cannot be read: the response has no 'model_name'"),
        (lambda head: head["parameters"].update(finish="{}"), None, "wire='uint8' was not asked for"),
        (rename("PIXELS", "IMAGES"), None, "no output 'PIXELS', but IMAGES, SHAPES, STATUS, PROBLEMS"),
        (rename("STATUS", "STATE"), None, "no output 'STATUS'"),
        (output("PIXELS", shape=[1, 6, 4, 5]), None, r"PIXELS are of shape \[1, 6, 4, 5\], not 2 results"),
        (output("STATUS", shape=[1, 2]), None, r"STATUS are INT32 \[1, 2\]"),
        (lambda head: None, 7, "cannot be read: output 'PIXELS' has binary_data_size 120, and 7 bytes are left"),
    ],
)
def test_an_answer_that_is_not_the_protocol_is_an_error(
    kind: type, change: Change, keep: int | None, message: str
) -> None:
    with pytest.raises(ResponseInvalid, match=message):
        augment(kind, spoiled(change, keep), [images_of(1)[0]] * 2, seed=7)


@both
@pytest.mark.parametrize("content", [b"", b"{}", b"<html>", b"\xff"])
def test_an_answer_of_something_else_is_an_error(kind: type, content: bytes) -> None:
    with pytest.raises(ResponseInvalid, match="the answer cannot be read"):
        augment(kind, lambda request: httpx.Response(200, content=content), images_of(2))


@both
@pytest.mark.parametrize("body", ['{"error": "it is full"}', '{"error": "it is full", "type": "about:blank"}'])
def test_an_error_that_says_no_more_than_the_protocol_is_known_by_its_status(kind: type, body: str) -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        return httpx.Response(413, headers={"Content-Type": "application/json"}, content=body)

    with pytest.raises(augserve.LimitExceeded, match=r"it is full \(413"):
        augment(kind, answer, images_of(2))
