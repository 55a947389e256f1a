"""The device executor over real pipelines: results, and who is to blame."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator

import pytest
import torch

from augserve_pipelines import InputRule, Pipeline
from augserve_pipelines.transfer import Transfer
from augserve_pipelines.transforms import RandomCrop, RandomHorizontalFlip, RandomResizedCrop
from augserve_server.errors import ImageUnsuitable
from augserve_server.executor import THREADS, Executor, choose_device
from augserve_server.work import OverImages
from factories import make_image, make_images


@pytest.fixture
def executor() -> Iterator[Executor]:
    made = Executor(torch.device("cpu"))
    yield made
    made.close()


def served(*transforms: torch.nn.Module) -> OverImages:
    return OverImages(Pipeline(transforms, name="test"))


def test_results_are_the_pipelines_own_in_order(executor: Executor) -> None:
    pipeline = served(RandomResizedCrop(32), RandomHorizontalFlip())
    images, seeds = make_images(12), range(12)
    results = asyncio.run(executor.run(pipeline, images, seeds, int))
    expected = pipeline.pipeline(images, seeds)
    for result, one in zip(results, expected, strict=True):
        assert isinstance(result, torch.Tensor)
        assert torch.equal(result, one)


def test_an_image_that_the_pipeline_refuses_fails_alone(executor: Executor) -> None:
    pipeline = served(RandomCrop(100))
    images = [make_image((120, 120)), make_image((50, 50)), make_image((150, 110))]
    first, second, third = asyncio.run(executor.run(pipeline, images, [1, 2, 3], int))
    assert isinstance(second, ImageUnsuitable)
    assert "100" in second.detail
    assert isinstance(first, torch.Tensor)
    assert isinstance(third, torch.Tensor)
    assert torch.equal(first, pipeline.pipeline(images[:1], [1])[0])
    assert torch.equal(third, pipeline.pipeline(images[2:], [3])[0])


def test_pipelines_run_off_the_event_loop(executor: Executor) -> None:
    async def other_work_goes_on() -> list[object]:
        began = threading.Event()
        for _ in range(THREADS):
            executor._threads.submit(began.wait, 10)
        running = asyncio.create_task(executor.run(served(RandomHorizontalFlip()), make_images(1), [0], int))
        await asyncio.sleep(0)
        assert not running.done()
        began.set()
        return list(await running)

    assert len(asyncio.run(other_work_goes_on())) == 1


def test_warming_up_takes_images_of_the_pipelines_kind_and_forgives_refusals(executor: Executor) -> None:
    executor.warm_up(Pipeline([RandomHorizontalFlip()], input=InputRule(mode="L")))
    executor.warm_up(Pipeline([RandomCrop(5000)]))


def test_auto_is_a_device_that_is_there_and_others_are_refused() -> None:
    assert choose_device("cpu") == torch.device("cpu")
    assert choose_device("auto").type == ("cuda" if torch.cuda.is_available() else "cpu")
    with pytest.raises(ValueError, match="cuda:99"):
        choose_device("cuda:99")


def test_batches_go_through_a_transfer_where_there_is_one() -> None:
    cpu = torch.device("cpu")
    executor = Executor(cpu, Transfer(cpu))
    pipeline = served(RandomResizedCrop(32), RandomHorizontalFlip())
    batches = [(make_images(count), range(count)) for count in (3, 5, 4)]

    async def all_at_once() -> list[list[object]]:
        return [list(one) for one in await asyncio.gather(*(executor.run(pipeline, *batch, int) for batch in batches))]

    for results, (images, seeds) in zip(asyncio.run(all_at_once()), batches, strict=True):
        for result, expected in zip(results, pipeline.pipeline(images, seeds), strict=True):
            assert isinstance(result, torch.Tensor)
            assert torch.equal(result, expected)
    executor.close()
