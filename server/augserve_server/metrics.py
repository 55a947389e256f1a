"""What the service counts about itself, for Prometheus; a registry of its own for each app."""

from __future__ import annotations

from collections import Counter as Tally
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import cache
from threading import Lock
from time import perf_counter
from typing import Any, Final

from prometheus_client import CollectorRegistry, Counter, Gauge, ProcessCollector, generate_latest
from prometheus_client.core import Metric
from prometheus_client.registry import Collector

from augserve_server.errors import ImageError, InternalError, QueueFull, ServiceError, Unavailable
from augserve_server.histograms import Histogram
from augserve_server.statistics import Answered, Statistics
from augserve_server.stopwatch import Stopwatch
from augserve_server.workers.totals import Across, Family

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
STAGES: Final = ("read", "decode", "queue", "run", "mix", "encode", "write")
MEGA: Final = 1e6
MOST_KEPT: Final = 256
"""Requests that are kept until they are counted, if nobody asks before."""

_SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
_RATIOS = (0.25, 0.5, 0.7, 0.8, 0.9, 1.0, 1.1, 1.25, 1.5, 2.0, 4.0)
_SIZES = (1, 2, 4, 8, 16, 32, 64, 128, 256)
_MEGAPIXELS = (0.1, 0.25, 0.5, 1, 2, 4, 8, 16, 32, 64, 128)


@dataclass(frozen=True, slots=True)
class Definition:
    """A metric as it is exposed: its whole name, its type, the names of its labels, and what it says."""

    name: str
    kind: str
    labels: Sequence[str]
    about: str


class Metrics:
    """Every metric of one app. Labels take known values only: pipelines that exist, slugs, stages, formats."""

    def __init__(self) -> None:
        self.registry = _Registry(self._count_kept)
        self._statistics = Statistics()
        self._kept: deque[Answered] = deque()  # which threads may fill and empty at the same time
        self._counting = Lock()
        self.definitions: list[Definition] = []
        self._across = dict.fromkeys(("process_start_time_seconds", "process_max_fds"), Across.MAX)
        self._requests = self._counter("requests", "Requests answered", "pipeline", "status")
        self._request_seconds = self._histogram("request_seconds", "Whole requests for work", _SECONDS, "pipeline")
        self._stages = self._histogram("stage_seconds", "Stages of a request", _SECONDS, "stage")
        self._received = self._counter("request_body_bytes", "Bytes of bodies received")
        self._sent = self._counter("response_body_bytes", "Bytes of bodies sent")
        self._results = self._counter("results", "Results computed and sent", "pipeline")
        self._failures = self._counter("failures", "Images and requests that failed", "error")
        self._refusals = self._counter("refusals", "Requests refused that another time would do", "cause", "priority")
        self._decoded = self._counter("decoded_images", "Images and frames of clips whose pixels were decoded")
        self._decode = self._histogram(
            "decode_seconds", "Decoding of one image or clip, by one thread", _SECONDS, "format"
        )
        self._decode_errors = self._counter("decode_errors", "Images and clips that do not decode", "error", "format")
        self._wasted = self._counter("wasted_megapixels", "Megapixels worked on for nobody", "stage")
        self._batches = self._counter("batches", "Batches run", "pipeline", "close")
        self._batch_size = self._histogram("batch_size", "Samples in a batch", _SIZES, "pipeline")
        self._batch_megapixels = self._histogram(
            "batch_megapixels", "Megapixels of source images in a batch", _MEGAPIXELS, "pipeline"
        )
        self._batch_seconds = self._histogram(
            "batch_seconds", "Batches on the device, with the decoding that happens there", _SECONDS, "pipeline"
        )
        self._device_oom = self._counter("device_oom", "Batches, and parts of them, that the device had no memory for")
        self._queued = self._histogram("queue_seconds", "Samples in the queue, until their batch", _SECONDS, "priority")
        self._cost_ratio = self._histogram("cost_ratio", "Work as observed, over what was predicted", _RATIOS)
        self._reloads = self._counter("pipeline_reloads", "Pipeline files read", "outcome")
        self._of = cache(_labelled)
        self._by_stage = {stage: self._stages.labels(stage) for stage in STAGES}
        ProcessCollector(registry=self.registry)

    def watch(self, name: str, about: str, value: Callable[[], float], across: Across = Across.SUM) -> None:
        """A gauge ``augserve_<name>`` that asks ``value`` when it is read; ``across`` says what it is over workers."""
        self._across[f"augserve_{name}"] = across
        self._gauge(name, about).set_function(value)

    def watch_each(self, name: str, about: str, label: str, values: Mapping[str, Callable[[], float]]) -> None:
        """Such a gauge for each value of a label; for none, where there is nothing of the kind here."""
        gauge = self._gauge(name, about, label)
        for of, value in values.items():
            gauge.labels(of).set_function(value)

    def tell(self, name: str, about: str, **labels: str) -> None:
        """A gauge that is always 1, for what its labels say."""
        self._across[f"augserve_{name}"] = Across.MAX
        self._gauge(name, about, *labels).labels(**labels).set(1)

    @property
    def statistics(self) -> Statistics:
        """What the service counts about each pipeline."""
        self._count_kept()
        return self._statistics

    def answered(self, request: Answered) -> None:
        """A request was answered."""
        self._kept.append(request)
        if len(self._kept) >= MOST_KEPT:
            self._count_kept()

    def error(self, error: ServiceError) -> None:
        """A whole request was answered with this."""
        self.failure(error.slug)
        if isinstance(error, Unavailable) and not isinstance(error, QueueFull):  # which is counted where it is decided
            self.refused(error.slug, "")

    def failure(self, slug: str) -> None:
        """An image, or a whole request, failed."""
        self._of(self._failures, slug).inc()

    def refused(self, cause: str, priority: str) -> None:
        """A request of a class was refused that another time, or another server, would have answered."""
        self._of(self._refusals, cause, priority).inc()

    def decoded(self, count: int = 1) -> None:
        """The pixels of an image were decoded, or of so many frames of a clip."""
        self._decoded.inc(count)

    def decoding(self, format: str, watch: Stopwatch | None = None) -> AbstractContextManager[None]:
        """An image, or a clip, of a format is decoded; its errors are counted, and not caught."""
        return _Decoding(self, format, watch)

    def decode_took(self, format: str, seconds: float) -> None:
        """An image, or a clip, of a format was decoded in so many seconds of one thread, or of the device."""
        self._of(self._decode, format).observe(seconds)

    def decode_error(self, slug: str, format: str) -> None:
        """An image or a clip cannot be decoded; ``format`` is "unknown" where its first bytes say none."""
        self._of(self._decode_errors, slug, format).inc()

    def wasted(self, stage: str, pixels: int) -> None:
        """An image went through a stage though nobody wanted it any more."""
        self._of(self._wasted, stage).inc(pixels / MEGA)

    def batch(self, pipeline: str, size: int, close: str) -> None:
        """A batch goes to the device, closed for the reason ``close``."""
        self._of(self._batches, pipeline, close).inc()
        self._of(self._batch_size, pipeline).observe(size)

    def ran(self, pipeline: str, size: int, seconds: float) -> None:
        """A batch came back from the device."""
        self._statistics.batch(pipeline, size, seconds)

    def batch_ran(self, pipeline: str, pixels: int, seconds: float) -> None:
        """A batch of so many pixels of source images came back from the device."""
        self._of(self._batch_megapixels, pipeline).observe(pixels / MEGA)
        self._of(self._batch_seconds, pipeline).observe(seconds)

    def queued(self, priority: str, seconds: Sequence[float]) -> None:
        """Samples of a class have waited so long for their batch."""
        self._of(self._queued, priority).observe_all(seconds)

    def cost(self, ratio: float) -> None:
        """Some work took so many times what was predicted."""
        self._cost_ratio.observe(ratio)

    def out_of_memory(self) -> None:
        """A batch found too little memory on the device, and was split."""
        self._device_oom.inc()

    def reload(self, outcome: str) -> None:
        """A pipeline file was read: ``good``, ``bad`` or ``removed``."""
        self._reloads.labels(outcome).inc()

    def text(self) -> bytes:
        """The exposition that /metrics answers."""
        return generate_latest(self.registry)

    def families(self) -> list[Family]:
        """Every metric as values, to be summed with those of other workers."""
        return [self._family(metric) for metric in self.registry.collect()]

    def _count_kept(self) -> None:
        """Count the requests that were answered since the last time: many at once take less than one by one."""
        with self._counting:
            answered = [self._kept.popleft() for _ in range(len(self._kept))]
            self._received.inc(sum(one.received for one in answered))
            self._sent.inc(sum(one.sent for one in answered))
            for (pipeline, status), count in Tally((one.pipeline, one.status) for one in answered).items():
                self._of(self._requests, pipeline, str(status)).inc(count)
            for pipeline in {one.pipeline: None for one in answered if one.pipeline}:
                self._count_work(pipeline, [one for one in answered if one.pipeline == pipeline])

    def _count_work(self, pipeline: str, answered: Sequence[Answered]) -> None:
        self._statistics.requests(pipeline, answered)
        self._of(self._results, pipeline).inc(sum([one.results for one in answered]))
        self._of(self._request_seconds, pipeline).observe_all([one.seconds for one in answered])
        for stage, part in self._by_stage.items():
            part.observe_all([one.stages[stage] for one in answered if stage in one.stages])

    def _family(self, metric: Metric) -> Family:
        samples = {
            (sample.name, tuple(sample.labels.items())): sample.value
            for sample in metric.samples
            if not sample.name.endswith("_created")  # when each process began to count is nothing to sum
        }
        across = self._across.get(metric.name, Across.SUM)
        return Family(metric.name, metric.type, metric.documentation, samples, across)

    def _counter(self, name: str, about: str, *labels: str) -> Counter:
        self._define(f"{name}_total", "counter", labels, about)
        return Counter(f"augserve_{name}", about, labels, registry=self.registry)

    def _gauge(self, name: str, about: str, *labels: str) -> Gauge:
        self._define(name, "gauge", labels, about)
        return Gauge(f"augserve_{name}", about, labels, registry=self.registry)

    def _histogram(self, name: str, about: str, buckets: tuple[float, ...], *labels: str) -> Histogram:
        self._define(name, "histogram", labels, about)
        return Histogram(f"augserve_{name}", about, labels, buckets, self.registry)

    def _define(self, name: str, kind: str, labels: Sequence[str], about: str) -> None:
        self.definitions.append(Definition(f"augserve_{name}", kind, labels, about))


def _labelled(metric: Any, *labels: str) -> Any:
    """The part of a metric that has these labels: to be kept, for it is found under a lock and by strings made anew."""
    return metric.labels(*labels)


def exposition(families: Iterable[Family]) -> bytes:
    """What /metrics answers, of metrics that were summed."""
    registry = CollectorRegistry()
    registry.register(_Summed(families))
    return generate_latest(registry)


class _Registry(CollectorRegistry):
    """A registry that has ``count`` called before it tells its values."""

    def __init__(self, count: Callable[[], None]) -> None:
        super().__init__()
        self._count = count

    def collect(self) -> Iterator[Metric]:
        self._count()
        yield from super().collect()


class _Summed(Collector):
    def __init__(self, families: Iterable[Family]) -> None:
        self._families = families

    def collect(self) -> Iterable[Metric]:
        for family in self._families:
            metric = Metric(family.name, family.about, family.type)
            for (name, labels), value in family.samples.items():
                metric.add_sample(name, dict(labels), value)
            yield metric


class _Decoding(AbstractContextManager[None]):
    """One image, or clip, that is decoded. A class, because entering and leaving a generator takes 1 us more."""

    __slots__ = ("_began", "_format", "_metrics", "_watch")

    def __init__(self, metrics: Metrics, format: str, watch: Stopwatch | None) -> None:
        self._metrics = metrics
        self._format = format
        self._watch = watch

    def __enter__(self) -> None:
        self._began = perf_counter()

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        seconds = perf_counter() - self._began
        if isinstance(error, ImageError):
            self._metrics.decode_error(error.slug, self._format)
        elif isinstance(error, Exception) and not isinstance(error, ServiceError):  # which says that nobody wants it
            self._metrics.decode_error(InternalError.slug, self._format)
        if self._watch is not None:
            self._watch.seconds += seconds
        self._metrics.decode_took(self._format, seconds)
