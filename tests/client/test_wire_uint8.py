"""wire="uint8" in both clients: the arrays and tensors are those that come without it, bit for bit."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import numpy as np
import pytest
import torch
from asking import augment, both, images_of
from small_inference import asked
from small_service import Service

import augserve
from augserve import AsyncClient, Augmented, Client, Clip, InvalidInput, ResponseInvalid, Sample, wire
from augserve_server.settings import shipped_configs
from factories import make_files, make_pixels
from serving import Live, run_server

FINISH = wire.Finish(
    dtype="float32", scale=float(np.float32(1 / 255)), mean=(0.5, 0.25, 0.125), std=(0.5, 0.25, 2.0), result="float32"
)
SEPARABLE = ("clip_eval", "detection", "imagenet_eval", "imagenet_train", "seed_example", "segmentation", "simclr")
AS_THEY_ARE = ("preview", "thumbnail")
OTHERS = ("imagenet_cutmix", "imagenet_randaugment", "video")
BOXES = [[5, 5, 50, 50], [20, 10, 70, 40]]


@pytest.fixture(scope="module")
def live() -> Iterator[Live]:
    """A service with every pipeline that ships."""
    with run_server(decode_threads=2, encode_threads=2) as server:
        yield server


def ask(kind: type, live: Live, *args: Any, **options: Any) -> Any:
    if kind is Client:
        with Client(live.url) as client:
            return client.augment(*args, **options)

    async def call() -> Any:
        async with AsyncClient(live.url) as client:
            return await client.augment(*args, **options)

    return asyncio.run(call())


def same(result: Any, expected: Any) -> None:
    """Every bit, and all that there is to say about where they lie."""
    assert type(result) is type(expected)
    assert (result.dtype, result.shape) == (expected.dtype, expected.shape)
    if isinstance(result, np.ndarray):
        assert result.strides == expected.strides
        assert result.flags.writeable
        assert result.flags.aligned
        assert result.tobytes() == expected.tobytes()
    else:
        assert (result.stride(), result.device) == (expected.stride(), expected.device)
        assert torch.equal(result.view(torch.uint8), expected.view(torch.uint8))


def item(name: str, data: bytes) -> Any:
    return Sample(data, boxes=BOXES, labels=[1, 2]) if name == "detection" else data


@both
@pytest.mark.parametrize("dtype", [None, "float16", "bfloat16", "float32"])
@pytest.mark.parametrize("form", ["numpy", "torch"])
@pytest.mark.parametrize("name", SEPARABLE)
def test_results_are_those_without_it(kind: type, live: Live, name: str, form: str, dtype: str | None) -> None:
    image = item(name, make_files(1)[0])
    options = {"seed": 3, "as_": form, "dtype": dtype}
    plain, small = ask(kind, live, name, image, **options), ask(kind, live, name, image, wire="uint8", **options)
    if isinstance(plain, Augmented):
        same(small.boxes, plain.boxes)
        plain, small = plain.image, small.image
    same(small, plain)


@both
@pytest.mark.parametrize("name", AS_THEY_ARE)
def test_bytes_come_as_they_are(kind: type, live: Live, name: str) -> None:
    data = make_files(1)[0]
    same(ask(kind, live, name, data, seed=3, wire="uint8"), ask(kind, live, name, data, seed=3))


@pytest.mark.parametrize("name", OTHERS)
def test_what_cannot_travel_so_is_refused(live: Live, name: str) -> None:
    with pytest.raises(augserve.RequestRejected, match="wire is 'uint8'; it must be left out: results of pipeline"):
        ask(Client, live, name, make_files(1), wire="uint8")


def test_every_pipeline_that_ships_is_asked_for_above(live: Live) -> None:
    with Client(live.url) as client:
        details = {pipeline.name: client.describe(pipeline.name) for pipeline in client.pipelines()}
    assert {name for name, detail in details.items() if detail.wire} == {*SEPARABLE, *AS_THEY_ARE}
    assert {name for name, detail in details.items() if detail.finish is not None} == set(SEPARABLE)
    assert {path.stem for path in (shipped_configs() / "pipelines").glob("*.yaml")} == details.keys()
    assert {name for name, detail in details.items() if not detail.wire} == set(OTHERS)
    assert details["imagenet_train"].finish.mean == tuple(np.float32([0.485, 0.456, 0.406]).astype(float))


@both
@pytest.mark.parametrize("form", ["numpy", "torch"])
def test_several_results_are_one_block_and_a_bad_image_fails_alone(kind: type, live: Live, form: str) -> None:
    files = make_files(3)
    options = {"seed": 3, "views": 2, "as_": form}
    plain = ask(kind, live, "imagenet_train", files, **options)
    small = ask(kind, live, "imagenet_train", files, wire="uint8", **options)
    same(small.stack(), plain.stack())
    assert small.stack() is small.stack()  # the block that the answer was finished into
    assert small.fingerprint == plain.fingerprint
    mixed = ask(kind, live, "imagenet_train", [files[0], b"no image", files[2]], wire="uint8", seed=3, as_=form)
    alone = ask(kind, live, "imagenet_train", [files[0], b"no image", files[2]], seed=3, as_=form)
    assert list(mixed.errors) == [1]
    for i in (0, 2):
        same(mixed[i], alone[i])


@pytest.mark.parametrize("form", ["numpy", "torch"])
def test_targets_clips_and_records_are_those_without_it(live: Live, form: str) -> None:
    pixels, mask = make_pixels(size=(60, 80)), np.arange(4800, dtype=np.uint8).reshape(60, 80)
    items = [Sample(pixels, masks=mask), pixels, Clip([pixels, pixels[::-1]])]
    options = {"seed": 5, "as_": form, "params": True, "dtype": "float16"}
    plain = ask(Client, live, "segmentation", items, **options)
    small = ask(Client, live, "segmentation", items, wire="uint8", **options)
    for result, expected in zip(small, plain, strict=True):
        same(result.image, expected.image)
        assert result.record == expected.record
    same(small[0].masks, plain[0].masks)
    with Client(live.url) as client:
        again = client.replay(pixels, small[1].record, as_=form)
    same(again.image, small[1].image)


def test_tensors_are_put_on_a_device_as_bytes_and_finished_there(live: Live) -> None:
    sample = Sample(make_files(1)[0], boxes=BOXES, labels=[1, 2])
    for options in ({}, {"wire": "uint8"}):
        result = ask(Client, live, "detection", sample, as_="torch", device="meta", **options)
        assert (result.image.device.type, result.image.dtype) == ("meta", torch.float32)
        assert result.boxes.device.type == "meta"
    plain, small = (
        ask(Client, live, "imagenet_train", make_files(2), as_="torch", seed=1, device=torch.device("cpu"), wire=w)
        for w in (None, "uint8")
    )
    same(small.stack(), plain.stack())


@pytest.mark.gpu
@pytest.mark.parametrize("dtype", [None, "float16", "bfloat16"])
def test_what_is_finished_on_a_gpu_is_what_is_finished_here(live: Live, dtype: str | None) -> None:
    options = {"as_": "torch", "seed": 1, "wire": "uint8", "dtype": dtype}
    here = ask(Client, live, "imagenet_train", make_files(2), **options).stack()
    there = ask(Client, live, "imagenet_train", make_files(2), device="cuda", **options).stack()
    assert there.device.type == "cuda"
    assert torch.equal(there.cpu(), here)


def with_finish(text: str) -> Callable[[httpx.Request], httpx.Response]:
    """The small service, whose answers say that this is left to do."""
    return Service(parameters={"finish": text})


@both
@pytest.mark.parametrize("form", ["numpy", "torch"])
def test_what_the_answer_says_is_done(kind: type, form: str) -> None:
    images = images_of(2)
    bytes_ = augment(kind, Service(), images, seed=1).items
    results = augment(kind, with_finish(FINISH.write()), images, seed=1, wire="uint8", as_=form)
    for result, pixels in zip(results, bytes_, strict=True):
        expected = (pixels * np.float32(FINISH.scale) - np.float32(FINISH.mean)[:, None, None]) / np.float32(
            FINISH.std
        )[:, None, None]
        assert np.asarray(result).tobytes() == expected.tobytes()


def test_it_is_asked_for_of_one_image_in_the_query_and_of_several_in_the_parameters() -> None:
    service = Service()
    for images in (images_of(1)[0], images_of(1)):
        augment(Client, service, images, wire="uint8")
        augment(Client, service, images)
    *alone, together, other = service.requests
    assert [request.url.params.get("wire") for request in alone] == ["uint8", None]
    assert [asked(request).parameters.get("wire") for request in (together, other)] == ["uint8", None]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "the finish is wrong"),
        ("[]", "the finish is wrong"),
        (FINISH.write().replace("float32", "float8"), "the finish is wrong at dtype"),
        (FINISH.write().replace('"mean"', '"gamma":2.2,"mean"'), "the finish is wrong at gamma"),
        (FINISH.write().replace("0.25,", "NaN,"), "the finish is wrong"),
        (FINISH.write().replace(",0.125]", "]"), "the finish is for 3 channels, and the answer is"),
        (FINISH.write().replace("0.125]", "0.125,1.0]"), "the finish is for 4 channels"),
    ],
)
@pytest.mark.parametrize("form", ["numpy", "torch"])
def test_what_cannot_be_done_is_no_answer(form: str, text: str, reason: str) -> None:
    with pytest.raises(ResponseInvalid, match=reason):
        augment(Client, with_finish(text), images_of(1), wire="uint8", as_=form)


def test_floats_that_are_said_to_be_bytes_are_no_answer() -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        body = b"".join(wire.write_safetensors({"images": ("float32", (3, 1, 1), bytes(12))}))
        headers = {"Content-Type": wire.SAFETENSORS, wire.COUNT_HEADER: "1", wire.FINISH_HEADER: FINISH.write()}
        return httpx.Response(200, headers=headers | {wire.SEED_HEADER: request.url.params["seed"]}, content=body)

    with pytest.raises(ResponseInvalid, match="the answer is of float32, not of the uint8 that Augserve-Finish is for"):
        augment(Client, answer, images_of(1)[0], wire="uint8")


@pytest.mark.parametrize("form", ["numpy", "bytes"])
def test_what_is_not_finished_and_was_not_asked_for_is_no_answer(form: str) -> None:
    with pytest.raises(ResponseInvalid, match="wire='uint8' was not asked for"):
        augment(Client, with_finish(FINISH.write()), images_of(1), as_=form)


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"wire": "int8"}, "wire is 'uint8' or None, not 'int8'"),
        ({"wire": "uint8", "as_": "bytes"}, "wire is for arrays and tensors"),
        ({"device": "cpu"}, "device is for as_='torch', not for 'numpy'"),
    ],
)
def test_what_makes_no_sense_is_not_sent(options: dict[str, Any], reason: str) -> None:
    service = Service()
    with pytest.raises(InvalidInput, match=reason):
        augment(Client, service, images_of(1), **options)
    assert service.requests == []
