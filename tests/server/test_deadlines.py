"""What nobody waits for any more is left out at every stage, at once; what was done for nobody is counted."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from threading import Event

import httpx
import pytest

from augserve.wire import TIMEOUT_MS_HEADER
from augserve_server.admission import Load
from augserve_server.costs import Costs
from augserve_server.fair_queue import Claim
from augserve_server.ledger import Ledger
from batching import in_loop, scene
from factories import make_file
from serving import START_S, Live, busy_decoders, busy_device, run_server, until

SMALL = make_file("JPEG", (60, 80))  # decoded when its batch runs
EARLY = make_file("PNG", (600, 800))  # decoded before it is queued


@pytest.fixture(scope="module")
def live() -> Iterator[Live]:
    with run_server(decode_threads=1, encode_threads=1) as live:
        yield live


def post(live: Live, data: bytes, pipeline: str = "imagenet_train", timeout_ms: int = 80) -> httpx.Response:
    headers = {TIMEOUT_MS_HEADER: str(timeout_ms)}
    return httpx.post(f"{live.url}/v1/augment/{pipeline}?seed=1", content=data, timeout=30, headers=headers)


def wasted(live: Live, stage: str) -> float:
    return live.metric("wasted_megapixels_total", stage=stage)


@contextmanager
def busy_encoder(live: Live) -> Iterator[None]:
    """The only encode thread has work until the way out."""
    started, released = Event(), Event()
    live.service.encoder._pool._threads.submit(lambda: (started.set(), released.wait(START_S)))
    assert started.wait(START_S)
    try:
        yield
    finally:
        released.set()


@in_loop
async def test_the_earliest_deadline_of_a_client_goes_first() -> None:
    async with scene(images=1) as s:
        first = s.submit(0)
        done = await s.device.waiting.get()
        outcomes = s.submit(1, claim=Claim(deadline=30.0)) + s.submit(2, claim=Claim(deadline=10.0))
        done.set()
        await s.device.finish()
        await s.device.finish()
        await s.results(first + outcomes)
        assert [seeds for _, seeds in s.device.batches] == [[0], [2], [1]]


@in_loop
async def test_a_view_that_is_withdrawn_wastes_the_decoding_that_all_share_once() -> None:
    async with scene() as s:
        first = s.submit(0)
        done = await s.device.waiting.get()
        (image,) = s.submit(1, side=1000)
        waiting = s.batcher._places[image]
        item = s.batcher._queues[waiting[0]]._samples[waiting[1]].item
        views = [image, *(s.batcher.submit(waiting[0][0], item, seed) for seed in (2, 3))]
        s.batcher.withdraw(views)
        done.set()
        await s.results(first)
        assert s.metrics.registry.get_sample_value("augserve_wasted_megapixels_total", {"stage": "decode"}) == 1.0


def test_a_deadline_leaves_the_queue_by_its_timer_and_not_when_its_turn_comes(live: Live) -> None:
    with busy_device(live):
        response = post(live, SMALL)
        assert live.metric("queue_depth", priority="interactive") == 0
        assert live.service.admission.load.results == 1  # that of the busy device
    assert (response.status_code, response.json()["stage"]) == (504, "run")


def test_what_was_decoded_and_never_ran_is_counted(live: Live) -> None:
    before = wasted(live, "decode")
    with busy_device(live):
        assert post(live, EARLY).status_code == 504
    assert wasted(live, "decode") - before == pytest.approx(0.48)


def test_before_decoding_there_is_nothing_to_count(live: Live) -> None:
    before, decoded = wasted(live, "decode"), live.metric("decoded_images_total")
    with busy_decoders(live, 1):
        assert post(live, EARLY).status_code == 504
    until(lambda: live.metric("requests_in_flight") == 0)
    assert (wasted(live, "decode"), live.metric("decoded_images_total")) == (before, decoded)


def test_what_ran_and_was_never_encoded_is_counted(live: Live) -> None:
    with busy_encoder(live):
        response = post(live, EARLY, "thumbnail", 1500)
        assert (response.status_code, response.json()["stage"]) == (504, "encode")
        assert wasted(live, "encode") == pytest.approx(0.48)
        assert live.service.admission.load == Load()


@pytest.mark.parametrize("rest_after_s", [0.0, 0.2])
def test_what_ran_for_a_client_that_has_gone_is_counted(live: Live, rest_after_s: float) -> None:
    before, head = (
        wasted(live, "encode"),
        b"POST /v1/augment/thumbnail HTTP/1.1\r\nHost: test\r\nContent-Length: %d\r\n\r\n",
    )
    with busy_encoder(live):
        with socket.create_connection(live.address) as connection:
            connection.sendall(head % len(EARLY) + EARLY[:1000])
            until(lambda: live.metric("requests_in_flight") == 1)
            time.sleep(rest_after_s)
            connection.sendall(EARLY[1000:-100_000])
            time.sleep(rest_after_s)
            connection.sendall(EARLY[-100_000:])  # for which the server waits
            until(lambda: live.service.admission.load.bytes > len(EARLY))
            until(lambda: live.metric("queue_results") == 0)
        until(lambda: live.metric("requests_in_flight") == 0)
    assert wasted(live, "encode") - before == pytest.approx(0.48)


def test_results_that_came_before_the_others_are_wasted_when_the_request_is_given_up() -> None:
    async def give_up() -> float | None:
        async with scene(images=1) as s:
            outcomes = s.submit(1, 2, side=1000)
            await s.device.finish()
            await asyncio.wait([outcomes[0]])
            s.batcher.withdraw(outcomes[1:])
            Ledger(Costs(), s.metrics).abandoned(outcomes, 1_000_000)
            return s.metrics.registry.get_sample_value("augserve_wasted_megapixels_total", {"stage": "run"})

    assert asyncio.run(give_up()) == 1.0


def test_the_shortest_of_several_deadlines_is_the_one_that_a_sample_waits_by(live: Live) -> None:
    headers = {TIMEOUT_MS_HEADER: "9000", "Inference-Header-Content-Length": "0"}
    url = f"{live.url}/v2/models/imagenet_train/infer"  # the protocol has a deadline of its own, which is not given
    with ThreadPoolExecutor(1) as asking, busy_device(live):
        asked = asking.submit(httpx.post, url, content=SMALL, headers=headers, timeout=30)
        until(lambda: bool(live.service._batcher._queues))
        (queue,) = live.service._batcher._queues.values()
        (sample,) = queue._samples.values()
        assert sample.claim.deadline - sample.submitted < 9.0
    assert asked.result().status_code == 200
