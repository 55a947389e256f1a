"""Everything that runs in one app: made together, started and stopped together, and whether it is ready."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final

from augserve_pipelines.transfer import Transfer, TransferLimits
from augserve_server.admission import Admission, Load
from augserve_server.batcher import Batcher, BatchLimits
from augserve_server.catalog import Catalog
from augserve_server.codecs import ImageLimits
from augserve_server.decoding import Decoder
from augserve_server.engine import Engine, Limits
from augserve_server.errors import Draining, InvalidSettings, QueueFull
from augserve_server.executor import Executor, choose_device
from augserve_server.inspection import ClipLimits, Inspector
from augserve_server.metrics import MEGA, Metrics, exposition
from augserve_server.results import Encoder
from augserve_server.settings import MIB, Settings, pipelines_folder
from augserve_server.targets import TargetLimits
from augserve_server.workers.totals import Across, Family

HIGH_WATER: Final = 0.9
"""Above this share of any queue's limit, the service is not ready for more."""

logger = logging.getLogger(__name__)


class Service:
    """The parts of one app, wired. Raises InvalidSettings or NoPipelines where they cannot be."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.metrics = Metrics()
        self.admission = Admission(_queue_limit(settings))
        self.executor = _executor(settings)
        self.catalog = Catalog(
            pipelines_folder(settings), self.executor.warm_up, self.metrics.reload, settings.max_stage_pixels
        )
        self.catalog.load()
        self._decoder = Decoder(settings.decode_threads, self.metrics)
        self._encoder = Encoder(settings.encode_threads)
        limits = _limits(settings)
        self._batcher = Batcher(self.executor, limits.batch, self.metrics)
        self.engine = Engine(self._decoder, self._batcher, self.executor, self._encoder, limits)
        self.draining = False
        self.sum_metrics: Callable[[], Awaitable[Sequence[Family]]] | None = None
        """How to have the metrics of all workers, where this process is one of several."""
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._in_flight = 0
        self._idle = asyncio.Event()
        self._idle.set()
        self._watch_queues()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Feed the device and watch the folder; on the way out, stop both and end the threads."""
        self._start("batcher", self._batcher.run())
        if self.settings.reload:
            self._start("reload", self.catalog.watch())
        try:
            yield
        finally:
            for task in self._tasks.values():
                task.cancel()
            await asyncio.gather(*self._tasks.values(), return_exceptions=True)
            for part in (self._decoder, self.executor, self._encoder):
                part.close()

    def enter(self) -> None:
        """A request for work has come. Raises Draining or QueueFull where it is not to be read at all."""
        if self.draining:
            raise Draining
        if self._in_flight > self.settings.max_requests:
            raise QueueFull(1, f"{self.settings.max_requests} requests")

    def began(self) -> None:
        """A request is in flight."""
        self._in_flight += 1
        self._idle.clear()

    def ended(self) -> None:
        """A request is answered to its last byte."""
        self._in_flight -= 1
        if not self._in_flight:
            self._idle.set()

    async def drain(self) -> None:
        """Take no new work, and return when what was accepted is answered."""
        self.draining = True
        self._batcher.drain()
        await self._idle.wait()

    async def exposition(self) -> bytes:
        """What /metrics answers, for all workers."""
        if self.sum_metrics is None:
            return await asyncio.to_thread(self.metrics.text)
        return exposition(await self.sum_metrics())

    def broken(self) -> list[str]:
        """Why the process should be restarted; empty while it is alive."""
        batcher = self._tasks.get("batcher")
        return ["the batcher has stopped"] if batcher is not None and batcher.done() else []

    def unready(self) -> list[str]:
        """Why the service should be given no work now; empty while it is ready."""
        reasons = self.broken()
        if self.draining:
            reasons.append("draining")
        if not list(self.catalog):
            reasons.append("no pipelines")
        if self.admission.share >= HIGH_WATER:
            reasons.append(f"the queue is {self.admission.share:.0%} full")
        return reasons

    def _start(self, name: str, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work, name=f"augserve-{name}")
        task.add_done_callback(_report)
        self._tasks[name] = task

    def _watch_queues(self) -> None:
        self.metrics.watch("queue_results", "Results admitted, not computed", lambda: self.admission.load.results)
        self.metrics.watch(
            "queue_megapixels", "Megapixels admitted, not computed", lambda: self.admission.load.pixels / MEGA
        )
        self.metrics.watch("queue_bytes", "Bytes of bodies and results held", lambda: self.admission.load.bytes)
        self.metrics.watch(
            "queue_share", "How full the fullest queue is, 0 to 1", lambda: self.admission.share, Across.MAX
        )
        self.metrics.watch("requests_in_flight", "Requests being answered", lambda: self._in_flight)
        self.metrics.watch("pipelines", "Pipelines served", lambda: len(list(self.catalog)), Across.MAX)
        self.metrics.watch(
            "pipeline_problems", "Problems in pipeline files", lambda: len(self.catalog.problems), Across.MAX
        )


def _report(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and (exc := task.exception()) is not None:
        logger.critical("%s has stopped", task.get_name(), exc_info=exc)


def _executor(settings: Settings) -> Executor:
    try:
        device = choose_device(settings.device)
    except ValueError as exc:
        raise InvalidSettings([f"device: {exc}"]) from exc
    limits = TransferLimits(int(settings.pinned_megabytes * MIB), int(settings.device_megabytes * MIB))
    return Executor(device, Transfer(device, limits) if device.type == "cuda" else None)


def _queue_limit(settings: Settings) -> Load:
    return Load(settings.queue_results, int(settings.queue_megapixels * MEGA), settings.queue_bytes)


def _limits(settings: Settings) -> Limits:
    image = ImageLimits(settings.max_image_bytes, settings.max_image_pixels, settings.max_image_side)
    return Limits(
        Inspector(
            image,
            ClipLimits(settings.max_clip_frames, settings.clip_timeout_s),
            TargetLimits(settings.max_target_rows, image),
        ),
        BatchLimits(settings.batch_images, int(settings.batch_megapixels * MEGA), settings.max_wait_ms / 1000),
        settings.max_output_bytes,
    )
