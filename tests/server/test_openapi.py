"""The OpenAPI document: valid, and true of what the service does."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from threading import Event
from typing import Any

import httpx
import jsonschema
import pytest
from openapi_spec_validator import validate

from augserve.wire import JPEG, MULTIPART, NPY, PNG, REPLAY_PATH, SAFETENSORS, TIMEOUT_MS_HEADER, WEBP, Problem
from augserve_server import errors
from factories import make_file
from serving import Live, busy_device, run_server, until

AUGMENT = "/v1/augment/{pipeline}"

PARTS = {
    "image": make_file("JPEG", (40, 50)),
    "clip": make_file("GIF", (40, 50)),
    "frame": make_file("JPEG", (40, 50)),
    "boxes": b"[[1, 2, 30, 40]]",
    "masks": make_file("PNG", (40, 50), "L"),
    "keypoints": b"[[1, 2]]",
    "labels": b"[7]",
}


@pytest.fixture(scope="module")
def live() -> Iterator[Live]:
    with run_server(body_idle_timeout_s=0.2, max_images=2) as server:
        yield server


@pytest.fixture(scope="module")
def document(live: Live) -> dict[str, Any]:
    found: dict[str, Any] = httpx.get(f"{live.url}/openapi.json").json()
    return found


def stalling() -> Iterator[bytes]:
    """A body with a silence in it that is longer than is allowed."""
    yield b"x"
    Event().wait(0.5)
    yield b"x"


def ask(live: Live, client: httpx.Client, status: int) -> httpx.Response:
    """A request that is answered with the status."""
    url, image = "/v1/augment/imagenet_train", make_file("JPEG", (50, 60))
    match status:
        case 400:
            return client.post(f"{url}?seed=x", content=image)
        case 404:
            return client.post("/v1/augment/nothing", content=image)
        case 406:
            return client.post(url, content=image, headers={"Accept": PNG})
        case 408:
            return client.post(url, content=stalling())
        case 413:
            return client.post(url, files=[("image", ("a.jpg", image))] * 3)
        case 415:
            return client.post(url, content=image, headers={"Content-Type": "text/plain"})
        case 422:
            return client.post(url, content=image[:300])
        case 504:
            with busy_device(live):
                return client.post(url, content=image, headers={TIMEOUT_MS_HEADER: "20"})
    return client.post(url, content=image)


def test_the_document_is_valid(document: dict[str, Any]) -> None:
    validate(document)
    assert document["openapi"].startswith("3.1")
    assert set(document["paths"]) == {
        AUGMENT,
        REPLAY_PATH,
        "/v1/pipelines",
        "/v1/pipelines/{name}",
        "/healthz",
        "/readyz",
        "/metrics",
    }


def test_parameters_are_documented_with_their_ranges(document: dict[str, Any]) -> None:
    parameters = {p["name"]: p for p in document["paths"][AUGMENT]["post"]["parameters"]}
    assert set(parameters) == {"pipeline", "seed", "views", "quality", "dtype", "params", "wire", TIMEOUT_MS_HEADER}
    seed = parameters["seed"]["schema"]["anyOf"][0]
    assert (seed["minimum"], seed["exclusiveMaximum"]) == (0, 2**63)
    assert (parameters["views"]["schema"]["minimum"], parameters["views"]["schema"]["maximum"]) == (1, 64)
    assert parameters["quality"]["schema"]["default"] == 90
    assert parameters["dtype"]["schema"]["anyOf"][0]["enum"] == ["float16", "bfloat16", "float32"]
    assert all(parameter["description"] for parameter in parameters.values())


def test_the_parameters_of_a_replay_are_documented(document: dict[str, Any]) -> None:
    operation = document["paths"][REPLAY_PATH]["post"]
    parameters = {p["name"]: p["schema"] for p in operation["parameters"]}
    assert set(parameters) == {"quality", "mode", "orientation", "alpha", TIMEOUT_MS_HEADER}
    assert parameters["mode"]["enum"] == ["RGB", "L"]
    assert set(operation["responses"]) == set(document["paths"][AUGMENT]["post"]["responses"]) - {"404"}


def test_every_body_that_is_documented_is_taken(client: httpx.Client, document: dict[str, Any]) -> None:
    content = document["paths"][AUGMENT]["post"]["requestBody"]["content"]
    for media_type in content.keys() - {"multipart/form-data"}:
        headers = {"Content-Type": media_type.replace("*", "jpeg")}
        response = client.post("/v1/augment/thumbnail", content=make_file(), headers=headers)
        assert response.status_code == 200, media_type


def test_every_part_of_a_form_that_is_documented_is_taken(client: httpx.Client, document: dict[str, Any]) -> None:
    content = document["paths"][AUGMENT]["post"]["requestBody"]["content"]["multipart/form-data"]
    replay = document["paths"][REPLAY_PATH]["post"]["requestBody"]["content"]["multipart/form-data"]
    assert set(content["schema"]["properties"]) == set(PARTS)
    assert set(replay["schema"]["properties"]) == {*PARTS, "record"}
    for name, data in PARTS.items():
        image = [] if name in ("image", "clip", "frame") else [("image", ("a.jpg", PARTS["image"]))]
        response = client.post("/v1/augment/thumbnail", files=[*image, (name, ("part", data))])
        assert response.status_code == 200, (name, response.text)


def test_every_media_type_that_is_documented_is_sent(client: httpx.Client, document: dict[str, Any]) -> None:
    documented = set(document["paths"][AUGMENT]["post"]["responses"]["200"]["content"])
    image = make_file("JPEG", (50, 60))
    sent = {
        client.post("/v1/augment/thumbnail", content=image, headers={"Accept": media_type}).headers["content-type"]
        for media_type in (JPEG, PNG, WEBP, NPY, SAFETENSORS)
    }
    several = client.post("/v1/augment/thumbnail?views=2", content=image)
    assert documented == sent | {several.headers["content-type"].partition(";")[0]}
    assert MULTIPART in documented


@pytest.mark.parametrize("status", [400, 404, 406, 408, 413, 415, 422, 504])
def test_every_refusal_that_is_documented_happens_as_documented(
    live: Live, client: httpx.Client, document: dict[str, Any], status: int
) -> None:
    response = ask(live, client, status)
    described = document["paths"][AUGMENT]["post"]["responses"][str(status)]
    assert response.status_code == status
    assert list(described["content"]) == [response.headers["content-type"]]
    assert set(described["headers"]) <= {name.title() for name in response.headers}
    schema = {**document["components"]["schemas"]["Problem"]}
    jsonschema.validate(response.json(), schema)
    assert Problem.model_validate(response.json()).status == status


def test_no_refusal_is_undocumented(document: dict[str, Any]) -> None:
    assert set(document["paths"][AUGMENT]["post"]["responses"]) == {
        *("200", "400", "404", "406", "408", "413", "415", "422", "429", "500", "503", "504"),
    }


def test_a_full_queue_and_a_drain_are_as_documented(document: dict[str, Any]) -> None:
    responses = document["paths"][AUGMENT]["post"]["responses"]
    with run_server(queue_results=1) as server, httpx.Client(base_url=server.url) as client, busy_device(server):
        full = client.post("/v1/augment/thumbnail", content=make_file())
        server.drain()
        until(lambda: server.service.draining)
        draining = client.post("/v1/augment/thumbnail", content=make_file())
    for response, status in ((full, 429), (draining, 503)):
        assert response.status_code == status
        assert set(responses[str(status)]["headers"]) <= {name.title() for name in response.headers}


def test_the_headers_of_an_answer_are_documented(client: httpx.Client, document: dict[str, Any]) -> None:
    described = set(document["paths"][AUGMENT]["post"]["responses"]["200"]["headers"])
    files = [("image", ("a.jpg", make_file())), ("image", ("b.jpg", b"no image"))]
    response = client.post("/v1/augment/imagenet_train?wire=uint8", files=files)
    assert described <= {name.title() for name in response.headers}
    ours = {name.title() for name in response.headers if name.startswith("augserve-")}
    assert ours <= described


@pytest.mark.parametrize("path", ["/v1/pipelines", "/v1/pipelines/thumbnail", "/healthz", "/readyz"])
def test_answers_have_the_schema_that_is_documented(client: httpx.Client, document: dict[str, Any], path: str) -> None:
    operation = document["paths"][path.replace("thumbnail", "{name}")]["get"]
    schema = operation["responses"]["200"]["content"]["application/json"]["schema"]
    response = client.get(path)
    assert response.headers["content-type"] == "application/json"
    jsonschema.validate(response.json(), {**schema, "components": document["components"]})


def test_the_pages_for_people_are_there(client: httpx.Client) -> None:
    assert "swagger" in client.get("/docs").text.lower()


def test_the_page_lists_every_error_with_its_status() -> None:
    page = (Path(__file__).parents[2] / "docs/serving.md").read_text()
    rows = re.findall(r"^\| (\d{3}) \| (.+?) \|", page, re.MULTILINE)
    listed = {slug: int(status) for status, slugs in rows for slug in re.findall(r"`([a-z-]+)`", slugs)}
    kinds = [errors.ServiceError, *vars(errors).values()]
    raised = [k for k in kinds if isinstance(k, type) and issubclass(k, errors.ServiceError) and not k.__subclasses__()]
    assert listed == {kind.slug: kind.status for kind in raised if kind is not errors.ClientGone}
