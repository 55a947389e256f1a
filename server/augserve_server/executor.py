"""The device executor: runs pipelines in threads of its own."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from typing import Any, Final, TypeVar

import torch

from augserve_pipelines import InvalidInput, Pipeline
from augserve_pipelines.executor import end_threads, pool
from augserve_pipelines.transfer import Transfer
from augserve_server.errors import ImageUnsuitable, ServiceError
from augserve_server.metrics import Metrics
from augserve_server.origins import batch_origins
from augserve_server.place import Place
from augserve_server.pools import begin_worker
from augserve_server.recovery import Batch, Failover, Recovery, nobody
from augserve_server.work import Augmented, OverImages, Result, Work

Made = TypeVar("Made")

WARM_UP_SIDE = 256

THREADS: Final = 2
"""One begins a batch while the other ends one."""

STAGES: Final = 3
"""Threads where batches go to a device and back: one batch is decoded, one is there, and of one the results come."""


class Executor:
    """One device, and few batches at a time. On the CPU the engine spreads a batch over its own threads."""

    def __init__(
        self,
        device: torch.device,
        transfer: Transfer | None = None,
        metrics: Metrics | None = None,
        failover: Failover = "none",
    ) -> None:
        self.device = device
        self._recovery = Recovery(Place(device, transfer), failover, metrics or Metrics())
        self._threads = ThreadPoolExecutor(STAGES if transfer else THREADS, "augserve-device", begin_worker)

    def begin(self) -> None:
        """Have all threads there. Those of the engine begin in one of these, which are less urgent than the event loop:
        so they are begun anew where there were some.
        """
        end_threads()
        self._threads.submit(pool).result()

    async def run(
        self, work: Work, items: Sequence[Any], seeds: Sequence[int], nearly_done: Callable[[], None]
    ) -> list[Result | ServiceError]:
        """The result of each item, in host memory, or why it has none.

        ``nearly_done`` is called on the event loop when the device could begin another batch, if not before the end.
        """
        tell = partial(asyncio.get_running_loop().call_soon_threadsafe, nearly_done)
        return await self._in_thread(self._recovery.run, Batch(work, items, seeds, batch_origins()), tell)

    @property
    def failed(self) -> bool:
        """Whether the device computes no more; where there is a failover, the CPU does."""
        return self._recovery.failed

    def check(self) -> None:
        """Raise DeviceFailed where nothing can be computed any more."""
        if self._recovery.stopped:
            raise self._recovery.failure()

    async def mix(self, pipeline: Pipeline, results: Sequence[Augmented], seed: int) -> list[Augmented]:
        """What the steps of a pipeline that act on a whole batch make of these results. Raises ImageUnsuitable."""
        return await self._in_thread(self._mix, pipeline, results, seed)

    def warm_up(self, pipeline: Pipeline) -> None:
        """Run a pipeline, so that its first request pays for no set-up. An image that it refuses is fine."""
        channels = 1 if pipeline.input.mode == "L" else 3
        decoded = torch.zeros(WARM_UP_SIDE, WARM_UP_SIDE, channels, dtype=torch.uint8).permute(2, 0, 1)
        alone = pipeline.per_sample
        self._recovery.place.warm_up(alone)
        try:
            for form in (alone, alone.giving(torch.float16)):  # loops are compiled for each width of values
                for image in (decoded, decoded.contiguous()):  # and for each way that pixels lie
                    OverImages(form).run([image], [0], self._recovery.place, nobody)
        except InvalidInput:
            return

    def close(self) -> None:
        """Let the running batches finish, and end the threads."""
        self._threads.shutdown(wait=True, cancel_futures=True)
        self._recovery.place.close()

    async def _in_thread(self, work: Callable[..., Made], *arguments: Any) -> Made:
        return await asyncio.get_running_loop().run_in_executor(self._threads, work, *arguments)

    def _mix(self, pipeline: Pipeline, results: Sequence[Augmented], seed: int) -> list[Augmented]:
        try:
            mixed = pipeline.mix([result.leaves for result in results], seed)
        except InvalidInput as exc:
            raise ImageUnsuitable(str(exc)) from exc
        return [replace(result, leaves=leaves) for result, leaves in zip(results, mixed, strict=True)]


def choose_device(name: str) -> torch.device:
    """The device of a setting: ``auto`` is CUDA where there is one. Raises ValueError for one that is not there."""
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    device = torch.device(name)
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise ValueError(f"device {name!r} is not there: {torch.cuda.device_count()} CUDA devices are")
    return device
