"""Both clients against a small service in this process."""

from __future__ import annotations

import asyncio
import io
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import torch
from factories import make_file, make_image, make_picture, make_pixels
from fake_clock import FakeClock
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from small_service import Service, augmented, problem

import augserve
from augserve import AsyncClient, Client, Retries, wire

CORRUPT = b"this is no image"
KINDS = (Client, AsyncClient)
both = pytest.mark.parametrize("kind", KINDS)


def ask(kind: type, handler: Callable[[httpx.Request], httpx.Response], method: str, *args: Any, **options: Any) -> Any:
    """Make a client of ``kind`` and call a method of it; options of the client begin with ``client_``."""
    of_client = {name.removeprefix("client_"): options.pop(name) for name in list(options) if name[:7] == "client_"}
    transport = httpx.MockTransport(handler)
    if kind is Client:
        with Client(transport=transport, **of_client) as client:
            return getattr(client, method)(*args, **options)

    async def call() -> Any:
        async with AsyncClient(transport=transport, **of_client) as client:
            return await getattr(client, method)(*args, **options)

    return asyncio.run(call())


def augment(kind: type, handler: Callable[[httpx.Request], httpx.Response], images: Any, **options: Any) -> Any:
    return ask(kind, handler, "augment", "brighten", images, **options)


def images_of(count: int) -> list[np.ndarray]:
    return [make_pixels(size=(4 + i % 3, 5)) for i in range(count)]


@both
def test_one_image_gives_its_result(kind: type) -> None:
    pixels = make_pixels(size=(7, 13))
    result = augment(kind, Service(), pixels, seed=3)
    assert isinstance(result, np.ndarray)
    assert np.array_equal(result, augmented(pixels, 3))


@both
def test_one_image_in_a_sequence_gives_a_sequence(kind: type) -> None:
    pixels = make_pixels(size=(7, 13))
    for images, views in (([pixels], None), (pixels, 1)):
        results = augment(kind, Service(), images, seed=3, views=views)
        assert len(results) == 1
        assert np.array_equal(results[0], augmented(pixels, 3))
        assert results.stack().shape == (1, 3, 7, 13)


@both
def test_every_kind_of_image_gives_the_same_result(kind: type, tmp_path: Path) -> None:
    picture, pixels, tensor = make_picture(size=(7, 13)), make_pixels(size=(7, 13)), make_image((7, 13))
    file = make_file("PNG", (7, 13))
    (tmp_path / "a.png").write_bytes(file)
    images = [picture, pixels, tensor, file, bytearray(file), memoryview(file), tmp_path / "a.png", f"{tmp_path}/a.png"]
    results = augment(kind, Service(), images, seed=0).raise_for_errors()
    assert all(np.array_equal(result, augmented(pixels, r)) for r, result in enumerate(results))


@both
def test_results_are_tensors_where_asked(kind: type) -> None:
    pixels = make_pixels(size=(7, 13))
    results = augment(kind, Service(), [pixels, pixels], seed=3, as_="torch")
    assert isinstance(results[1], torch.Tensor)
    assert torch.equal(results[1], torch.from_numpy(augmented(pixels, 4)))
    assert torch.equal(results.stack()[1], results[1])


@both
@pytest.mark.parametrize("count", [1, 3])
def test_results_are_files_where_asked(kind: type, count: int) -> None:
    images = images_of(count)
    results = augment(kind, Service(), images, seed=3, as_="bytes", media_type="image/png")
    assert results.media_type == "image/png"
    for r, file in enumerate(results):
        decoded = np.asarray(Image.open(io.BytesIO(file))).transpose(2, 0, 1)
        assert np.array_equal(decoded, augmented(images[r], 3 + r))


@both
@pytest.mark.parametrize("media_type", [None, wire.NPY, wire.SAFETENSORS])
def test_stacked_answers_come_apart_into_a_file_each(kind: type, media_type: str | None) -> None:
    pixels = make_pixels(size=(7, 13))
    results = augment(kind, Service(), [pixels] * 3, seed=3, as_="bytes", media_type=media_type)
    read = wire.read_npy if media_type != wire.SAFETENSORS else lambda file: wire.read_safetensors(file)["images"]
    assert results.media_type == (media_type or wire.NPY)
    for r, file in enumerate(results):
        assert isinstance(file, bytes)
        assert np.array_equal(read(file), augmented(pixels, 3 + r))


@both
def test_results_stand_at_the_index_of_their_image_and_view(kind: type) -> None:
    images = images_of(5)
    results = augment(kind, Service(), images, seed=10, views=4)
    assert len(results) == 20
    assert list(results.seeds) == list(range(10, 30))
    for i, views in enumerate(results.by_image()):
        for v, view in enumerate(views):
            assert np.array_equal(view, augmented(images[i], 10 + i * 4 + v))


@both
@pytest.mark.parametrize("images_per_request", [1, 2, 3, 5, 64])
def test_a_failed_image_is_an_error_at_its_index(kind: type, images_per_request: int) -> None:
    images = images_of(5)
    sent = [*images[:2], CORRUPT, CORRUPT, *images[4:]]
    results = augment(kind, Service(), sent, seed=0, views=2, client_images_per_request=images_per_request)
    assert sorted(results.errors) == [4, 5, 6, 7]
    for r, result in enumerate(results):
        if r in results.errors:
            assert isinstance(result, augserve.ImageRejected)
        else:
            assert np.array_equal(result, augmented(images[r // 2], r))
    with pytest.raises(augserve.ImageRejected):
        results.raise_for_errors()
    with pytest.raises(augserve.ImageRejected):
        results.stack()


@both
@pytest.mark.parametrize(("sent", "views"), [([CORRUPT] * 3, None), ([CORRUPT], None), (CORRUPT, 2)])
def test_results_are_errors_where_every_image_fails(kind: type, sent: Any, views: int | None) -> None:
    results = augment(kind, Service(), sent, views=views)
    assert len(results) == len(results.errors) == (3 if len(sent) == 3 else views or 1)
    assert results.fingerprint is None


@both
def test_one_image_that_fails_raises(kind: type) -> None:
    with pytest.raises(augserve.ImageRejected, match="image-corrupt"):
        augment(kind, Service(), CORRUPT)


@both
@given(
    count=st.integers(1, 12),
    views=st.integers(1, 3),
    images_per_request=st.integers(1, 13),
    seed=st.integers(0, 2**63 - 100),
    bad=st.sets(st.integers(0, 11)),
)
def test_a_call_gives_the_same_however_it_is_split(
    kind: type, count: int, views: int, images_per_request: int, seed: int, bad: set[int]
) -> None:
    images = [CORRUPT if i in bad else image for i, image in enumerate(images_of(count))]
    whole = augment(kind, Service(), images, seed=seed, views=views)
    split = augment(kind, Service(), images, seed=seed, views=views, client_images_per_request=images_per_request)
    assert whole.seeds == split.seeds
    assert whole.errors.keys() == split.errors.keys()
    for one, other in zip(whole, split, strict=True):
        assert type(one) is type(other)
        assert isinstance(one, augserve.ServiceError) or np.array_equal(one, other)


@both
def test_a_call_is_split_within_its_limits(kind: type) -> None:
    service = Service(max_images=3)
    results = augment(kind, service, images_of(10), client_images_per_request=3)
    assert not results.errors
    assert len(service.requests) == 4
    assert len(results.request_ids) == 4
    by_size = Service()
    augment(kind, by_size, [make_pixels(size=(100, 100))] * 10, client_bytes_per_request=100_000)
    assert len(by_size.requests) == 4
    assert all(len(request.content) <= 100_000 for request in by_size.requests)


@both
def test_a_stack_is_the_memory_that_arrived_and_where_it_was_split_a_copy(kind: type) -> None:
    pixels = make_pixels(size=(7, 13))
    expected = np.stack([augmented(pixels, r) for r in range(5)])
    whole = augment(kind, Service(), [pixels] * 5, seed=0)
    assert np.shares_memory(whole.stack(), whole[3])
    assert np.array_equal(whole.stack(), expected)
    for form in ("numpy", "torch"):
        split = augment(kind, Service(), [pixels] * 5, seed=0, as_=form, client_images_per_request=2)
        assert np.array_equal(np.asarray(split.stack()), expected)


@both
def test_results_of_different_shapes_do_not_stack(kind: type) -> None:
    with pytest.raises(augserve.ShapesDiffer, match=r"\(3, 4, 5\), \(3, 5, 5\)"):
        augment(kind, Service(), images_of(2)).stack()


@both
def test_files_do_not_stack(kind: type) -> None:
    with pytest.raises(TypeError, match="ask for as_='numpy' or as_='torch'"):
        augment(kind, Service(), images_of(2), as_="bytes").stack()


@both
def test_results_say_where_they_come_from(kind: type) -> None:
    results = augment(kind, Service(), images_of(6), seed=5, client_images_per_request=3)
    assert (results.pipeline, results.seed, results.views, results.fingerprint) == ("brighten", 5, 1, "f" * 64)
    assert results.timing_ms == {"decode": 3.0, "run": 4.0}
    assert repr(results) == "<Results of 'brighten': 6, seed=5, views=1>"
    assert isinstance(results[1:3], list)


@both
def test_results_travel_between_processes(kind: type) -> None:
    results = augment(kind, Service(), [*images_of(2), CORRUPT], seed=5)
    copy = pickle.loads(pickle.dumps(results))
    assert np.array_equal(copy[1], results[1])
    assert str(copy.errors[2]) == str(results.errors[2])


@both
def test_a_seed_that_is_not_given_is_drawn_and_told(kind: type) -> None:
    images = images_of(4)
    results = augment(kind, Service(), images, client_images_per_request=2)
    again = augment(kind, Service(), images, seed=results.seed)
    assert all(np.array_equal(one, other) for one, other in zip(results, again, strict=True))


@both
def test_a_pipeline_that_changes_during_a_call_is_an_error(kind: type) -> None:
    service = Service()

    def change(request: httpx.Request, number: int) -> None:
        service.fingerprint = f"{number}" * 64

    service.before = change
    with pytest.raises(augserve.PipelineChanged, match="'brighten' was reloaded"):
        augment(kind, service, images_of(4), client_images_per_request=2)


@both
@pytest.mark.parametrize(
    ("status", "slug", "error"),
    [
        (404, "pipeline-not-found", augserve.PipelineNotFound),
        (400, "parameter-invalid", augserve.RequestRejected),
        (413, "body-too-large", augserve.LimitExceeded),
        (500, "internal", augserve.InternalError),
        (504, "deadline-exceeded", augserve.DeadlineExceeded),
    ],
)
@pytest.mark.parametrize("count", [1, 5])
def test_a_refused_request_raises(kind: type, status: int, slug: str, error: type, count: int) -> None:
    service = Service(before=lambda request, number: problem(status, slug))
    with pytest.raises(error, match=f"it is {slug}") as raised:
        augment(kind, service, images_of(count), client_images_per_request=count)
    assert len(service.requests) == 1
    assert raised.value.request_id == "request-0"


@both
def test_a_refusal_under_load_is_tried_again_when_the_server_says(kind: type) -> None:
    clock = FakeClock()
    refusals = [
        problem(429, "queue-full", {"Retry-After": "3"}),
        problem(503, "draining", {"Retry-After": "Wed, 01 Jan 2025 12:00:10 GMT"}),
        httpx.Response(502, html="<h1>Bad gateway</h1>"),
    ]
    service = Service(before=lambda request, number: refusals.pop(0) if refusals else None)
    pixels = make_pixels(size=(7, 13))
    result = augment(kind, service, pixels, seed=3, client_clock=clock, client_retries=Retries(draw=lambda: 0.5))
    assert np.array_equal(result, augmented(pixels, 3))
    assert clock.slept_s == pytest.approx([3.1, 10 - 3.1 + 0.2, 0.4])
    assert len({request.content for request in service.requests}) == 1
    assert len({str(request.url) for request in service.requests}) == 1


@both
def test_the_server_is_told_how_much_time_is_left(kind: type) -> None:
    refusals = [problem(429, "queue-full", {"Retry-After": "3"})]
    service = Service(before=lambda request, number: refusals.pop() if refusals else None)
    options = {"client_clock": FakeClock(), "client_retries": Retries(draw=lambda: 0.0)}
    augment(kind, service, images_of(1), timeout=10, **options)
    assert [request.headers["Augserve-Timeout-Ms"] for request in service.requests] == ["10000", "7000"]


@both
def test_tries_end_and_the_last_refusal_is_raised(kind: type) -> None:
    service = Service(before=lambda request, number: problem(429, "queue-full", {"Retry-After": "1"}))
    with pytest.raises(augserve.Overloaded) as raised:
        augment(kind, service, images_of(1), client_clock=FakeClock(), client_retries=Retries(attempts=3))
    assert len(service.requests) == 3
    assert raised.value.retry_after_s == 1
    assert raised.value.__notes__ == ["given up after 3 of at most 3 tries"]


@both
@pytest.mark.parametrize(
    "lost", [httpx.ConnectError("refused"), httpx.ReadError(""), httpx.RemoteProtocolError("gone"), httpx.WriteError("")]
)
def test_a_lost_connection_is_tried_again(kind: type, lost: httpx.TransportError) -> None:
    def lose(request: httpx.Request, number: int) -> None:
        if number < 3:
            raise lost

    service, clock = Service(before=lose), FakeClock()
    pixels = make_pixels(size=(7, 13))
    assert np.array_equal(augment(kind, service, pixels, seed=3, client_clock=clock), augmented(pixels, 3))
    assert len(clock.slept_s) == 2


@both
@pytest.mark.parametrize(
    ("raised", "error"),
    [
        (httpx.ConnectError("refused"), augserve.ConnectionFailed),
        (httpx.ConnectTimeout("slow"), augserve.ConnectionFailed),
        (httpx.ReadTimeout("slow"), augserve.Timeout),
        (httpx.PoolTimeout("full"), augserve.Timeout),
        (httpx.DecodingError("not gzip"), augserve.ResponseInvalid),
        (httpx.UnsupportedProtocol("ftp"), augserve.InvalidInput),
    ],
    ids=repr,
)
def test_errors_of_httpx_become_ours(kind: type, raised: Exception, error: type) -> None:
    def fail(request: httpx.Request) -> httpx.Response:
        raise raised

    with pytest.raises(error) as caught:
        augment(kind, fail, images_of(1), client_clock=FakeClock())
    assert caught.value.__cause__ is raised


@both
@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"headers": {wire.COUNT_HEADER: "3"}}, "Augserve-Count: 3, not 2"),
        ({"headers": {wire.SEED_HEADER: "8"}}, "Augserve-Seed: 8, not 7"),
        ({"headers": {"Content-Type": "text/html"}}, "text/html, not a tensor"),
        ({"headers": {"Content-Type": ""}}, "of no media type, not a tensor"),
        ({"headers": {"Content-Type": "multipart/mixed"}}, "names no boundary"),
        ({"content": b"short"}, "cannot be read: a safetensors body"),
    ],
)
def test_an_answer_that_is_not_the_protocol_is_an_error(kind: type, change: dict[str, Any], message: str) -> None:
    service = Service()

    def spoil(request: httpx.Request) -> httpx.Response:
        answer = service(request)
        kept = {name: value for name, value in answer.headers.items() if name != "content-length"}
        headers = httpx.Headers({**kept, **{name.lower(): value for name, value in change.get("headers", {}).items()}})
        return httpx.Response(200, headers=headers, content=change.get("content", answer.content))

    with pytest.raises(augserve.ResponseInvalid, match=message):
        augment(kind, spoil, [make_pixels(size=(4, 5))] * 2, seed=7)


@both
@pytest.mark.parametrize("indices", [["0"], ["0", "0"], ["0", "2"], ["0", "1", "2"], ["0", "one"], ["0", ""]])
def test_an_answer_must_have_each_result_once(kind: type, indices: list[str]) -> None:
    def partial(request: httpx.Request) -> httpx.Response:
        parts = [wire.Part({"Content-Type": "image/png", wire.INDEX_HEADER: index}, [b"1"]) for index in indices]
        body = b"".join(bytes(buffer) for buffer in wire.write_multipart(parts, "b"))
        headers = {"Content-Type": wire.multipart_type("b"), wire.COUNT_HEADER: "2", wire.SEED_HEADER: "7"}
        return httpx.Response(200, headers=headers, content=body)

    with pytest.raises(augserve.ResponseInvalid, match=r"each of 2 results once|has the index"):
        augment(kind, partial, images_of(2), seed=7, as_="bytes")


@both
def test_a_gateways_answer_is_shown(kind: type) -> None:
    def gateway(request: httpx.Request) -> httpx.Response:
        return httpx.Response(403, text="go away " * 100)

    with pytest.raises(augserve.RequestRejected, match="not augserve's answer: 'go away go away") as raised:
        augment(kind, gateway, images_of(1))
    assert len(str(raised.value)) < 300


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
        ("http://host:8000", "http://host:8000/v1/augment/brighten"),
        ("https://host/augment/", "https://host/augment/v1/augment/brighten"),
    ],
)
def test_the_address_may_have_a_path(kind: type, base_url: str, address: str) -> None:
    service = Service()
    augment(kind, service, images_of(1), client_base_url=base_url)
    assert str(service.requests[0].url.copy_with(query=None)) == address


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


class SlowBody(httpx.SyncByteStream):
    """A body whose every piece takes a second."""

    def __init__(self, clock: FakeClock) -> None:
        self._clock = clock
        self.closed = False

    def __iter__(self) -> Any:
        for _ in range(100):
            self._clock.sleep(1)
            yield b"piece"

    def close(self) -> None:
        self.closed = True


def test_an_answer_that_trickles_in_is_given_up_in_time() -> None:
    clock = FakeClock()
    body = SlowBody(clock)
    with pytest.raises(augserve.Timeout, match="no answer within 5 s"):
        augment(Client, lambda request: httpx.Response(200, stream=body), images_of(1), timeout=5, client_clock=clock)
    assert len(clock.slept_s) == 5
    assert body.closed


class Gate:
    """A transport that holds requests until as many as expected are under way."""

    def __init__(self, expected: int) -> None:
        self._service = Service()
        self._expected = expected
        self._all = asyncio.Event()
        self.under_way = 0
        self.most = 0
        self.cancelled = 0
        self.fail_on: int | None = None

    async def __call__(self, request: httpx.Request) -> httpx.Response:
        self.under_way += 1
        self.most = max(self.most, self.under_way)
        if self.under_way == self._expected:
            self._all.set()
        try:
            if int(request.url.params["seed"]) == self.fail_on:
                await self._all.wait()
                return problem(500, "internal")
            await (self._all.wait() if self.fail_on is None else asyncio.Event().wait())
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        self.under_way -= 1
        return self._service(request)


def augment_through(gate: Gate, count: int, **options: Any) -> Any:
    async def call() -> Any:
        async with AsyncClient(transport=httpx.MockTransport(gate), images_per_request=1, concurrency=3) as client:
            return await client.augment("brighten", images_of(count), seed=0, **options)

    return asyncio.run(call())


def test_requests_of_a_call_are_under_way_together_up_to_the_limit() -> None:
    gate = Gate(3)
    results = augment_through(gate, 9)
    assert gate.most == 3
    assert all(np.array_equal(result, augmented(images_of(9)[r], r)) for r, result in enumerate(results))


def test_a_request_that_fails_ends_the_others() -> None:
    gate = Gate(3)
    gate.fail_on = 2
    with pytest.raises(augserve.InternalError):
        augment_through(gate, 9)
    assert gate.cancelled == 2


def test_an_answer_that_does_not_come_is_given_up_in_time() -> None:
    gate = Gate(2)
    with pytest.raises(augserve.Timeout):
        augment_through(gate, 1, timeout=0.05)
    assert gate.cancelled == 1
