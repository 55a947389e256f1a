"""Pipelines that mix: within one request, under one seed more than its results have, and never across requests."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import httpx
import numpy as np
import pytest
import torch

from augserve.wire import FAILED_HEADER, NPY, PROBLEM, SAFETENSORS, read_archive, read_labels, read_multipart, read_npy
from factories import NAMES, make_file, make_image
from oracle import v2
from serving import Live, busy_device, run_server, until

MIX = """
transforms:
  - RandomResizedCrop: {size: 32}
  - RandomHorizontalFlip
  - ToDtype: {dtype: float32, scale: true}
  - %s: {num_classes: 10}
"""
RAGGED = """
transforms:
  - ToDtype: {dtype: float32, scale: true}
  - MixUp: {num_classes: 10}
"""
ALONE = v2.Compose([v2.RandomResizedCrop(32), v2.RandomHorizontalFlip(), v2.ToDtype(torch.float32, scale=True)])
SIZES = ((60, 80), (50, 50), (90, 40), (64, 70))

Parts = list[tuple[str, tuple[str, bytes]]]


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    folder = tmp_path_factory.mktemp("pipelines")
    for name in ("MixUp", "CutMix"):
        (folder / f"{name}.yaml").write_text(MIX % name)
    (folder / "ragged.yaml").write_text(RAGGED)
    (folder / "plain.yaml").write_text("transforms: [RandomHorizontalFlip]")
    with run_server(pipelines=folder) as server:
        yield server


def labelled(count: int = 4, first: int = 0) -> Parts:
    """So many photographs of mixed sizes, each with a label."""
    return [
        part
        for i in range(first, first + count)
        for part in (
            ("image", (f"{i}.png", make_file("PNG", SIZES[i % 4], name=NAMES[i]))),
            ("labels", (f"{i}.json", b"%d" % i if i % 2 else b"[%d]" % i)),
        )
    ]


def theirs(name: str, rows: list[int], base: int, count: int) -> tuple[torch.Tensor, torch.Tensor]:
    """torchvision: the samples of these rows, each under its own seed, then the batch of them under the next."""
    samples = []
    for row in rows:
        torch.manual_seed(base + row)
        samples.append(ALONE(make_image(SIZES[row % 4], name=NAMES[row])))
    torch.manual_seed(base + count)
    mixed: tuple[torch.Tensor, torch.Tensor] = getattr(v2, name)(num_classes=10)(
        torch.stack(samples), torch.tensor(rows)
    )
    return mixed


def post(live: Live, name: str, parts: Parts, accept: str = SAFETENSORS, seed: int = 7) -> httpx.Response:
    url = f"{live.url}/v1/augment/{name}?seed={seed}"
    return httpx.post(url, files=parts, headers={"Accept": accept}, timeout=60)


def check(response: httpx.Response, images: torch.Tensor, labels: torch.Tensor) -> None:
    assert response.status_code == 200, response.text
    parts = read_multipart(response.content, response.headers["content-type"])
    files = [read_archive(part.body).tensors for part in parts if part.media_type == SAFETENSORS]
    np.testing.assert_array_equal(np.stack([file["image"].to_numpy() for file in files]), images.numpy())
    np.testing.assert_array_equal(np.stack([file["labels"].to_numpy() for file in files]), labels.numpy())


@pytest.mark.parametrize("name", ["MixUp", "CutMix"])
def test_a_request_is_mixed_as_torchvision_mixes_a_batch(live: Live, name: str) -> None:
    for seed in (0, 7, 8):
        check(post(live, name, labelled(), seed=seed), *theirs(name, [0, 1, 2, 3], seed, 4))


def test_labels_come_as_json_beside_npy(live: Live) -> None:
    response = post(live, "MixUp", labelled(), NPY)
    images, labels = theirs("MixUp", [0, 1, 2, 3], 7, 4)
    parts = read_multipart(response.content, response.headers["content-type"])
    assert [part.name for part in parts] == ["image", "labels"] * 4
    np.testing.assert_array_equal(np.stack([read_npy(part.body) for part in parts[::2]]), images.numpy())
    np.testing.assert_array_equal(np.stack([read_labels(part.body) for part in parts[1::2]]), labels.numpy())


def test_requests_in_one_batch_are_mixed_each_by_itself(live: Live) -> None:
    with ThreadPoolExecutor(2) as pool:
        with busy_device(live, "plain"):
            first = pool.submit(post, live, "CutMix", labelled(3))
            second = pool.submit(post, live, "CutMix", labelled(2, 1), seed=20)
            until(lambda: live.metric("queue_results") == 6)
        check(first.result(), *theirs("CutMix", [0, 1, 2], 7, 3))
        images = []
        for row in (1, 2):
            torch.manual_seed(20 + row - 1)
            images.append(ALONE(make_image(SIZES[row], name=NAMES[row])))
        torch.manual_seed(22)
        check(second.result(), *v2.CutMix(num_classes=10)(torch.stack(images), torch.tensor([1, 2])))


def test_an_image_without_a_label_fails_alone(live: Live) -> None:
    parts = labelled()
    del parts[3]  # the label of image 1
    response = post(live, "MixUp", parts)
    assert response.headers[FAILED_HEADER] == "1"
    check(response, *theirs("MixUp", [0, 2, 3], 7, 4))
    failed = read_multipart(response.content, response.headers["content-type"])[1]
    assert failed.media_type == PROBLEM
    problem = json.loads(bytes(failed.body))
    assert (problem["type"].rpartition(":")[2], problem["field"]) == ("target-invalid", "labels")
    assert "pipeline 'MixUp' mixes labels: send that of each image" in problem["detail"]


def test_a_plain_image_without_a_label_is_told_so(live: Live) -> None:
    response = httpx.post(f"{live.url}/v1/augment/MixUp", content=make_file("PNG", (60, 80)))
    assert (response.status_code, response.json()["field"]) == (422, "labels")


@pytest.mark.parametrize(
    ("name", "parts", "words"),
    [
        ("ragged", labelled(2), "a batch is of one shape"),
        ("MixUp", [*labelled(2)[:3], ("labels", ("x", b"[1, 2]"))], "a batch is of one shape"),
        ("MixUp", [*labelled(2)[:3], ("labels", ("x", b"11"))], "labels are integers from 0 to 9"),
    ],
)
def test_what_makes_no_batch_is_refused_as_one(live: Live, name: str, parts: Parts, words: str) -> None:
    response = post(live, name, parts)
    assert (response.status_code, response.json()["type"].rpartition(":")[2]) == (422, "image-unsuitable")
    assert words in response.json()["detail"]
