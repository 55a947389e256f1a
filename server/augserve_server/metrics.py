"""What the service counts about itself, for Prometheus; a registry of its own for each app."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.core import Metric
from prometheus_client.registry import Collector

from augserve_server.workers.totals import Across, Family

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
STAGES: Final = ("read", "decode", "queue", "run", "mix", "encode", "write")
MEGA: Final = 1e6

_SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
_SIZES = (1, 2, 4, 8, 16, 32, 64, 128, 256)


class Metrics:
    """Every metric of one app. Labels take known values only: pipelines that exist, slugs, stages."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._across = dict.fromkeys(("process_start_time_seconds", "process_max_fds"), Across.MAX)
        self._requests = self._counter("requests", "Requests answered", "pipeline", "status")
        self._request_seconds = self._histogram("request_seconds", "Whole requests for work", _SECONDS, "pipeline")
        self._results = self._counter("results", "Results computed and sent", "pipeline")
        self._failures = self._counter("failures", "Images and requests that failed", "error")
        self._decoded = self._counter("decoded_images", "Images and frames of clips whose pixels were decoded")
        self._wasted = self._counter("wasted_megapixels", "Megapixels worked on for nobody", "stage")
        self._batches = self._counter("batches", "Batches run", "pipeline", "close")
        self._batch_size = self._histogram("batch_size", "Samples in a batch", _SIZES, "pipeline")
        self._stages = self._histogram("stage_seconds", "Stages of a request", _SECONDS, "stage")
        self._reloads = self._counter("pipeline_reloads", "Pipeline files read", "outcome")
        self._reads = {stage: self._stages.labels(stage) for stage in STAGES}

    def watch(self, name: str, about: str, value: Callable[[], float], across: Across = Across.SUM) -> None:
        """A gauge ``augserve_<name>`` that asks ``value`` when it is read; ``across`` says what it is over workers."""
        self._across[f"augserve_{name}"] = across
        Gauge(f"augserve_{name}", about, registry=self.registry).set_function(value)

    def request(self, pipeline: str, status: int, seconds: float) -> None:
        """A request was answered; ``pipeline`` is empty where it named none that exists."""
        self._requests.labels(pipeline, str(status)).inc()
        if pipeline:
            self._request_seconds.labels(pipeline).observe(seconds)

    def results(self, pipeline: str, count: int) -> None:
        """Results were computed for a request."""
        self._results.labels(pipeline).inc(count)

    def failure(self, slug: str) -> None:
        """An image, or a whole request, failed."""
        self._failures.labels(slug).inc()

    def decoded(self, count: int = 1) -> None:
        """The pixels of an image were decoded, or of so many frames of a clip."""
        self._decoded.inc(count)

    def wasted(self, stage: str, pixels: int) -> None:
        """An image went through a stage though nobody wanted it any more."""
        self._wasted.labels(stage).inc(pixels / MEGA)

    def batch(self, pipeline: str, size: int, close: str) -> None:
        """A batch goes to the device, closed for the reason ``close``."""
        self._batches.labels(pipeline, close).inc()
        self._batch_size.labels(pipeline).observe(size)

    def stage(self, stage: str, seconds: float) -> None:
        """A request spent time in one of :data:`STAGES`."""
        self._reads[stage].observe(seconds)

    def reload(self, outcome: str) -> None:
        """A pipeline file was read: ``good``, ``bad`` or ``removed``."""
        self._reloads.labels(outcome).inc()

    def text(self) -> bytes:
        """The exposition that /metrics answers."""
        return generate_latest(self.registry)

    def families(self) -> list[Family]:
        """Every metric as values, to be summed with those of other workers."""
        return [self._family(metric) for metric in self.registry.collect()]

    def _family(self, metric: Metric) -> Family:
        samples = {
            (sample.name, tuple(sample.labels.items())): sample.value
            for sample in metric.samples
            if not sample.name.endswith("_created")  # when each process began to count is nothing to sum
        }
        across = self._across.get(metric.name, Across.SUM)
        return Family(metric.name, metric.type, metric.documentation, samples, across)

    def _counter(self, name: str, about: str, *labels: str) -> Counter:
        return Counter(f"augserve_{name}", about, labels, registry=self.registry)

    def _histogram(self, name: str, about: str, buckets: tuple[float, ...], *labels: str) -> Histogram:
        return Histogram(f"augserve_{name}", about, labels, buckets=buckets, registry=self.registry)


def exposition(families: Iterable[Family]) -> bytes:
    """What /metrics answers, of metrics that were summed."""
    registry = CollectorRegistry()
    registry.register(_Summed(families))
    return generate_latest(registry)


class _Summed(Collector):
    def __init__(self, families: Iterable[Family]) -> None:
        self._families = families

    def collect(self) -> Iterable[Metric]:
        for family in self._families:
            metric = Metric(family.name, family.about, family.type)
            for (name, labels), value in family.samples.items():
                metric.add_sample(name, dict(labels), value)
            yield metric
