"""Two classes: bulk work waits while other work does, but not for ever."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from augserve import AsyncClient, Client
from augserve.wire import PRIORITY_HEADER
from augserve_server.admission import Priority
from augserve_server.errors import ParameterInvalid
from augserve_server.fair_queue import Claim
from augserve_server.turnstile import priority_of
from batching import B, Scene, in_loop, scene
from factories import make_file
from serving import Live, busy_device, run_server, until

SMALL = make_file("JPEG", (60, 80))
BULK = Claim("bulk", Priority.BULK)
URGENT = Claim("urgent", Priority.INTERACTIVE)


async def order_of(scene: Scene, batches: int) -> list[list[int]]:
    for _ in range(batches):
        await scene.device.finish()
    return [seeds for _, seeds in scene.device.batches]


@in_loop
async def test_bulk_waits_while_other_work_waits() -> None:
    async with scene(images=2) as s:
        first = s.submit(0)
        done = await s.device.waiting.get()
        outcomes = s.submit(1, 2, claim=BULK) + s.submit(3, 4, 5, claim=URGENT) + s.submit(6, work=B, claim=URGENT)
        done.set()
        assert await order_of(s, 4) == [[0], [3, 4], [6], [5], [1, 2]]
        await s.results(first + outcomes)


@in_loop
async def test_bulk_has_the_device_to_itself_where_nothing_else_waits() -> None:
    async with scene() as s:
        outcomes = s.submit(1, 2, 3, claim=BULK)
        await s.device.finish()
        assert [ran.batch_size for ran in await s.results(outcomes)] == [3, 3, 3]


@in_loop
async def test_bulk_that_has_waited_for_long_takes_its_turn() -> None:
    async with scene(images=1, bulk_patience_s=0.0) as s:
        first = s.submit(0)
        done = await s.device.waiting.get()
        outcomes = s.submit(1, 2, claim=URGENT) + s.submit(3, 4, claim=BULK)
        done.set()
        assert await order_of(s, 4) == [[0], [1], [3], [2], [4]]
        await s.results(first + outcomes)


@in_loop
async def test_bulk_that_has_waited_has_saved_up_nothing() -> None:
    async with scene(images=1, bulk_patience_s=0.0) as s:
        outcomes = s.submit(*range(10), claim=URGENT)
        for _ in range(5):
            await s.device.finish()
        outcomes += s.submit(100, 101, 102, claim=BULK)
        for _ in range(8):
            await s.device.finish()
        await s.results(outcomes)
        order = [seed for _, seeds in s.device.batches for seed in seeds]
        assert order.index(102) - order.index(100) == 4  # in turns with the others


@in_loop
async def test_depths_and_waits_are_told_by_class() -> None:
    async with scene() as s:
        first = s.submit(0)
        done = await s.device.waiting.get()
        outcomes = s.submit(1, 2, claim=BULK) + s.submit(3, claim=URGENT)
        assert [s.batcher.depth(one) for one in (Priority.BULK, Priority.INTERACTIVE)] == [2, 1]
        done.set()
        await order_of(s, 2)
        await s.results(first + outcomes)
        counted = s.metrics.registry.get_sample_value("augserve_queue_seconds_count", {"priority": "bulk"})
        assert counted == 2
        assert s.batcher.depth(Priority.BULK) == 0


@pytest.mark.parametrize(
    ("given", "priority"), [(None, "interactive"), ("bulk", "bulk"), (" Bulk ", "bulk"), ("interactive", "interactive")]
)
def test_a_header_says_the_class(given: str | None, priority: str) -> None:
    assert priority_of(given) == priority


@pytest.mark.parametrize("given", ["", "high", "bulk, interactive", "1"])
def test_any_other_class_is_refused(given: str) -> None:
    with pytest.raises(ParameterInvalid, match="it must be interactive or bulk"):
        priority_of(given)


@pytest.fixture(scope="module")
def live() -> Iterator[Live]:
    with run_server(queue_results=8) as live:
        yield live


def post(live: Live, priority: str) -> httpx.Response:
    url = f"{live.url}/v1/augment/imagenet_train?seed=1"
    return httpx.post(url, content=SMALL, headers={PRIORITY_HEADER: priority}, timeout=30)


def test_a_server_says_what_a_class_may_be(live: Live) -> None:
    response = post(live, "urgent")
    assert response.status_code == 400
    assert response.json()["detail"] == "Augserve-Priority is 'urgent'; it must be interactive or bulk"


def test_a_server_that_is_nearly_full_refuses_bulk_first(live: Live) -> None:
    with ThreadPoolExecutor(8) as workers, busy_device(live):
        asked = [workers.submit(post, live, "interactive") for _ in range(5)]
        until(lambda: live.metric("queue_results") == 6)
        refused, accepted = post(live, "bulk"), workers.submit(post, live, "interactive")
        until(lambda: live.metric("queue_results") == 7)
    assert refused.status_code == 429
    assert "for bulk work" in refused.json()["detail"]
    assert {future.result().status_code for future in [*asked, accepted]} == {200}
    assert live.metric("refusals_total", cause="bulk", priority="bulk") == 1


def test_clients_say_that_their_work_is_bulk(live: Live) -> None:
    def bulk() -> float:
        return live.metric("queue_seconds_count", priority="bulk")

    before = bulk()
    with Client(live.url, priority="bulk") as client:
        client.augment("imagenet_train", SMALL, seed=1)
    assert bulk() == before + 1
    with Client(live.url) as client:
        client.augment("imagenet_train", SMALL, seed=1)
    assert bulk() == before + 1


def test_a_client_of_no_class_is_refused_where_it_is_made() -> None:
    with pytest.raises(ValueError, match="priority is 'high'; it is 'interactive', 'bulk' or None"):
        Client(priority="high")  # type: ignore[arg-type]  # what is tested
    with pytest.raises(ValueError, match="'high'"):
        AsyncClient(priority="high")  # type: ignore[arg-type]  # what is tested
