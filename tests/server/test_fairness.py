"""A flood from one client does not starve another: in the queue, and in what is let in."""

from __future__ import annotations

import socket
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import httpx

from augserve_server.batcher import Outcome
from augserve_server.fair_queue import MOST_LEFT, MOST_REMEMBERED, Claim, FairQueue, Shares
from augserve_server.work import Work
from batching import A, B, Scene, in_loop, scene
from factories import make_file
from serving import busy_device, run_server, until

SMALL = make_file("JPEG", (60, 80))


@dataclass(frozen=True)
class Sample:
    """Something that waits."""

    claim: Claim
    pixels: int = 1
    submitted: float = 0.0


def queue_of(*claims: Claim, shares: Shares | None = None) -> FairQueue[Sample]:
    queue = FairQueue[Sample](shares or Shares())
    for claim in claims:
        queue.add(Sample(claim))
    return queue


def taken(queue: FairQueue[Sample], count: int) -> list[str]:
    """Whose samples the next ones are."""
    left = iter(range(count))
    return [sample.claim.client for sample in queue.take(lambda _: next(left, None) is not None)]


def test_clients_take_turns_whatever_they_have_queued() -> None:
    queue = queue_of(*[Claim("flood")] * 100, *[Claim("small")] * 3)
    assert Counter(taken(queue, 6)) == {"flood": 3, "small": 3}
    assert len(queue) == 97


def test_shares_are_of_work_and_not_of_samples() -> None:
    queue = queue_of(*[Claim("large", seconds=0.03)] * 50, *[Claim("small", seconds=0.01)] * 50)
    assert Counter(taken(queue, 40)) == {"large": 10, "small": 30}


def test_who_comes_late_gets_a_share_and_nothing_for_the_time_before() -> None:
    shares = Shares()
    queue = queue_of(*[Claim("early")] * 100, shares=shares)
    taken(queue, 50)
    for _ in range(50):
        queue.add(Sample(Claim("late")))
    assert Counter(taken(queue, 20)) == {"early": 10, "late": 10}


def test_leaving_and_coming_back_gains_nothing() -> None:
    shares = Shares()
    queue = queue_of(*[Claim("patient")] * 20, shares=shares)
    served: Counter[str] = Counter()
    for _ in range(20):
        queue.add(Sample(Claim("comes and goes")))
        served.update(taken(queue, 1))
    assert served["patient"] >= 9


def test_of_one_client_the_earliest_deadline_goes_first() -> None:
    queue = queue_of(Claim("a", deadline=30.0), Claim("a", deadline=10.0), Claim("a", deadline=20.0))
    order = [sample.claim.deadline for sample in queue.take(lambda _: True)]
    assert order == [10.0, 20.0, 30.0]


def test_what_has_left_is_not_taken_and_not_kept() -> None:
    queue = queue_of(Claim("a", deadline=1.0))
    for _ in range(20 * MOST_LEFT):
        assert queue.drop(queue.add(Sample(Claim("a", deadline=2.0)))) is not None
    assert queue.drop(10**9) is None
    assert len(queue) == 1
    assert len(queue._clients["a"]) <= MOST_LEFT + 1
    assert taken(queue, 5) == ["a"]
    assert not queue
    assert not queue._clients
    assert queue.pixels == 0


def test_clients_that_are_gone_are_forgotten() -> None:
    shares = Shares()
    for number in range(3 * MOST_REMEMBERED):
        taken(queue_of(Claim(f"client {number}"), shares=shares), 1)
    assert len(shares._accounts) <= MOST_REMEMBERED


def submit(scene: Scene, client: str, *seeds: int, work: Work = A) -> list[Outcome]:
    made = [scene.submit(seed, work=work, claim=Claim(client)) for seed in seeds]
    return [outcome for outcomes in made for outcome in outcomes]


@in_loop
async def test_a_batch_mixes_clients() -> None:
    async with scene(images=4) as s:
        outcomes = submit(s, "flood", *range(10)) + submit(s, "small", 100, 101)
        for _ in range(3):
            await s.device.finish()
        await s.results(outcomes)
        assert sorted(s.device.batches[0][1]) == [0, 1, 100, 101]


@in_loop
async def test_a_flood_over_many_pipelines_gets_no_more_than_one_over_one() -> None:
    async with scene(images=1) as s:
        first = s.submit(0)
        done = await s.device.waiting.get()
        outcomes = submit(s, "flood", 1, 2, 3) + submit(s, "flood", 4, 5, 6, work=B) + submit(s, "small", 7, 8, 9)
        done.set()
        for _ in range(9):
            await s.device.finish()
        await s.results(first + outcomes)
        order = [seed for _, seeds in s.device.batches for seed in seeds]
        assert max(order.index(seed) for seed in (7, 8, 9)) <= 6


def test_a_server_lets_a_second_client_in_while_the_first_floods_it() -> None:
    with run_server(queue_results=8, port=0, host="127.0.0.1") as live, ThreadPoolExecutor(16) as workers:
        first = httpx.HTTPTransport(local_address="127.0.0.1")
        second = httpx.HTTPTransport(local_address="127.0.0.2")
        with httpx.Client(transport=first) as flood, httpx.Client(transport=second) as other:
            url = f"{live.url}/v1/augment/imagenet_train?seed=1"
            assert other.post(url, content=SMALL).status_code == 200
            with busy_device(live) as released:
                asked = [workers.submit(flood.post, url, content=SMALL, timeout=30) for _ in range(12)]
                until(lambda: live.metric("refusals_total", cause="share", priority="interactive") == 9)
                let_in = workers.submit(other.post, url, content=SMALL, timeout=30)
                until(lambda: live.metric("queue_results") == 5)
                released.set()
                assert let_in.result().status_code == 200
            statuses = Counter(future.result().status_code for future in asked)
    assert statuses == {200: 3, 429: 9}


def test_clients_are_told_apart_by_the_addresses_that_they_come_from() -> None:
    with run_server() as live:
        for address in ("127.0.0.1", "127.0.0.3"):
            with socket.create_connection(live.address, source_address=(address, 0)) as connection:
                connection.sendall(b"POST /v1/augment/thumbnail HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello")
                assert connection.recv(12) == b"HTTP/1.1 415"
        assert {*live.service.admission._seen} == {"127.0.0.1", "127.0.0.3"}


def test_a_batch_goes_round_a_thousand_clients() -> None:
    queue = queue_of(*[Claim(f"client {number % 1000}") for number in range(2000)])
    assert len(set(taken(queue, 64))) == 64
