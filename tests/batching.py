"""A batcher over a device whose batches end when a test says so."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager

import torch
from torch import Tensor

from augserve_pipelines import Pipeline
from augserve_pipelines.transforms import Identity
from augserve_server.batcher import Batcher, BatchLimits, Outcome, Ran
from augserve_server.errors import ImageUnsuitable, ServiceError
from augserve_server.fair_queue import Claim
from augserve_server.metrics import Metrics
from augserve_server.work import OverImages, Work

A = OverImages(Pipeline([Identity()], name="a"))
B = OverImages(Pipeline([Identity()], name="b"))


class Device:
    """Stands for the device: a batch ends when the test says so. The result of a sample is its image."""

    def __init__(self) -> None:
        self.batches: list[tuple[str, list[int]]] = []
        self.waiting: asyncio.Queue[asyncio.Event] = asyncio.Queue()
        self.refused: set[int] = set()
        self.end_nears: Callable[[], None] = int

    async def run(
        self, work: Work, images: Sequence[Tensor], seeds: Sequence[int], nearly_done: Callable[[], None]
    ) -> list[Tensor | ServiceError]:
        self.batches.append((work.name, list(seeds)))
        self.end_nears = nearly_done
        done = asyncio.Event()
        self.waiting.put_nowait(done)
        await done.wait()
        return [
            ImageUnsuitable("no") if seed in self.refused else image for image, seed in zip(images, seeds, strict=True)
        ]

    async def finish(self) -> None:
        """End the batch that runs now, or the next one to begin."""
        (await self.waiting.get()).set()


class Scene:
    """A batcher over such a device."""

    def __init__(self, limits: BatchLimits, shares_core: bool = False) -> None:
        self.device = Device()
        self.metrics = Metrics()
        self.batcher = Batcher(self.device, limits, self.metrics, shares_core=shares_core)

    def submit(self, *seeds: int, work: Work = A, side: int = 10, claim: Claim | None = None) -> list[Outcome]:
        return [self.batcher.submit(work, torch.full((3, side, side), seed % 256), seed, claim) for seed in seeds]

    async def results(self, outcomes: Sequence[Outcome]) -> list[Ran]:
        ran = await asyncio.gather(*outcomes)
        assert all(isinstance(one, Ran) for one in ran)
        return [one for one in ran if isinstance(one, Ran)]


@asynccontextmanager
async def scene(
    images: int = 4,
    pixels: int = 10_000,
    max_wait_s: float = 0.0,
    bulk_patience_s: float = 10.0,
    shares_core: bool = False,
) -> AsyncIterator[Scene]:
    made = Scene(BatchLimits(images, pixels, max_wait_s, bulk_patience_s), shares_core)
    task = asyncio.create_task(made.batcher.run())
    try:
        yield made
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def in_loop(test: Callable[[], Coroutine[None, None, None]]) -> Callable[[], None]:
    """A test that is a coroutine."""

    def run() -> None:
        asyncio.run(asyncio.wait_for(test(), 10))

    run.__name__ = test.__name__
    return run
