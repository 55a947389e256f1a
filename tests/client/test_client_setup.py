"""How both clients are set up, and what they ask besides images."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest
from asking import ask, augment, both, images_of
from fake_clock import FakeClock
from small_service import Service, problem

import augserve


@both
def test_headers_are_sent_with_every_request(kind: type) -> None:
    service = Service()
    augment(kind, service, images_of(2), client_headers={"X-Team": "vision"}, client_images_per_request=1)
    assert [request.headers["X-Team"] for request in service.requests] == ["vision"] * 2
    assert all(request.headers["User-Agent"].startswith("augserve/") for request in service.requests)


@both
@pytest.mark.parametrize(
    ("base_url", "address"),
    [
        ("http://host:8000", "http://host:8000"),
        ("https://host/augment/", "https://host/augment"),
    ],
)
def test_the_address_may_have_a_path(kind: type, base_url: str, address: str) -> None:
    service = Service()
    augment(kind, service, images_of(1)[0], client_base_url=base_url)
    augment(kind, service, images_of(1), client_base_url=base_url)
    urls = [str(request.url.copy_with(query=None)) for request in service.requests]
    assert urls == [f"{address}/v1/augment/brighten", f"{address}/v2/models/brighten/infer"]


@both
@pytest.mark.parametrize("base_url", ["localhost:8000", "ftp://host", "/v1", ""])
def test_an_address_without_http_is_refused(kind: type, base_url: str) -> None:
    with pytest.raises(augserve.InvalidInput, match="begins with http"):
        kind(base_url)


@both
@pytest.mark.parametrize("name", ["images_per_request", "bytes_per_request"])
def test_a_limit_below_one_is_refused(kind: type, name: str) -> None:
    with pytest.raises(augserve.InvalidInput, match=f"{name} is 0"):
        kind(**{name: 0})


@both
def test_an_unknown_argument_is_a_type_error(kind: type) -> None:
    with pytest.raises(TypeError, match="unexpected keyword argument 'sed'"):
        augment(kind, Service(), images_of(1), sed=1)


@both
def test_nothing_is_sent_where_an_image_is_none(kind: type, tmp_path: Path) -> None:
    service = Service()
    with pytest.raises(augserve.InvalidInput):
        augment(kind, service, [*images_of(3), None], client_images_per_request=1)
    with pytest.raises(FileNotFoundError):
        augment(kind, service, [*images_of(3), tmp_path / "gone.jpg"], client_images_per_request=1)
    assert not service.requests


PIPELINE = {
    "name": "brighten",
    "description": "Add the seed",
    "fingerprint": "f" * 64,
    "output": {"dtype": "uint8", "channels": 3, "height": None, "width": None},
    "media_types": ["image/png", "application/x-npy"],
}
DETAILS = {
    **PIPELINE,
    "parity": "torchvision",
    "input": {"mode": "RGB", "orientation": "apply", "alpha": "drop"},
    "decode": {"jpeg": "exact", "scale": "full"},
    "yaml": "transforms: []\n",
    "revision": 2,
    "loaded_at": "2025-01-01T12:00:00+00:00",
    "something_new": 1,
}


@both
def test_pipelines_are_listed(kind: type) -> None:
    def catalog(request: httpx.Request) -> httpx.Response:
        assert (request.method, request.url.path) == ("GET", "/v1/pipelines")
        return httpx.Response(200, json={"pipelines": [PIPELINE], "problems": []})

    (found,) = ask(kind, catalog, "pipelines")
    assert (found.name, found.output.dtype, found.output.height) == ("brighten", "uint8", None)


@both
def test_a_pipeline_is_described(kind: type) -> None:
    def details(request: httpx.Request) -> httpx.Response:
        assert (request.method, request.url.path) == ("GET", "/v1/pipelines/brighten")
        return httpx.Response(200, json=DETAILS)

    found = ask(kind, details, "describe", "brighten")
    assert (found.revision, found.loaded_at.year, found.input["mode"]) == (2, 2025, "RGB")


@both
def test_a_description_of_nothing_raises(kind: type) -> None:
    with pytest.raises(augserve.PipelineNotFound):
        ask(kind, lambda request: problem(404, "pipeline-not-found"), "describe", "brigthen")


@both
@pytest.mark.parametrize("method", ["pipelines", "describe"])
def test_a_document_of_another_kind_is_an_error(kind: type, method: str) -> None:
    with pytest.raises(augserve.ResponseInvalid, match="the answer is no"):
        ask(kind, lambda request: httpx.Response(200, json={"a": 1}), method, *["p"] * (method == "describe"))


@both
@pytest.mark.parametrize(("status", "ready"), [(200, True), (503, False)])
def test_readiness_is_asked_once(kind: type, status: int, ready: bool) -> None:
    service, clock = Service(before=lambda request, number: problem(status, "draining")), FakeClock()
    assert ask(kind, service, "ready", client_clock=clock) is ready
    assert [request.url.path for request in service.requests] == ["/readyz"]
    assert not clock.slept_s


@both
def test_a_service_that_cannot_be_reached_is_not_ready(kind: type) -> None:
    def refuse(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("refused")

    assert ask(kind, refuse, "ready") is False
