"""What is refused: each a problem document that names the field and the limit, with nothing decoded in vain."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from augserve.wire import PROBLEM, PROBLEM_TYPE_PREFIX, TARGET_PARTS, TIMEOUT_MS_HEADER
from augserve_server.uploads import PIXEL_PARTS
from factories import make_file, make_files
from serving import Live, run_server


@pytest.fixture(scope="module")
def live() -> Iterator[Live]:
    with run_server(max_body_bytes=400_000, max_image_bytes=200_000, max_images=5, max_views=8) as server:
        yield server


def png_header(width: int, height: int) -> bytes:
    """A PNG that says it is so large, and has a few bytes of pixels."""
    size = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunks = ((b"IHDR", size), (b"IDAT", zlib.compress(b"\0" * 1000)), (b"IEND", b""))
    packed = (
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data)) for name, data in chunks
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(packed)


def refused(live: Live, response: httpx.Response, status: int, slug: str, *, decoded: int = 0) -> dict[str, Any]:
    """The problem, which is what every problem must be; ``decoded`` images were decoded since the server began."""
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == PROBLEM
    assert response.headers["cache-control"] == "no-store"
    assert response.headers["x-content-type-options"] == "nosniff"
    problem: dict[str, Any] = response.json()
    assert problem["type"] == PROBLEM_TYPE_PREFIX + slug
    assert problem["status"] == status
    assert problem["title"]
    assert problem["detail"]
    assert problem["request_id"] == response.headers["augserve-request-id"]
    assert live.metric("decoded_images_total") == decoded
    return problem


def test_a_50000_by_50000_png_is_refused_on_its_header(live: Live, client: httpx.Client) -> None:
    response = client.post("/v1/augment/imagenet_train", content=png_header(50_000, 50_000))
    problem = refused(live, response, 413, "image-too-large")
    assert (problem["measure"], problem["value"], problem["limit"]) == ("side", 50_000, 16_384)


def test_too_many_pixels_are_refused_on_the_header(live: Live, client: httpx.Client) -> None:
    response = client.post("/v1/augment/imagenet_train", content=png_header(16_000, 16_000))
    problem = refused(live, response, 413, "image-too-large")
    assert (problem["measure"], problem["value"], problem["limit"]) == ("pixels", 256_000_000, 50_000_000)


def test_an_empty_body_is_refused(live: Live, client: httpx.Client) -> None:
    refused(live, client.post("/v1/augment/imagenet_train"), 400, "empty-body")
    refused(live, client.post("/v1/augment/imagenet_train", files=[("image", ("a.jpg", b""))]), 400, "empty-body")


def test_bytes_that_are_no_image_are_refused(live: Live, client: httpx.Client) -> None:
    problem = refused(live, client.post("/v1/augment/thumbnail", content=b"<svg/>"), 415, "format-not-allowed")
    assert problem["allowed"] == ["JPEG", "PNG", "WebP", "GIF", "BMP", "TIFF", "AVIF"]


@pytest.mark.parametrize("content_type", ["text/plain", "application/json", "multipart/mixed; boundary=x", "video/mp4"])
def test_a_wrong_content_type_is_refused(live: Live, client: httpx.Client, content_type: str) -> None:
    response = client.post("/v1/augment/thumbnail", content=make_file(), headers={"Content-Type": content_type})
    problem = refused(live, response, 415, "unsupported-media-type")
    assert (problem["field"], problem["value"]) == ("Content-Type", content_type)
    assert "multipart/form-data" in problem["allowed"]


def test_an_encoded_body_is_refused(live: Live, client: httpx.Client) -> None:
    response = client.post("/v1/augment/thumbnail", content=b"x", headers={"Content-Encoding": "gzip"})
    assert refused(live, response, 415, "unsupported-media-type")["field"] == "Content-Encoding"


def test_an_unknown_pipeline_is_named_with_the_nearest(live: Live, client: httpx.Client) -> None:
    problem = refused(live, client.post("/v1/augment/imagnet_train", content=make_file()), 404, "pipeline-not-found")
    assert (problem["field"], problem["value"]) == ("pipeline", "imagnet_train")
    assert "did you mean 'imagenet_train'?" in problem["detail"]
    assert "thumbnail" in problem["allowed"]


@pytest.mark.parametrize(
    ("query", "field", "requirement"),
    [
        ("seed=-1", "seed", "from 0 to 9223372036854775807"),
        ("seed=9223372036854775808", "seed", "from 0 to 9223372036854775807"),
        ("seed=one", "seed", "an integer"),
        ("seed=1.5", "seed", "an integer"),
        ("seed=", "seed", "an integer"),
        ("seed=1&seed=2", "seed", "given once"),
        ("views=0", "views", "from 1 to 64"),
        ("views=65", "views", "from 1 to 64"),
        ("views=9", "views", "from 1 to 8"),
        ("quality=101", "quality", "from 1 to 100"),
        ("dtype=float64", "dtype", "float16, bfloat16 or float32"),
    ],
)
def test_a_bad_parameter_is_named_with_what_is_allowed(
    live: Live, client: httpx.Client, query: str, field: str, requirement: str
) -> None:
    response = client.post(f"/v1/augment/imagenet_train?{query}", content=make_file())
    problem = refused(live, response, 400, "parameter-invalid")
    assert problem["field"] == field
    assert requirement in problem["allowed"]
    assert field in problem["detail"]


def test_an_unknown_parameter_is_named_with_the_nearest(live: Live, client: httpx.Client) -> None:
    response = client.post("/v1/augment/imagenet_train?sed=1", content=make_file())
    problem = refused(live, response, 400, "parameter-invalid")
    assert problem["field"] == "sed"
    assert "did you mean 'seed'?" in problem["detail"]
    assert problem["allowed"] == ["seed", "views", "quality", "dtype", "params", "wire"]


def test_a_cast_of_a_picture_is_refused(live: Live, client: httpx.Client) -> None:
    response = client.post("/v1/augment/thumbnail?dtype=float16", content=make_file())
    assert refused(live, response, 400, "parameter-invalid")["field"] == "dtype"


@pytest.mark.parametrize("timeout", ["0", "600001", "soon"])
def test_a_bad_timeout_is_refused(live: Live, client: httpx.Client, timeout: str) -> None:
    response = client.post("/v1/augment/thumbnail", content=make_file(), headers={TIMEOUT_MS_HEADER: timeout})
    assert refused(live, response, 400, "parameter-invalid")["field"] == TIMEOUT_MS_HEADER


@pytest.mark.parametrize(
    ("query", "accept"), [("", "image/png"), ("", "text/html"), ("?dtype=bfloat16", "application/x-npy")]
)
def test_what_cannot_be_sent_as_accepted_is_refused(live: Live, client: httpx.Client, query: str, accept: str) -> None:
    response = client.post(f"/v1/augment/imagenet_train{query}", content=make_file(), headers={"Accept": accept})
    problem = refused(live, response, 406, "not-acceptable")
    assert problem["field"] == "Accept"
    assert "application/vnd.safetensors" in problem["allowed"]


def test_too_many_images_are_refused(live: Live, client: httpx.Client) -> None:
    files = [("image", ("a.jpg", data)) for data in make_files(6)]
    problem = refused(live, client.post("/v1/augment/thumbnail", files=files), 413, "too-many-images")
    assert problem["limit"] == 5


def test_another_field_of_the_form_is_named(live: Live, client: httpx.Client) -> None:
    response = client.post("/v1/augment/thumbnail", files={"file": ("a.jpg", make_file())})
    problem = refused(live, response, 400, "body-malformed")
    assert (problem["field"], problem["allowed"]) == ("file", [*PIXEL_PARTS, *TARGET_PARTS])


def test_a_broken_form_is_refused(live: Live, client: httpx.Client) -> None:
    headers = {"Content-Type": "multipart/form-data; boundary=x"}
    refused(live, client.post("/v1/augment/thumbnail", content=b"--y", headers=headers), 400, "body-malformed")


def test_an_image_of_too_many_bytes_is_refused(live: Live, client: httpx.Client) -> None:
    response = client.post("/v1/augment/thumbnail", content=b"\xff\xd8" + b"x" * 200_000)
    problem = refused(live, response, 413, "image-too-large")
    assert (problem["measure"], problem["limit"]) == ("bytes", 200_000)


def test_more_work_than_the_server_ever_holds_is_refused() -> None:
    with run_server(queue_megapixels=0.1) as server:
        response = httpx.post(f"{server.url}/v1/augment/thumbnail", content=make_file("PNG", (400, 400)))
        problem = refused(server, response, 413, "too-much-work")
    assert (problem["value"]["pixels"], problem["limit"]["pixels"]) == (160_000, 100_000)


def test_results_of_too_many_bytes_are_refused_before_they_are_computed() -> None:
    with run_server(max_output_bytes=1_000_000) as server:
        response = httpx.post(f"{server.url}/v1/augment/imagenet_train?views=2", content=make_file())
        problem = refused(server, response, 413, "output-too-large")
    assert (problem["value"], problem["limit"]) == (2 * 3 * 224 * 224 * 4, 1_000_000)


def test_paths_and_methods_that_are_not_there_are_problems_too(live: Live, client: httpx.Client) -> None:
    refused(live, client.get("/v1/augmentation"), 404, "not-found")
    response = client.get("/v1/augment/thumbnail")
    refused(live, response, 405, "method-not-allowed")
    assert response.headers["allow"] == "POST"


def test_a_mistake_of_ours_tells_nothing_but_where_to_look(monkeypatch: pytest.MonkeyPatch) -> None:
    with run_server() as server:

        async def fail(*_: object) -> None:
            raise RuntimeError("a secret path")

        monkeypatch.setattr(server.service.engine, "augment", fail)
        response = httpx.post(f"{server.url}/v1/augment/thumbnail", content=make_file())
        problem = refused(server, response, 500, "internal")
    assert "secret" not in response.text
    assert problem["request_id"]


def test_no_origin_is_given_leave_to_read(client: httpx.Client) -> None:
    response = client.get("/v1/pipelines", headers={"Origin": "http://example.com"})
    assert not [name for name in response.headers if name.startswith("access-control")]


def test_a_truncated_image_is_refused(client: httpx.Client, live: Live) -> None:
    for count, (format, end) in enumerate((("JPEG", 2000), ("PNG", 4000)), start=1):
        response = client.post("/v1/augment/imagenet_train", content=make_file(format)[:end])
        problem = refused(live, response, 422, "image-truncated", decoded=count)
        assert problem["format"] == format


def test_an_image_that_would_grow_too_large_is_refused_before_it_grows() -> None:
    with run_server(max_stage_pixels=50_000) as server, httpx.Client(base_url=server.url, timeout=60) as client:
        response = client.post("/v1/augment/imagenet_train", content=make_file("JPEG", (100, 100)))
    assert response.status_code == 422
    assert "would grow to 224 x 224 pixels; at most 50000" in response.json()["detail"]
