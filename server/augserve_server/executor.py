"""The device executor: runs pipelines in threads of its own, and finds the sample that a batch failed for."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from typing import Any, Final, TypeVar

import torch

from augserve_pipelines import InvalidInput, Pipeline
from augserve_pipelines.executor import pool
from augserve_pipelines.transfer import Transfer
from augserve_server.decoding import Unwanted
from augserve_server.errors import ImageUnsuitable, InternalError, ServiceError
from augserve_server.place import Place
from augserve_server.pools import begin_worker
from augserve_server.work import Augmented, OverImages, Result, Work

Made = TypeVar("Made")

WARM_UP_SIDE = 256

logger = logging.getLogger(__name__)


THREADS: Final = 2
"""One begins a batch while the other ends one."""


class Executor:
    """One device, and two batches at most. On the CPU the engine spreads a batch over its own threads."""

    def __init__(self, device: torch.device, transfer: Transfer | None = None) -> None:
        self.device = device
        self._place = Place(device, transfer)
        self._threads = ThreadPoolExecutor(THREADS, "augserve-device", begin_worker)
        self._threads.submit(pool).result()  # the engine's threads begin in one of these

    async def run(
        self, work: Work, items: Sequence[Any], seeds: Sequence[int], nearly_done: Callable[[], None]
    ) -> list[Result | ServiceError]:
        """The result of each item, in host memory, or why it has none.

        ``nearly_done`` is called on the event loop when the device could begin another batch, if not before the end.
        """
        tell = partial(asyncio.get_running_loop().call_soon_threadsafe, nearly_done)
        return await self._in_thread(self._run, work, items, seeds, tell)

    async def mix(self, pipeline: Pipeline, results: Sequence[Augmented], seed: int) -> list[Augmented]:
        """What the steps of a pipeline that act on a whole batch make of these results. Raises ImageUnsuitable."""
        return await self._in_thread(self._mix, pipeline, results, seed)

    def warm_up(self, pipeline: Pipeline) -> None:
        """Run a pipeline once, so that its first request pays for no set-up. An image that it refuses is fine."""
        channels = 1 if pipeline.input.mode == "L" else 3
        image = torch.zeros(channels, WARM_UP_SIDE, WARM_UP_SIDE, dtype=torch.uint8)
        alone = pipeline.per_sample
        try:
            for form in (alone, alone.giving(torch.float16)):  # loops are compiled for each width of values
                OverImages(form).run([image], [0], self._place, _nobody)
        except InvalidInput:
            return

    def close(self) -> None:
        """Let the running batches finish, and end the threads."""
        self._threads.shutdown(wait=True, cancel_futures=True)
        self._place.close()

    async def _in_thread(self, work: Callable[..., Made], *arguments: Any) -> Made:
        return await asyncio.get_running_loop().run_in_executor(self._threads, work, *arguments)

    def _run(
        self, work: Work, items: Sequence[Any], seeds: Sequence[int], nearly_done: Callable[[], None]
    ) -> list[Result | ServiceError]:
        try:
            return [_as_ours(work, one) for one in work.run(items, seeds, self._place, nearly_done)]
        except InvalidInput as exc:
            failure: ServiceError = ImageUnsuitable(str(exc))
        except Exception as exc:  # the batch's other samples, and the thread, must survive whatever one sample does
            logger.error("pipeline %s failed on %d samples", work.name, len(items), exc_info=exc)
            failure = InternalError()
        if len(items) == 1:
            return [failure]
        return [self._run(work, [item], [seed], _nobody)[0] for item, seed in zip(items, seeds, strict=True)]

    def _mix(self, pipeline: Pipeline, results: Sequence[Augmented], seed: int) -> list[Augmented]:
        try:
            mixed = pipeline.mix([result.leaves for result in results], seed)
        except InvalidInput as exc:
            raise ImageUnsuitable(str(exc)) from exc
        return [replace(result, leaves=leaves) for result, leaves in zip(results, mixed, strict=True)]


def _nobody() -> None:
    """There is nobody to tell."""


def _as_ours(work: Work, result: Result | Exception) -> Result | ServiceError:
    """A result, or the error of a sample that could not be decoded, in our words."""
    match result:
        case ServiceError():
            return result.alone()
        case InvalidInput():
            return ImageUnsuitable(str(result))
        case Unwanted():
            return InternalError()  # which nobody reads
        case Exception():
            logger.error("pipeline %s could not decode a sample", work.name, exc_info=result)
            return InternalError()
    return result


def choose_device(name: str) -> torch.device:
    """The device of a setting: ``auto`` is CUDA where there is one. Raises ValueError for one that is not there."""
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    device = torch.device(name)
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise ValueError(f"device {name!r} is not there: {torch.cuda.device_count()} CUDA devices are")
    return device
