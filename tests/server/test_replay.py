"""POST /v1/replay: what a record says is done again, to the same bytes; and records that are refused."""

from __future__ import annotations

import base64
import json
import zlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import httpx
import numpy as np
import pytest

from augserve.wire import (
    COUNT_HEADER,
    FAILED_HEADER,
    JPEG,
    NPY,
    PNG,
    PROBLEM,
    SAFETENSORS,
    SEED_HEADER,
    Archive,
    read_archive,
    read_multipart,
)
from augserve_pipelines import Pipeline
from augserve_server.settings import shipped_configs
from clips import make_animation, make_frames
from factories import encode_picture, make_file, make_picture
from serving import Live, run_server

SIZE = (96, 128)
OWN = {
    "warp": "transforms: [RandomHorizontalFlip, {RandomRotation: {degrees: 30, expand: true}}, "
    "{RandomPerspective: {p: 1}}, {RandomResizedCrop: {size: [60, 50]}}]",
    "noise": "transforms: [{ElasticTransform: {alpha: 20}}, {ToDtype: {dtype: float32, scale: true}}, "
    "{GaussianNoise: {sigma: 0.1}}]",
    "gray": "input: {mode: L}\ntransforms: [{RandomAffine: {degrees: 20}}, {GaussianBlur: {kernel_size: 5}}]",
}
SHIPPED = {path.stem: path.read_text() for path in sorted((shipped_configs() / "pipelines").glob("*.yaml"))}
PIPELINES = {**OWN, **SHIPPED}

PHOTOGRAPH = make_file("PNG", SIZE)
MASK = encode_picture(make_picture("coffee", SIZE, "L").quantize(9), "PNG")
TARGETS: Mapping[str, bytes] = {
    "boxes": b"[[10, 20, 50, 60], [0, 0, 128, 96]]",
    "masks": MASK,
    "keypoints": b"[[5, 6], [70.5, 80.25]]",
    "labels": b"[1, 2]",
}

Parts = list[tuple[str, tuple[str, bytes]]]


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    folder = tmp_path_factory.mktemp("pipelines")
    for name, text in PIPELINES.items():
        (folder / f"{name}.yaml").write_text(text)
    with run_server(pipelines=folder, max_image_pixels=1_000_000) as server:
        yield server


def parts(**named: bytes) -> Parts:
    return [(name, (name, data)) for name, data in named.items()]


def augment(client: httpx.Client, pipeline: str, given: Parts, accept: str = SAFETENSORS, **query: Any) -> Archive:
    query = {"seed": 3, "params": "true", **query}
    response = client.post(f"/v1/augment/{pipeline}", params=query, files=given, headers={"Accept": accept})
    assert response.status_code == 200, response.text
    return read_archive(response.content)


def post(client: httpx.Client, given: Parts, accept: str = SAFETENSORS, **query: Any) -> httpx.Response:
    return client.post("/v1/replay", params=query, files=given, headers={"Accept": accept})


def replay(client: httpx.Client, given: Parts, **query: Any) -> Archive:
    response = post(client, given, **query)
    assert response.status_code == 200, response.text
    return read_archive(response.content)


def same(found: Archive, expected: Archive, *names: str) -> bool:
    """Whether these tensors, else all, are the same bytes of one shape and type, and metadata say the same."""
    compared = names or tuple(expected.tensors)
    assert set(compared) == set(found.tensors)
    ours, theirs = ({n: v for n, v in file.metadata.items() if n != "record"} for file in (found, expected))
    assert names or ours == theirs
    pairs = [(found.tensors[name], expected.tensors[name]) for name in compared]
    return all((a.dtype, a.shape, bytes(a.data)) == (b.dtype, b.shape, bytes(b.data)) for a, b in pairs)


def record_of(file: Archive) -> bytes:
    return file.metadata["record"].encode()


def is_batched(name: str) -> bool:
    folder = shipped_configs() / "pipelines"
    return name in SHIPPED and Pipeline.load(folder / f"{name}.yaml").batched


@pytest.mark.parametrize("pipeline", [name for name in PIPELINES if not is_batched(name)])
def test_a_replay_gives_the_same_bytes(client: httpx.Client, pipeline: str) -> None:
    rule = {"mode": "L"} if pipeline == "gray" else {}
    targets = {} if "augment" in pipeline else TARGETS  # which would no longer fit an image after RandAugment
    for seed in (3, 4):
        given = parts(image=PHOTOGRAPH, **targets)
        done = augment(client, pipeline, given, seed=seed)
        assert same(replay(client, [*given, *parts(record=record_of(done))], **rule), done)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_a_cast_on_the_way_out_is_replayed(client: httpx.Client, dtype: str) -> None:
    done = augment(client, "noise", parts(image=PHOTOGRAPH), dtype=dtype)
    assert done.tensors["image"].dtype == dtype
    assert same(replay(client, parts(image=PHOTOGRAPH, record=record_of(done))), done)


def test_a_record_says_what_was_done(client: httpx.Client) -> None:
    done = augment(client, "warp", parts(image=PHOTOGRAPH))
    record = json.loads(record_of(done))
    assert (record["version"], record["seed"], record["input_size"]) == (1, 3, [96, 128])
    assert record["output_size"] == [60, 50]
    assert np.array(record["matrix"]).shape == (3, 3)
    assert [operation["name"] for operation in record["operations"]][-2:] == ["perspective", "resized_crop"]


@pytest.mark.parametrize("name", ["boxes", "masks", "keypoints"])
def test_targets_alone_become_what_they_became_beside_their_image(client: httpx.Client, name: str) -> None:
    done = augment(client, "warp", parts(image=PHOTOGRAPH, **TARGETS))
    again = replay(client, parts(**{name: TARGETS[name], "record": record_of(done)}))
    assert same(again, done, name)


def test_another_image_gets_the_same_augmentation(client: httpx.Client) -> None:
    other = make_file("PNG", SIZE, name="flower")
    record = record_of(augment(client, "warp", parts(image=PHOTOGRAPH), seed=8))
    assert same(replay(client, parts(image=other, record=record)), augment(client, "warp", parts(image=other), seed=8))


def test_a_clip_is_replayed_frame_by_frame(client: httpx.Client) -> None:
    clip = make_animation("PNG", make_frames(3, SIZE))
    done = augment(client, "warp", parts(clip=clip))
    assert same(replay(client, parts(clip=clip, record=record_of(done))), done)
    first = replay(client, parts(image=encode_picture(make_frames(3, SIZE)[0], "PNG"), record=record_of(done)))
    assert bytes(first.tensors["image"].data) == bytes(done.tensors["image"].data)[: first.tensors["image"].data.nbytes]


def test_samples_have_a_record_each_or_one_for_all(client: httpx.Client) -> None:
    done = [augment(client, "warp", parts(image=PHOTOGRAPH), seed=seed) for seed in (1, 2)]
    each = [part for file in done for part in parts(image=PHOTOGRAPH, record=record_of(file))]
    for given, expected in (
        (each, done),
        ([*parts(record=record_of(done[0])), *parts(image=PHOTOGRAPH) * 2], done[:1] * 2),
    ):
        response = post(client, given)
        assert response.headers[COUNT_HEADER] == "2"
        assert SEED_HEADER not in response.headers
        found = read_multipart(response.content, response.headers["content-type"])
        seeds = [json.loads(record_of(file))["seed"] for file in expected]
        assert [part.headers[SEED_HEADER.lower()] for part in found] == [str(seed) for seed in seeds]
        assert all(same(read_archive(part.body), file) for part, file in zip(found, expected, strict=True))


@pytest.mark.parametrize(
    ("pipeline", "accept", "found"), [("warp", "*/*", JPEG), ("warp", PNG, PNG), ("noise", "*/*", NPY)]
)
def test_the_media_type_is_chosen_by_what_comes_out(
    client: httpx.Client, pipeline: str, accept: str, found: str
) -> None:
    record = record_of(augment(client, pipeline, parts(image=PHOTOGRAPH)))
    response = post(client, parts(image=PHOTOGRAPH, record=record), accept)
    (image,) = read_multipart(response.content, response.headers["content-type"])
    assert (image.name, image.media_type) == ("image", found)


def test_what_cannot_be_sent_as_accepted_is_refused(client: httpx.Client) -> None:
    record = record_of(augment(client, "noise", parts(image=PHOTOGRAPH)))
    for accept in (PNG, "text/html"):
        response = post(client, parts(image=PHOTOGRAPH, record=record), accept)
        assert (response.status_code, response.json()["type"].rpartition(":")[2]) == (406, "not-acceptable")


def document(*operations: Mapping[str, Any], **others: Any) -> bytes:
    """A record of these operations on an image of SIZE."""
    return json.dumps({"version": 1, "input_size": list(SIZE), "operations": operations, **others}).encode()


def operation(name: str, /, **arguments: Any) -> dict[str, Any]:
    return {"name": name, "arguments": arguments}


BOMB = base64.b64encode(zlib.compress(bytes(50_000_000), 9)).decode()

REFUSED: Mapping[str, tuple[bytes, str]] = {
    "no JSON": (b"{", "is no JSON"),
    "deep JSON": (b"[" * 100_000, "is no JSON"),
    "deep arguments": (
        document(operation("crop", top=json.loads("[" * 400 + "]" * 400), left=0, height=1, width=1)),
        "crop.top",
    ),
    "another document": (b"[1]", "no record"),
    "another version": (document(version=2), "version is 2; 1 is known"),
    "an unknown member": (document(extra=1), "extra"),
    "an unknown operation": (document(operation("__import__", name="os")), "no operation is named '__import__'"),
    "a missing argument": (document(operation("crop", top=1)), "missing a required argument"),
    "an unknown argument": (document(operation("horizontal_flip", p=1)), "unexpected keyword argument"),
    "an argument of another type": (document(operation("crop", top="x", left=0, height=1, width=1)), "crop.top"),
    "no size": (document(operation("resize", size=[0, 10])), "resize"),
    "a result too large": (document(operation("resize", size=[1001, 1000])), "1001 x 1000 pixels; 1 to 1000000"),
    "a step too large": (
        document(operation("pad", padding=[4000] * 4), operation("crop", top=0, left=0, height=9, width=9)),
        "pad gives 8096 x 8128 pixels; 1 to 1000000",
    ),
    "too many operations": (document(*[operation("horizontal_flip")] * 201), "at most 200 operations"),
    "images without number": (
        document(*[operation("ten_crop", size=[20, 20])] * 4),
        "several crops of each image 4 times",
    ),
    "frames without number": (
        document(operation("uniform_temporal_subsample", num_samples=10**9)),
        "asks for 1000000000",
    ),
    "channels without number": (
        document(operation("to_dtype"), operation("normalize", mean=[0.5] * 5000, std=[0.5] * 5000)),
        "a normalize of 5000 channels; at most 4",
    ),
    "a blur without end": (
        document(operation("gaussian_blur", kernel_size=[9001, 9001])),
        "adds up 2986647588864 products",
    ),
    "an input too large": (document(input_size=[10**6, 10**6]), ""),
    "a zip bomb": (
        document(operation("gaussian_noise", mean=0.0, sigma=0.1, clip=True, noise={"stream": BOMB})),
        "gaussian_noise",
    ),
    "another size": (
        document(input_size=[50, 60]),
        "is of 50 x 60 pixels (height x width), and the upright",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_record_is_refused_before_anything_is_decoded(live: Live, client: httpx.Client, case: str) -> None:
    record, words = REFUSED[case]
    before = live.metric("decoded_images_total")
    response = post(client, parts(image=PHOTOGRAPH, record=record))
    assert response.status_code == 422, response.text
    problem = response.json()
    assert (problem["type"].rpartition(":")[2], problem["field"]) == ("record-invalid", "record")
    assert words in problem["detail"]
    assert len(response.content) < 2000
    assert live.metric("decoded_images_total") == before


def test_a_bad_record_fails_alone(client: httpx.Client) -> None:
    good = document(operation("horizontal_flip"))
    given = parts(image=PHOTOGRAPH, record=b"{") + parts(image=PHOTOGRAPH, record=good) + parts(image=b"", record=good)
    response = post(client, given)
    assert (response.status_code, response.headers[FAILED_HEADER]) == (200, "2")
    found = read_multipart(response.content, response.headers["content-type"])
    assert [part.media_type for part in found] == [PROBLEM, SAFETENSORS, PROBLEM]


@pytest.mark.parametrize(
    ("given", "status", "words"),
    [
        (parts(image=PHOTOGRAPH), 422, "the record is missing: send one with each sample, or one for all"),
        (parts(record=document()), 422, "has nothing to act on"),
        (parts(labels=b"[1]", record=document()), 422, "labels: without an image there is nothing"),
        (parts(masks=MASK, record=document(input_size=[95, 128])), 422, "masks: they are 96 x 128"),
        (parts(box=b"[]", record=document()), 400, "is named 'box'; allowed: image, clip, frame, boxes"),
    ],
)
def test_a_form_without_what_it_needs_says_what(client: httpx.Client, given: Parts, status: int, words: str) -> None:
    response = post(client, given)
    assert response.status_code == status
    assert words in response.json()["detail"]


@pytest.mark.parametrize(
    ("ask", "status", "field"),
    [
        (lambda client: client.post("/v1/replay", content=PHOTOGRAPH), 415, "Content-Type"),
        (lambda client: client.post("/v1/replay?seed=1", files=parts(image=PHOTOGRAPH)), 400, "seed"),
        (lambda client: client.post("/v1/replay?mode=CMYK", files=parts(image=PHOTOGRAPH)), 400, "mode"),
        (lambda client: client.post("/v1/replay?mode=L&mode=L", files=parts(image=PHOTOGRAPH)), 400, "mode"),
        (lambda client: client.post("/v1/replay?quality=0", files=parts(image=PHOTOGRAPH)), 400, "quality"),
    ],
)
def test_other_requests_are_refused(
    client: httpx.Client, ask: Callable[[httpx.Client], httpx.Response], status: int, field: str
) -> None:
    response = ask(client)
    assert (response.status_code, response.headers["content-type"]) == (status, PROBLEM)
    assert response.json()["field"] == field


def test_what_is_stored_on_its_side_is_replayed_upright(client: httpx.Client) -> None:
    lying = make_file("JPEG", (128, 96), orientation=6, quality=95)
    done = augment(client, "warp", parts(image=lying))
    assert json.loads(record_of(done))["input_size"] == [96, 128]
    assert same(replay(client, parts(image=lying, record=record_of(done))), done)


def test_results_of_too_many_bytes_are_refused_before_they_are_computed() -> None:
    with run_server(max_output_bytes=100_000) as server, httpx.Client(base_url=server.url) as client:
        response = post(client, parts(image=PHOTOGRAPH, record=document(operation("resize", size=[200, 200]))))
        assert (response.status_code, response.json()["type"].rpartition(":")[2]) == (413, "output-too-large")
        assert server.metric("decoded_images_total") == 0
