"""When batches go, what is in them, and what is taken out again."""

from __future__ import annotations

import asyncio

import pytest
import torch

from augserve_server.batcher import LEAST_OVERLAP, Outcome, Ran
from augserve_server.errors import ImageUnsuitable
from batching import B, Scene, in_loop, scene


@in_loop
async def test_an_idle_device_gets_a_sample_at_once() -> None:
    async with scene() as s:
        outcomes = s.submit(1)
        await s.device.finish()
        (ran,) = await s.results(outcomes)
        assert (ran.batch_size, ran.close) == (1, "idle")
        assert torch.equal(ran.result, torch.full((3, 10, 10), 1))


async def _arrive(s: Scene, *seeds: int) -> list[Outcome]:
    """Samples that are there in one turn of the loop after the other."""
    outcomes = []
    for seed in seeds:
        outcomes += s.submit(seed)
        await asyncio.sleep(0)
    return outcomes


@in_loop
async def test_where_the_event_loop_shares_the_core_what_has_come_by_then_is_in_the_batch() -> None:
    async with scene(images=8, shares_core=True) as s:
        outcomes = await _arrive(s, 1, 2, 3)
        await s.device.finish()
        assert [ran.batch_size for ran in await s.results(outcomes)] == [3] * 3
        late = await _arrive(s, 4, 5)  # which is waited for anew
        await s.device.finish()
        assert [ran.batch_size for ran in await s.results(late)] == [2, 2]


@in_loop
async def test_where_it_does_not_the_first_goes_alone() -> None:
    async with scene(images=8) as s:
        await asyncio.sleep(0)  # the batcher is there
        outcomes = await _arrive(s, 1, 2, 3)
        for _ in range(2):
            await s.device.finish()
        first, *_ = await s.results(outcomes)
        assert first.batch_size == 1


@in_loop
async def test_a_batch_that_is_full_waits_for_no_turn_of_the_loop() -> None:
    async with scene(images=2, shares_core=True) as s:
        await asyncio.sleep(0)
        outcomes = s.submit(1, 2)
        for _ in range(3):
            await asyncio.sleep(0)
        assert len(s.device.batches) == 1
        await s.device.finish()
        assert [ran.close for ran in await s.results(outcomes)] == ["full", "full"]


@in_loop
async def test_samples_that_leave_while_others_are_waited_for_are_not_missed() -> None:
    async with scene(images=8, shares_core=True) as s:
        await asyncio.sleep(0)
        gone = s.submit(1)
        await asyncio.sleep(0)
        s.batcher.withdraw(gone)
        for _ in range(5):
            await asyncio.sleep(0)
        assert not s.device.batches
        outcomes = s.submit(2)
        await s.device.finish()
        assert [ran.batch_size for ran in await s.results(outcomes)] == [1]


@in_loop
async def test_a_busy_device_finds_all_that_came_meanwhile_in_one_batch() -> None:
    async with scene() as s:
        first = s.submit(1)
        done = await s.device.waiting.get()
        later = s.submit(2) + s.submit(3, side=20) + s.submit(4)
        done.set()
        await s.device.finish()
        assert [ran.batch_size for ran in await s.results(first + later)] == [1, 3, 3, 3]
        assert s.device.batches == [("a", [1]), ("a", [2, 3, 4])]


@in_loop
async def test_while_a_batch_ends_another_of_some_size_begins() -> None:
    async with scene(images=LEAST_OVERLAP + 2) as s:
        outcomes = s.submit(0)
        first = await s.device.waiting.get()
        outcomes += s.submit(*range(1, LEAST_OVERLAP))
        s.device.end_nears()
        await asyncio.sleep(0)
        assert len(s.device.batches) == 1  # not worth it
        outcomes += s.submit(LEAST_OVERLAP)
        second = await s.device.waiting.get()
        outcomes += s.submit(*range(100, 100 + LEAST_OVERLAP))
        await asyncio.sleep(0)
        assert len(s.device.batches) == 2  # the second one's end is not near
        second.set()
        first.set()
        await s.device.finish()
        assert [ran.batch_size for ran in await s.results(outcomes)] == [1, *[LEAST_OVERLAP] * (2 * LEAST_OVERLAP)]


@in_loop
async def test_a_batch_is_full_at_its_count() -> None:
    async with scene(images=4) as s:
        outcomes = s.submit(*range(6))
        await s.device.finish()
        await s.device.finish()
        assert [(ran.batch_size, ran.close) for ran in await s.results(outcomes)] == [(4, "full")] * 4 + [
            (2, "idle")
        ] * 2


@in_loop
async def test_a_batch_is_closed_by_its_cost_and_one_that_is_larger_goes_alone() -> None:
    async with scene(pixels=1000) as s:
        outcomes = s.submit(1, side=20) + s.submit(2, side=24) + s.submit(3, side=24) + s.submit(4, side=100)
        for _ in range(3):
            await s.device.finish()
        assert [ran.close for ran in await s.results(outcomes)] == ["cost", "cost", "cost", "idle"]
        assert s.device.batches == [("a", [1, 2]), ("a", [3]), ("a", [4])]


@in_loop
async def test_pipelines_take_turns() -> None:
    async with scene(images=2) as s:
        outcomes = s.submit(1, 2, 3, 4, 5, 6) + s.submit(7, 8, 9, work=B)
        for _ in range(5):
            await s.device.finish()
        await s.results(outcomes)
        assert [name for name, _ in s.device.batches] == ["a", "b", "a", "b", "a"]


@in_loop
async def test_a_maximum_wait_lets_an_idle_device_collect() -> None:
    async with scene(images=3, max_wait_s=60) as s:
        outcomes = s.submit(1)
        await asyncio.sleep(0)
        outcomes += s.submit(2)
        await asyncio.sleep(0)
        assert not s.device.batches
        outcomes += s.submit(3)
        await s.device.finish()
        assert [(ran.batch_size, ran.close) for ran in await s.results(outcomes)] == [(3, "full")] * 3


@in_loop
async def test_the_oldest_waits_no_longer_than_the_maximum() -> None:
    async with scene(max_wait_s=0.01) as s:
        outcomes = s.submit(1, 2)
        await s.device.finish()
        ran = await s.results(outcomes)
        assert [one.close for one in ran] == ["wait", "wait"]
        assert ran[0].queued_s >= 0.01


@in_loop
async def test_a_full_pipeline_goes_while_another_still_waits() -> None:
    async with scene(images=2, max_wait_s=60) as s:
        s.submit(1)
        outcomes = s.submit(2, 3, work=B)
        await s.device.finish()
        await s.results(outcomes)
        assert s.device.batches == [("b", [2, 3])]


@in_loop
async def test_draining_waits_for_nothing() -> None:
    async with scene(max_wait_s=60) as s:
        outcomes = s.submit(1)
        s.batcher.drain()
        await s.device.finish()
        assert [ran.close for ran in await s.results(outcomes)] == ["drain"]


@in_loop
async def test_what_is_withdrawn_while_it_waits_is_never_computed() -> None:
    async with scene() as s:
        first = s.submit(1)
        done = await s.device.waiting.get()
        unwanted, wanted = s.submit(2, 3), s.submit(4)
        s.batcher.withdraw(unwanted)
        done.set()
        await s.device.finish()
        await s.results(first + wanted)
        assert s.device.batches == [("a", [1]), ("a", [4])]
        assert all(outcome.cancelled() for outcome in unwanted)
        assert not s.metrics.registry.get_sample_value("augserve_wasted_megapixels_total", {"stage": "run"})


@in_loop
async def test_a_queue_that_is_withdrawn_whole_leaves_the_device_alone() -> None:
    async with scene(images=2, max_wait_s=60) as s:
        s.batcher.withdraw(s.submit(1))
        s.batcher.withdraw(s.submit(2))  # another's, and of a pipeline that has no queue
        outcomes = s.submit(3, 4, work=B)
        await s.device.finish()
        await s.results(outcomes)
        assert s.device.batches == [("b", [3, 4])]


@in_loop
async def test_what_is_computed_for_nobody_is_counted() -> None:
    async with scene(pixels=10**7) as s:
        outcomes = s.submit(1, 2, side=1000)
        done = await s.device.waiting.get()
        s.batcher.withdraw(outcomes[:1])
        done.set()
        await s.results(outcomes[1:])
        assert s.metrics.registry.get_sample_value("augserve_wasted_megapixels_total", {"stage": "run"}) == 1.0


@in_loop
async def test_a_sample_that_fails_fails_alone() -> None:
    async with scene() as s:
        s.device.refused = {2}
        outcomes = s.submit(1, 2, 3)
        await s.device.finish()
        first, second, third = await asyncio.gather(*outcomes)
        assert isinstance(second, ImageUnsuitable)
        assert isinstance(first, Ran)
        assert isinstance(third, Ran)


@pytest.mark.parametrize("close", ["full", "idle"])
def test_reasons_for_closing_are_counted(close: str) -> None:
    async def scenario() -> float | None:
        async with scene(images=2) as s:
            outcomes = s.submit(1, 2, 3)
            await s.device.finish()
            await s.device.finish()
            await s.results(outcomes)
            return s.metrics.registry.get_sample_value("augserve_batches_total", {"pipeline": "a", "close": close})

    assert asyncio.run(scenario()) == 1
