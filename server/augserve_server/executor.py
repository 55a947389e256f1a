"""The device executor: runs pipelines in a thread of its own, and finds the sample that a batch failed for."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import torch
from torch import Tensor

from augserve_pipelines import Batch, InvalidInput, Pipeline
from augserve_pipelines.batch import Block
from augserve_pipelines.executor import single_threaded
from augserve_server.catalog import Served
from augserve_server.errors import ImageUnsuitable, InternalError, ServiceError

WARM_UP_SIDE = 256

logger = logging.getLogger(__name__)


class Executor:
    """One device, one batch at a time. On the CPU the engine spreads a batch over its own threads."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self._thread = ThreadPoolExecutor(1, "augserve-device", single_threaded)

    async def run(self, served: Served, images: Sequence[Tensor], seeds: Sequence[int]) -> list[Tensor | ServiceError]:
        """A result [C, h, w] in host memory for each image [C, H, W], or why that one has none."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._thread, self._run, served.pipeline, images, seeds)

    def warm_up(self, pipeline: Pipeline) -> None:
        """Run a pipeline once, so that its first request pays for no set-up. An image that it refuses is fine."""
        channels = 1 if pipeline.input.mode == "L" else 3
        image = torch.zeros(channels, WARM_UP_SIDE, WARM_UP_SIDE, dtype=torch.uint8)
        try:
            for form in (pipeline, pipeline.giving(torch.float16)):  # loops are compiled for each width of values
                self._compute(form, [image], [0])
        except InvalidInput:
            return

    def close(self) -> None:
        """Let the running batch finish, and end the thread."""
        self._thread.shutdown(wait=True, cancel_futures=True)

    def _run(self, pipeline: Pipeline, images: Sequence[Tensor], seeds: Sequence[int]) -> list[Tensor | ServiceError]:
        try:
            return list(self._compute(pipeline, images, seeds))
        except InvalidInput as exc:
            failure: ServiceError = ImageUnsuitable(str(exc))
        except Exception as exc:  # the batch's other samples, and the thread, must survive whatever one sample does
            logger.error("pipeline %s failed on %d samples", pipeline.name, len(images), exc_info=exc)
            failure = InternalError()
        if len(images) == 1:
            return [failure]
        return [self._run(pipeline, [image], [seed])[0] for image, seed in zip(images, seeds, strict=True)]

    def _compute(self, pipeline: Pipeline, images: Sequence[Tensor], seeds: Sequence[int]) -> list[Tensor]:
        batch = pipeline(images, seeds, device=self.device)
        return list(Batch([Block(block.rows, block.data.cpu()) for block in batch.blocks]))


def choose_device(name: str) -> torch.device:
    """The device of a setting: ``auto`` is CUDA where there is one. Raises ValueError for one that is not there."""
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    device = torch.device(name)
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise ValueError(f"device {name!r} is not there: {torch.cuda.device_count()} CUDA devices are")
    return device
