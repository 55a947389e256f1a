"""POST /v1/augment over a socket: torchvision's pixels, in every form they are sent in."""

from __future__ import annotations

import json
from io import BytesIO
from pathlib import Path

import httpx
import numpy as np
import pytest
import torch
from PIL import Image, ImageOps

from augserve.wire import (
    COUNT_HEADER,
    FAILED_HEADER,
    FINGERPRINT_HEADER,
    INDEX_HEADER,
    JPEG,
    MULTIPART,
    NPY,
    PIPELINE_HEADER,
    PNG,
    PROBLEM,
    SAFETENSORS,
    SEED_HEADER,
    TENSOR_NAME,
    WEBP,
    read_multipart,
    read_npy,
    read_safetensors,
)
from augserve_pipelines import Pipeline
from augserve_server.settings import shipped_configs
from factories import make_file, make_files
from oracle import v2
from serving import Live, run_server

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)

IMAGENET_TRAIN = v2.Compose(
    [
        v2.ToImage(),
        v2.RandomResizedCrop(224, antialias=True),
        v2.RandomHorizontalFlip(),
        v2.ToDtype(torch.float32, scale=True),
        v2.Normalize(MEAN, STD),
    ]
)


def form(files: list[bytes]) -> list[tuple[str, tuple[str, bytes, str]]]:
    return [("image", (f"{i}.jpg", data, "image/jpeg")) for i, data in enumerate(files)]


def expected_pixels(data: bytes, seed: int) -> torch.Tensor:
    """Pillow's decoding and torchvision's transforms under the seed."""
    torch.manual_seed(seed)
    result: torch.Tensor = IMAGENET_TRAIN(Image.open(BytesIO(data)).convert("RGB"))
    return result


def result_of(name: str, data: bytes, seed: int) -> torch.Tensor:
    """The engine's own result, without a server."""
    pipeline = Pipeline.load(shipped_configs() / f"pipelines/{name}.yaml")
    pixels = torch.from_numpy(np.array(Image.open(BytesIO(data)).convert("RGB"))).permute(2, 0, 1)
    return pipeline([pixels], [seed])[0]


def test_the_npy_answer_is_pillow_and_torchvision_bit_for_bit(client: httpx.Client) -> None:
    for seed, data in enumerate(make_files(8)):
        response = client.post("/v1/augment/imagenet_train", params={"seed": seed}, content=data)
        assert response.status_code == 200
        assert response.headers["content-type"] == NPY
        np.testing.assert_array_equal(read_npy(response.content), expected_pixels(data, seed).numpy())


def test_the_headers_say_how_it_was_made(client: httpx.Client) -> None:
    response = client.post("/v1/augment/imagenet_train?seed=7", content=make_file())
    described = client.get("/v1/pipelines/imagenet_train").json()
    assert response.headers[SEED_HEADER] == "7"
    assert response.headers[PIPELINE_HEADER] == "imagenet_train"
    assert response.headers[FINGERPRINT_HEADER] == described["fingerprint"]
    assert response.headers[COUNT_HEADER] == "1"
    assert FAILED_HEADER not in response.headers
    assert response.headers["vary"] == "Accept"
    assert response.headers["x-content-type-options"] == "nosniff"
    timing = response.headers["server-timing"]
    assert all(f"{stage};dur=" in timing for stage in ("read", "decode", "queue", "run", "encode"))
    assert 'batch;desc="1 idle"' in timing


def test_a_seed_that_was_drawn_is_told_and_gives_the_same_again(client: httpx.Client) -> None:
    data = make_file()
    first = client.post("/v1/augment/imagenet_train", content=data)
    other = client.post("/v1/augment/imagenet_train", content=data)
    assert first.headers[SEED_HEADER] != other.headers[SEED_HEADER]
    again = client.post("/v1/augment/imagenet_train", params={"seed": first.headers[SEED_HEADER]}, content=data)
    assert again.content == first.content != other.content


def test_the_largest_seed_is_taken(client: httpx.Client) -> None:
    data, seed = make_file(), 2**63 - 1
    response = client.post("/v1/augment/imagenet_train", params={"seed": seed, "views": 2}, content=data)
    assert response.status_code == 200
    np.testing.assert_array_equal(read_npy(response.content)[0], expected_pixels(data, seed).numpy())


def test_several_images_are_stacked_each_under_its_own_seed(client: httpx.Client) -> None:
    files = make_files(9)
    response = client.post("/v1/augment/imagenet_train?seed=100", files=form(files))
    assert response.headers[COUNT_HEADER] == "9"
    stacked = read_npy(response.content)
    assert stacked.shape == (9, 3, 224, 224)
    for i, data in enumerate(files):
        np.testing.assert_array_equal(stacked[i], expected_pixels(data, 100 + i).numpy())


def test_views_share_a_decoding_and_have_seeds_of_their_own(live: Live, client: httpx.Client) -> None:
    files = make_files(2)
    before = live.metric("decoded_images_total")
    response = client.post("/v1/augment/imagenet_train?seed=5&views=3", files=form(files))
    assert live.metric("decoded_images_total") - before == 2
    stacked = read_npy(response.content)
    assert stacked.shape == (6, 3, 224, 224)
    for r in range(6):
        np.testing.assert_array_equal(stacked[r], expected_pixels(files[r // 3], 5 + r).numpy())


def test_safetensors_carry_the_same(client: httpx.Client) -> None:
    data = make_file()
    one = client.post("/v1/augment/imagenet_train?seed=3", content=data, headers={"Accept": SAFETENSORS})
    assert one.headers["content-type"] == SAFETENSORS
    np.testing.assert_array_equal(read_safetensors(one.content)[TENSOR_NAME], expected_pixels(data, 3).numpy())
    two = client.post("/v1/augment/imagenet_train?seed=3&views=2", content=data, headers={"Accept": SAFETENSORS})
    assert read_safetensors(two.content)[TENSOR_NAME].shape == (2, 3, 224, 224)


@pytest.mark.parametrize("views", [1, 3])
@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32"])
def test_floats_are_cast_on_the_way_out(client: httpx.Client, dtype: str, views: int) -> None:
    data = make_file()
    response = client.post(
        "/v1/augment/imagenet_train", params={"seed": 1, "views": views, "dtype": dtype}, content=data
    )
    if dtype == "bfloat16":
        assert response.headers["content-type"] == SAFETENSORS
        assert b'"BF16"' in response.content[:200]
        found = torch.from_numpy(np.array(read_safetensors(response.content)[TENSOR_NAME]))
    else:
        assert response.headers["content-type"] == NPY
        found = torch.from_numpy(np.array(read_npy(response.content)))
    cast = torch.stack([expected_pixels(data, 1 + v) for v in range(views)]).to(getattr(torch, dtype))
    assert torch.equal(found.to(cast.dtype), cast if views > 1 else cast[0])


@pytest.mark.parametrize("media_type", [PNG, WEBP, JPEG])
def test_pictures_come_back_as_pictures(client: httpx.Client, media_type: str) -> None:
    data = make_file("JPEG", (300, 400))
    response = client.post("/v1/augment/thumbnail?seed=0&quality=95", content=data, headers={"Accept": media_type})
    assert response.headers["content-type"] == media_type
    picture = Image.open(BytesIO(response.content))
    pixels = torch.from_numpy(np.array(picture.convert("RGB"))).permute(2, 0, 1)
    expected = result_of("thumbnail", data, 0)
    assert Image.MIME[picture.format or ""] == media_type
    difference = (pixels.int() - expected.int()).abs().float()
    assert difference.max() == 0 if media_type == PNG else difference.mean() < 4


def test_quality_is_what_the_answer_is_written_with(client: httpx.Client) -> None:
    sizes = [
        len(client.post("/v1/augment/thumbnail", params={"seed": 0, "quality": q}, content=make_file()).content)
        for q in (10, 50, 90)
    ]
    assert sizes == sorted(sizes)
    assert sizes[0] < sizes[2] / 2


def test_several_pictures_are_parts_in_order(client: httpx.Client) -> None:
    files = make_files(3)
    response = client.post(
        "/v1/augment/thumbnail?seed=10", files=form(files), headers={"Accept": f"{MULTIPART}, {PNG}"}
    )
    assert response.headers["content-type"].startswith(f"{MULTIPART}; boundary=")
    parts = read_multipart(response.content, response.headers["content-type"])
    assert len(parts) == 3
    for i, part in enumerate(parts):
        assert part.headers["content-type"] == PNG
        assert part.headers[INDEX_HEADER.lower()] == str(i)
        assert part.headers[SEED_HEADER.lower()] == str(10 + i)
        pixels = np.array(Image.open(BytesIO(bytes(part.body))))
        np.testing.assert_array_equal(pixels, result_of("thumbnail", files[i], 10 + i).permute(1, 2, 0).numpy())


def test_a_bad_image_fails_alone(live: Live, client: httpx.Client) -> None:
    good = make_files(2)
    files = [good[0], good[0][:500], good[1], b"no image"]
    response = client.post("/v1/augment/imagenet_train?seed=0&views=2", files=form(files))
    assert response.status_code == 200
    assert response.headers[COUNT_HEADER] == "8"
    assert response.headers[FAILED_HEADER] == "4"
    parts = read_multipart(response.content, response.headers["content-type"])
    kinds = [part.headers["content-type"] for part in parts]
    assert kinds == [NPY, NPY, PROBLEM, PROBLEM, NPY, NPY, PROBLEM, PROBLEM]
    for r in (0, 1, 4, 5):
        np.testing.assert_array_equal(read_npy(parts[r].body), expected_pixels(files[r // 2], r).numpy())
    problems = [json.loads(bytes(parts[r].body)) for r in (2, 3, 6, 7)]
    slugs = [problem["type"].rpartition(":")[2] for problem in problems]
    assert slugs == ["image-truncated", "image-truncated", "format-not-allowed", "format-not-allowed"]
    assert [problem["index"] for problem in problems] == [2, 3, 6, 7]
    assert {problem["request_id"] for problem in problems} == {response.headers["augserve-request-id"]}


def test_images_that_all_fail_are_one_problem_with_each(client: httpx.Client) -> None:
    files = [make_file()[:500], make_file("PNG")[:500]]
    response = client.post("/v1/augment/imagenet_train?seed=0", files=form(files))
    assert (response.status_code, response.headers["content-type"]) == (422, PROBLEM)
    problem = response.json()
    assert problem["status"] == 422
    assert problem["type"].endswith("image-truncated")
    assert [error["index"] for error in problem["errors"]] == [0, 1]


def test_failures_of_different_kinds_share_422(client: httpx.Client) -> None:
    response = client.post("/v1/augment/imagenet_train?seed=0", files=form([make_file()[:500], b"no image"]))
    assert response.status_code == 422
    problem = response.json()
    assert problem["type"].endswith("images-failed")
    assert [error["status"] for error in problem["errors"]] == [422, 415]


def test_an_image_that_the_pipeline_cannot_take_is_unsuitable_and_fails_alone(tmp_path: Path) -> None:
    (tmp_path / "crop.yaml").write_text("transforms: [RandomCrop: {size: 100}]")
    small, large = make_file("PNG", (60, 60)), make_file("PNG", (120, 130))
    with run_server(pipelines=tmp_path) as server:
        one = httpx.post(f"{server.url}/v1/augment/crop", content=small)
        several = httpx.post(f"{server.url}/v1/augment/crop?seed=0", files=form([large, small, large]))
    assert (one.status_code, one.json()["type"].rpartition(":")[2]) == (422, "image-unsuitable")
    assert "100" in one.json()["detail"]
    kinds = [part.headers["content-type"] for part in read_multipart(several.content, several.headers["content-type"])]
    assert kinds == [JPEG, PROBLEM, JPEG]


def test_orientation_is_applied(client: httpx.Client) -> None:
    data = make_file("JPEG", (60, 100), orientation=6)
    response = client.post("/v1/augment/thumbnail?seed=0", content=data, headers={"Accept": PNG})
    upright = ImageOps.exif_transpose(Image.open(BytesIO(data)))
    plain = BytesIO()
    upright.save(plain, "PNG")
    pixels = np.array(Image.open(BytesIO(response.content)))
    np.testing.assert_array_equal(pixels, result_of("thumbnail", plain.getvalue(), 0).permute(1, 2, 0).numpy())


def test_other_formats_are_known_by_their_bytes_not_by_their_content_type(client: httpx.Client) -> None:
    for format in ("PNG", "WEBP", "BMP", "TIFF", "GIF", "AVIF"):
        response = client.post(
            "/v1/augment/thumbnail?seed=0", content=make_file(format), headers={"Content-Type": "image/jpeg"}
        )
        assert response.status_code == 200, (format, response.text)


def test_a_large_request_is_answered_in_order_across_batches(client: httpx.Client) -> None:
    files = make_files(100)
    response = client.post("/v1/augment/imagenet_train?seed=0&dtype=float16", files=form(files))
    stacked = read_npy(response.content)
    assert stacked.shape == (100, 3, 224, 224)
    for i in range(0, 100, 9):
        np.testing.assert_array_equal(stacked[i], expected_pixels(files[i], i).to(torch.float16).numpy())


def test_a_result_that_a_format_is_too_small_for_fails_alone(tmp_path: Path) -> None:
    (tmp_path / "flip.yaml").write_text("transforms: [RandomHorizontalFlip]")
    files = form([make_file("PNG", (1, 16_384)), make_file("PNG", (9, 9))])
    with run_server(pipelines=tmp_path) as server:
        response = httpx.post(f"{server.url}/v1/augment/flip", files=files, headers={"Accept": WEBP})
    parts = read_multipart(response.content, response.headers["content-type"])
    assert [part.headers["content-type"] for part in parts] == [PROBLEM, WEBP]
    assert json.loads(bytes(parts[0].body))["allowed"] == [JPEG, PNG, NPY, SAFETENSORS]
