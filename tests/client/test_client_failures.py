"""What both clients do when requests fail: which errors they raise, and what they try again."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import numpy as np
import pytest
from asking import augment, both, images_of
from fake_clock import FakeClock
from small_inference import asked
from small_service import Service, augmented, problem, refusal

import augserve
from augserve import AsyncClient, Client, Clip, Retries, wire
from factories import make_pixels


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
@pytest.mark.parametrize(
    ("images", "refuse"), [(images_of(1)[0], problem), (images_of(1), refusal), (images_of(5), refusal)]
)
def test_a_refused_request_raises(kind: type, status: int, slug: str, error: type, images: Any, refuse: Any) -> None:
    service = Service(before=lambda request, number: refuse(status, slug))
    with pytest.raises(error, match=f"it is {slug}") as raised:
        augment(kind, service, images, client_images_per_request=5)
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
    "lost",
    [httpx.ConnectError("refused"), httpx.ReadError(""), httpx.RemoteProtocolError("gone"), httpx.WriteError("")],
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
        ({"headers": {wire.COUNT_HEADER: "3"}}, "Augserve-Count: 3, not 1"),
        ({"headers": {wire.SEED_HEADER: "8"}}, "Augserve-Seed: 8, not 7"),
        ({"headers": {"Content-Type": "text/html"}}, "text/html, not a tensor"),
        ({"headers": {"Content-Type": ""}}, "of no media type, not a tensor"),
        ({"headers": {"Content-Type": "multipart/mixed"}}, "multipart/mixed, not a tensor"),
        ({"content": b"short"}, "cannot be read: a safetensors body"),
    ],
)
def test_an_answer_to_one_image_that_is_not_one_result_is_an_error(
    kind: type, change: dict[str, Any], message: str
) -> None:
    service = Service()

    def spoil(request: httpx.Request) -> httpx.Response:
        answer = service(request)
        kept = {name: value for name, value in answer.headers.items() if name != "content-length"}
        headers = httpx.Headers({**kept, **{name.lower(): value for name, value in change.get("headers", {}).items()}})
        return httpx.Response(200, headers=headers, content=change.get("content", answer.content))

    with pytest.raises(augserve.ResponseInvalid, match=message):
        augment(kind, spoil, make_pixels(size=(4, 5)), seed=7)


@both
@pytest.mark.parametrize("indices", [["0"], ["0", "0"], ["0", "2"], ["0", "1", "2"], ["0", "one"], ["0", ""]])
def test_an_answer_must_have_each_result_once(kind: type, indices: list[str]) -> None:
    def partial(request: httpx.Request) -> httpx.Response:
        parts = [wire.Part({"Content-Type": "image/png", wire.INDEX_HEADER: index}, [b"1"]) for index in indices]
        body = b"".join(bytes(buffer) for buffer in wire.write_multipart(parts, "b"))
        headers = {"Content-Type": wire.multipart_type("b"), wire.COUNT_HEADER: "2", wire.SEED_HEADER: "7"}
        return httpx.Response(200, headers=headers, content=body)

    with pytest.raises(augserve.ResponseInvalid, match=r"each of 2 results once|has the index"):
        augment(kind, partial, [Clip(images_of(1))] * 2, seed=7, as_="bytes")


@both
def test_a_gateways_answer_is_shown(kind: type) -> None:
    def gateway(request: httpx.Request) -> httpx.Response:
        return httpx.Response(403, text="go away " * 100)

    with pytest.raises(augserve.RequestRejected, match="not augserve's answer: 'go away go away") as raised:
        augment(kind, gateway, images_of(1))
    assert len(str(raised.value)) < 300


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
            if asked(request).parameters["seed"] == self.fail_on:
                await self._all.wait()
                return refusal(500, "internal")
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
