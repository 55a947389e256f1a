"""Everything that runs in one app: made together, started and stopped together, and whether it is ready."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import Any, Final

from augserve_pipelines.executor import cores
from augserve_pipelines.transfer import Transfer, TransferLimits
from augserve_server.admission import MICRO, Admission, Load, Priority
from augserve_server.batcher import Batcher, BatchLimits
from augserve_server.catalog import Catalog
from augserve_server.codecs import ImageLimits
from augserve_server.costs import Costs
from augserve_server.decoding import Decoder
from augserve_server.device_gauges import watch_device
from augserve_server.engine import Engine, Limits
from augserve_server.errors import Draining, InvalidSettings, QueueFull
from augserve_server.executor import Executor, choose_device
from augserve_server.inspection import ClipLimits, Inspector
from augserve_server.ledger import Ledger
from augserve_server.logs import Sparing
from augserve_server.metrics import MEGA, Metrics, exposition
from augserve_server.oip.shared_memory import RegionLimits, Regions
from augserve_server.results import Encoder
from augserve_server.settings import MIB, Settings, pipelines_folder
from augserve_server.targets import TargetLimits
from augserve_server.watched import load_telemetry
from augserve_server.workers.totals import Across, Family

HIGH_WATER: Final = 0.9
"""Above this share of any queue's limit, the service is not ready for more."""

REFUSALS_PER_S: Final = 10
"""Most lines a second about requests that were refused for load: more would be work where there is too much of it."""

logger = logging.getLogger(__name__)


class Service:
    """The parts of one app, wired. Raises InvalidSettings or NoPipelines where they cannot be."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.metrics = Metrics()
        self.telemetry = load_telemetry(settings.otlp_endpoint)
        self.admission = Admission(_queue_limit(settings), refused=self.metrics.refused)
        self.costs = Costs(self.metrics.cost)
        self.executor = _executor(settings, self.metrics)
        self.catalog = Catalog(
            pipelines_folder(settings), self.executor.warm_up, self.metrics.reload, settings.max_stage_pixels
        )
        self.catalog.load()
        self._decoder = Decoder(settings.decode_threads, self.metrics)
        self.encoder = Encoder(settings.encode_threads)
        limits = _limits(settings)
        on_one_core = cores() == 1 and self.executor.device.type == "cpu"
        self._batcher = Batcher(self.executor, limits.batch, self.metrics, self.costs, on_one_core)
        if self.telemetry is not None:
            self._batcher.on_ran = self.telemetry.batch
        self.ledger = Ledger(self.costs, self.metrics)
        self.engine = Engine(self._decoder, self._batcher, self.executor, self.encoder, limits, self.ledger)
        self.regions = _regions(settings)
        self.refusal_lines = Sparing(REFUSALS_PER_S)
        self.draining = False
        self.sum_metrics: Callable[[], Awaitable[Sequence[Family]]] | None = None
        """How to have the metrics of all workers, where this process is one of several."""
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._in_flight = 0
        self._idle = asyncio.Event()
        self._idle.set()
        self._watch_queues()
        watch_device(self.metrics, self.executor)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Feed the device and watch the folder; on the way out, stop both and end the threads."""
        self.executor.begin()
        if self.telemetry is not None:
            self.telemetry.start()
        self._start("batcher", self._batcher.run())
        if self.settings.reload:
            self._start("reload", self.catalog.watch())
        try:
            yield
        finally:
            for task in self._tasks.values():
                task.cancel()
            await asyncio.gather(*self._tasks.values(), return_exceptions=True)
            for part in (self._decoder, self.executor, self.encoder):
                part.close()
            if self.regions is not None:
                self.regions.close()
            if self.telemetry is not None:
                await asyncio.to_thread(self.telemetry.close)

    def enter(self) -> None:
        """A request for work has come. Raises Draining, DeviceFailed or QueueFull where it is not to be read at all."""
        if self.draining:
            raise Draining
        self.executor.check()
        if self._in_flight > self.settings.max_requests:
            self.metrics.refused("requests", "")
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
        reasons = ["the batcher has stopped"] if batcher is not None and batcher.done() else []
        if self.executor.failed and self.settings.failover == "none":
            reasons.append(f"device {self.executor.device} has failed")
        return reasons

    def unready(self) -> list[str]:
        """Why the service should be given no work now; empty while it is ready."""
        reasons = self.broken()
        if self.executor.failed and self.settings.failover == "cpu":
            reasons.append(f"device {self.executor.device} has failed: its work goes on on the CPU")
        if self.draining:
            reasons.append("draining")
        if (running_s := self._batcher.running_s) > self.settings.deadline_ms / 1000:
            reasons.append(f"a batch has run for {running_s:.0f} seconds: the device may hang")
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
        most = Across.MAX
        self.metrics.watch("queue_results", "Results admitted, not computed", lambda: self.admission.load.results)
        self.metrics.watch(
            "queue_megapixels", "Megapixels admitted, not computed", lambda: self.admission.load.pixels / MEGA
        )
        self.metrics.watch("queue_bytes", "Bytes of bodies and results held", lambda: self.admission.load.bytes)
        self.metrics.watch("queue_share", "How full the fullest queue is, 0 to 1", lambda: self.admission.share, most)
        self.metrics.watch(
            "backlog_seconds", "Seconds until all admitted is done", lambda: self.admission.backlog_s, most
        )
        depths = {str(one): partial(self._batcher.depth, one) for one in Priority}
        self.metrics.watch_each("queue_depth", "Samples that wait for a batch", "priority", depths)
        self.metrics.watch("requests_in_flight", "Requests being answered", lambda: self._in_flight)
        self.metrics.watch(
            "batch_age_seconds", "How long the oldest batch has run", lambda: self._batcher.running_s, most
        )
        self.metrics.watch("ready", "1 while /readyz is 200, else 0", lambda: not self.unready(), Across.MIN)
        self.metrics.watch("pipelines", "Pipelines served", lambda: len(list(self.catalog)), most)
        self.metrics.watch("pipeline_problems", "Problems in pipeline files", lambda: len(self.catalog.problems), most)


def _report(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and (exc := task.exception()) is not None:
        logger.critical("%s has stopped", task.get_name(), exc_info=exc)


def _executor(settings: Settings, metrics: Metrics) -> Executor:
    try:
        device = choose_device(settings.device)
    except ValueError as exc:
        raise InvalidSettings([f"device: {exc}"]) from exc
    limits = TransferLimits(int(settings.pinned_megabytes * MIB), int(settings.device_megabytes * MIB))
    transfer = Transfer(device, limits) if device.type == "cuda" else None
    return Executor(device, transfer, metrics, settings.failover)


def _regions(settings: Settings) -> Regions | None:
    """Where shared memory is registered; None while it is off."""
    if not settings.shared_memory:
        return None
    return Regions(
        RegionLimits(settings.shared_memory_prefix, settings.shared_memory_regions, settings.shared_memory_bytes)
    )


def _queue_limit(settings: Settings) -> Load:
    return Load(
        settings.queue_results,
        int(settings.queue_megapixels * MEGA),
        settings.queue_bytes,
        int(settings.queue_seconds * MICRO),
    )


def _limits(settings: Settings) -> Limits:
    image = ImageLimits(settings.max_image_bytes, settings.max_image_pixels, settings.max_image_side)
    return Limits(
        Inspector(
            image,
            ClipLimits(settings.max_clip_frames, settings.clip_timeout_s),
            TargetLimits(settings.max_target_rows, image),
        ),
        BatchLimits(
            settings.batch_images,
            int(settings.batch_megapixels * MEGA),
            settings.max_wait_ms / 1000,
            settings.bulk_patience_s,
        ),
        settings.max_output_bytes,
        settings.max_output_side,
    )
