"""wire=uint8: bytes travel in place of floats, and what the answer says makes the same floats of them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from io import BytesIO
from typing import Any

import httpx
import numpy as np
import pytest
import torch
from PIL import Image

from augserve.wire import (
    FINGERPRINT_HEADER,
    FINISH_HEADER,
    JPEG,
    NPY,
    PNG,
    PROBLEM,
    SAFETENSORS,
    TENSOR_NAME,
    Finish,
    read_archive,
    read_multipart,
    read_npy,
    read_safetensors,
)
from augserve_server.settings import shipped_configs
from factories import make_file, make_files
from oracle import v2
from serving import Live, run_server

ENDING = "{ToDtype: {dtype: float32, scale: true}}, {Normalize: {mean: [0.5], std: [0.25]}}"
OWN = {
    "composed": f"transforms: [{{RandomCrop: {{size: 20}}}}, {{Compose: {{transforms: [{ENDING}]}}}}]",
    "pure": f"transforms: [{{RandomCrop: {{size: 20}}}}, {ENDING}, ToPureTensor]",
    "gray": f"{{input: {{mode: L}}, transforms: [{{RandomCrop: {{size: 20}}}}, {ENDING}]}}",
    "in_bfloat16": "transforms: [{ToDtype: {dtype: bfloat16, scale: true}}, {Normalize: {mean: [0.4], std: [0.3]}}]",
    "by_kind": "transforms: [{ToDtype: {dtype: {Image: float32, Video: float32, others: null}, scale: true}}]",
    "with_masks": "transforms: [{ToDtype: {dtype: {Image: float32, Mask: int64, others: null}, scale: true}}]",
    "floats_before": f"transforms: [{{ToDtype: {{dtype: float32, scale: true}}}}, {{Resize: {{size: 20}}}}, {ENDING}]",
    "rarely_floats": f"""
transforms: [{{RandomApply: {{p: 1.0e-6, transforms: [{{ToDtype: {{dtype: float32}}}}]}}}}, {ENDING}]
""",
}
SHIPPED = {path.stem: path.read_text() for path in sorted((shipped_configs() / "pipelines").glob("*.yaml"))}
AS_THEY_ARE = ("preview", "thumbnail")
REFUSED = {
    "imagenet_randaugment": "it ends in RandomErasing, not in ToDtype and Normalize",
    "imagenet_cutmix": "it ends in RandomChoice, not in ToDtype and Normalize",
    "video": "it ends in RandomCrop, not in ToDtype and Normalize",
    "with_masks": "its last ToDtype casts other kinds of input to other dtypes",
    "floats_before": "its last ToDtype gets torch.float32, not torch.uint8",
}
SEPARABLE = sorted({*SHIPPED, *OWN} - {*AS_THEY_ARE, *REFUSED})

Parts = list[tuple[str, tuple[str, bytes]]]


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    folder = tmp_path_factory.mktemp("pipelines")
    for name, text in {**OWN, **SHIPPED}.items():
        (folder / f"{name}.yaml").write_text(text)
    with run_server(pipelines=folder) as server:
        yield server


def post(client: httpx.Client, name: str, query: str, accept: str = "*/*", **body: Any) -> httpx.Response:
    body = body or {"content": make_file("JPEG", (60, 80))}
    if "detection" in name and "content" in body:
        boxes = b"[[5, 5, 50, 50], [20, 10, 70, 40]]"
        body = {"files": [("image", ("a.jpg", body["content"])), ("boxes", ("b", boxes)), ("labels", ("l", b"[1, 2]"))]}
    response = client.post(f"/v1/augment/{name}?{query}", headers={"Accept": accept}, **body)
    assert response.status_code == 200, response.text
    return response


def finished(response: httpx.Response, pixels: np.ndarray) -> np.ndarray:
    return Finish.read(response.headers[FINISH_HEADER]).to_numpy(pixels)


def image_in(body: bytes) -> np.ndarray:
    """The pixels of a safetensors body, whatever they are called."""
    tensors = read_safetensors(body)
    return tensors.get("image", tensors.get(TENSOR_NAME))


@pytest.mark.parametrize("dtype", ["", "&dtype=float16", "&dtype=bfloat16", "&dtype=float32"])
@pytest.mark.parametrize("name", SEPARABLE)
def test_bytes_become_the_floats_of_the_plain_answer(client: httpx.Client, name: str, dtype: str) -> None:
    plain = post(client, name, f"seed=3{dtype}", SAFETENSORS)
    small = post(client, name, f"seed=3{dtype}&wire=uint8", SAFETENSORS)
    assert FINISH_HEADER not in plain.headers
    assert small.headers[FINGERPRINT_HEADER] == plain.headers[FINGERPRINT_HEADER]
    pixels, expected = image_in(small.content), image_in(plain.content)
    assert pixels.dtype == np.uint8
    result = finished(small, pixels)
    assert (result.dtype, result.shape) == (expected.dtype, expected.shape)
    assert result.tobytes() == expected.tobytes()


def test_bytes_become_torchvisions_floats(client: httpx.Client) -> None:
    data = make_file("JPEG", (90, 120))
    response = post(client, "imagenet_train", "seed=5&wire=uint8", content=data)
    theirs = v2.Compose(
        [
            v2.ToImage(),
            v2.RandomResizedCrop(224),
            v2.RandomHorizontalFlip(),
            v2.ToDtype(torch.float32, scale=True),
            v2.Normalize([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]),
        ]
    )
    torch.manual_seed(5)
    expected = theirs(Image.open(BytesIO(data)).convert("RGB"))
    assert finished(response, read_npy(response.content)).tobytes() == expected.numpy().tobytes()


def test_a_quarter_of_the_bytes_travels(client: httpx.Client) -> None:
    plain = post(client, "imagenet_train", "seed=5")
    small = post(client, "imagenet_train", "seed=5&wire=uint8")
    assert (plain.headers["content-type"], small.headers["content-type"]) == (NPY, NPY)
    assert read_npy(plain.content).nbytes == 602_112
    assert read_npy(small.content).nbytes == 150_528
    assert len(small.content) - 150_528 == len(plain.content) - 602_112 == 128


def test_the_header_has_every_number_exactly(client: httpx.Client) -> None:
    text = post(client, "imagenet_train", "wire=uint8&dtype=float16").headers[FINISH_HEADER]
    assert text == (
        '{"dtype":"float32","scale":0.003921568859368563,'
        '"mean":[0.48500001430511475,0.4560000002384186,0.4059999883174896],'
        '"std":[0.2290000021457672,0.2240000069141388,0.22499999403953552],"result":"float16"}'
    )
    numbers = json.loads(text)
    for value in (numbers["scale"], *numbers["mean"], *numbers["std"]):
        assert float(np.float32(value)) == value
    assert json.loads(post(client, "detection", "wire=uint8", SAFETENSORS).headers[FINISH_HEADER])["mean"] is None


@pytest.mark.parametrize("name", REFUSED)
def test_a_pipeline_that_ends_otherwise_is_refused_before_its_body_is_read(client: httpx.Client, name: str) -> None:
    response = client.post(f"/v1/augment/{name}?wire=uint8", content=b"no image")
    assert (response.status_code, response.headers["content-type"]) == (400, PROBLEM)
    problem = response.json()
    assert problem["type"].endswith("parameter-invalid")
    assert (problem["field"], problem["value"]) == ("wire", "uint8")
    requirement = f"left out: results of pipeline {name!r} cannot be finished later, for {REFUSED[name]}"
    assert problem["allowed"] == requirement
    assert problem["detail"] == f"wire is 'uint8'; it must be {requirement}"


def test_another_wire_is_refused(client: httpx.Client) -> None:
    problem = client.post("/v1/augment/imagenet_train?wire=int8", content=b"1").json()
    assert (problem["field"], problem["allowed"]) == ("wire", "uint8")


@pytest.mark.parametrize("name", AS_THEY_ARE)
@pytest.mark.parametrize("accept", ["*/*", PNG, NPY])
def test_bytes_are_as_they_are(client: httpx.Client, name: str, accept: str) -> None:
    plain, small = post(client, name, "seed=1", accept), post(client, name, "seed=1&wire=uint8", accept)
    assert small.content == plain.content
    assert small.headers["content-type"] == plain.headers["content-type"]
    assert FINISH_HEADER not in small.headers


@pytest.mark.parametrize("accept", [JPEG, PNG])
def test_bytes_that_are_not_finished_are_no_pictures(client: httpx.Client, accept: str) -> None:
    response = client.post("/v1/augment/gray?wire=uint8", content=make_file(), headers={"Accept": accept})
    assert response.status_code == 406
    assert response.json()["allowed"] == [NPY, SAFETENSORS]


def test_bfloat16_comes_as_npy_when_it_travels_as_bytes(client: httpx.Client) -> None:
    small = post(client, "in_bfloat16", "seed=2&wire=uint8", NPY)
    expected = image_in(post(client, "in_bfloat16", "seed=2", SAFETENSORS).content)
    assert finished(small, read_npy(small.content)).tobytes() == expected.tobytes()


def test_several_come_in_one_body_and_a_bad_one_fails_alone(client: httpx.Client) -> None:
    files = [("image", (f"{i}", data)) for i, data in enumerate(make_files(3))]
    small = post(client, "imagenet_train", "seed=1&views=2&wire=uint8", files=files)
    expected = read_npy(post(client, "imagenet_train", "seed=1&views=2", files=files).content)
    assert finished(small, read_npy(small.content)).tobytes() == expected.tobytes()
    bad = post(client, "imagenet_train", "seed=1&wire=uint8", files=[files[0], ("image", ("b", b"no image"))])
    good, failed = read_multipart(bad.content, bad.headers["content-type"])
    assert (good.media_type, failed.media_type) == (NPY, PROBLEM)
    assert finished(bad, read_npy(good.body)).tobytes() == expected[0].tobytes()


def sample(pipeline: str) -> Parts:
    image = ("image", ("a.png", make_file("PNG", (60, 80))))
    if pipeline == "segmentation":
        return [image, ("masks", ("m.png", make_file("PNG", (60, 80), mode="L")))]
    return [image, ("boxes", ("b", b"[[5, 5, 50, 50], [20, 10, 70, 40]]")), ("labels", ("l", b"[1, 2]"))]


@pytest.mark.parametrize("dtype", ["", "&dtype=float16"])
@pytest.mark.parametrize("name", ["detection", "segmentation", "imagenet_train", "pure", "by_kind"])
def test_targets_and_records_are_those_of_the_plain_answer(client: httpx.Client, name: str, dtype: str) -> None:
    query, files = f"seed=8&params=true{dtype}", sample(name)
    plain = read_archive(post(client, name, query, SAFETENSORS, files=files).content)
    response = post(client, name, f"{query}&wire=uint8", SAFETENSORS, files=files)
    small = read_archive(response.content)
    assert small.metadata == plain.metadata
    assert small.tensors.keys() == plain.tensors.keys()
    for part in small.tensors.keys() - {"image"}:
        assert small.tensors[part].dtype == plain.tensors[part].dtype
        assert bytes(small.tensors[part].data) == bytes(plain.tensors[part].data)
    expected = plain.tensors["image"].to_numpy()
    assert finished(response, small.tensors["image"].to_numpy()).tobytes() == expected.tobytes()


def test_a_record_of_bytes_replays_to_the_floats(client: httpx.Client) -> None:
    response = post(client, "imagenet_train", "seed=8&params=true&wire=uint8", SAFETENSORS, files=sample(""))
    small = read_archive(response.content)
    files = [*sample(""), ("record", ("r", small.metadata["record"].encode()))]
    again = client.post("/v1/replay", files=files, headers={"Accept": SAFETENSORS})
    assert again.status_code == 200, again.text
    expected = read_archive(again.content).tensors["image"].to_numpy()
    assert finished(response, small.tensors["image"].to_numpy()).tobytes() == expected.tobytes()


def test_clips_travel_as_bytes(client: httpx.Client) -> None:
    frames = [("frame", (f"{i}", data)) for i, data in enumerate([make_file("PNG", (40, 50))] * 3)]
    plain = read_archive(post(client, "by_kind", "seed=1", SAFETENSORS, files=frames).content)
    response = post(client, "by_kind", "seed=1&wire=uint8", SAFETENSORS, files=frames)
    small = read_archive(response.content).tensors["image"]
    assert (small.dtype, small.shape) == ("uint8", (3, 3, 40, 50))
    expected = plain.tensors["image"].to_numpy()
    assert finished(response, small.to_numpy()).tobytes() == expected.tobytes()


def test_requests_for_bytes_share_a_batch(live: Live) -> None:
    served = live.service.catalog["imagenet_eval"]
    assert served.in_bytes() is served.in_bytes()
    assert served.in_bytes().over_images is served.in_bytes().over_images
    assert served.giving("float16").in_bytes() is served.giving("float16").in_bytes()
    assert live.service.catalog["thumbnail"].in_bytes() is live.service.catalog["thumbnail"]


@pytest.mark.parametrize("name", [*SEPARABLE, *AS_THEY_ARE, *REFUSED])
def test_a_pipeline_says_whether_it_can_be_finished_and_how(client: httpx.Client, name: str) -> None:
    detail = client.get(f"/v1/pipelines/{name}").json()
    assert detail["wire"] == ([] if name in REFUSED else ["uint8"])
    if name in SEPARABLE:
        query = post(client, name, "wire=uint8", SAFETENSORS)
        assert detail["finish"] == json.loads(query.headers[FINISH_HEADER])
    else:
        assert detail["finish"] is None


def test_the_results_count_as_the_bytes_that_they_are(live: Live) -> None:
    with run_server(pipelines=shipped_configs() / "pipelines", max_output_bytes=224 * 224 * 3) as server:
        small = httpx.post(f"{server.url}/v1/augment/imagenet_train?wire=uint8", content=make_file())
        plain = httpx.post(f"{server.url}/v1/augment/imagenet_train", content=make_file())
    assert (small.status_code, plain.status_code) == (200, 413)
