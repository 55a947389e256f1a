"""What the service counts about itself, for Prometheus; a registry of its own for each app."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
STAGES: Final = ("read", "decode", "queue", "run", "mix", "encode", "write")
MEGA: Final = 1e6

_SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
_RATIOS = (0.25, 0.5, 0.7, 0.8, 0.9, 1.0, 1.1, 1.25, 1.5, 2.0, 4.0)
_SIZES = (1, 2, 4, 8, 16, 32, 64, 128, 256)


class Metrics:
    """Every metric of one app. Labels take known values only: pipelines that exist, slugs, stages."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._requests = self._counter("requests", "Requests answered", "pipeline", "status")
        self._request_seconds = self._histogram("request_seconds", "Whole requests for work", _SECONDS, "pipeline")
        self._results = self._counter("results", "Results computed and sent", "pipeline")
        self._failures = self._counter("failures", "Images and requests that failed", "error")
        self._decoded = self._counter("decoded_images", "Images and frames of clips whose pixels were decoded")
        self._wasted = self._counter("wasted_megapixels", "Megapixels worked on for nobody", "stage")
        self._batches = self._counter("batches", "Batches run", "pipeline", "close")
        self._batch_size = self._histogram("batch_size", "Samples in a batch", _SIZES, "pipeline")
        self._queued = self._histogram("queue_seconds", "Samples in the queue, until their batch", _SECONDS, "priority")
        self._refusals = self._counter("refusals", "Requests refused for load", "cause", "priority")
        self._cost_ratio = self._histogram("cost_ratio", "Work as observed, over what was predicted", _RATIOS)
        self._stages = self._histogram("stage_seconds", "Stages of a request", _SECONDS, "stage")
        self._reloads = self._counter("pipeline_reloads", "Pipeline files read", "outcome")
        self._reads = {stage: self._stages.labels(stage) for stage in STAGES}

    def watch(self, name: str, about: str, value: Callable[[], float]) -> None:
        """A gauge ``augserve_<name>`` that asks ``value`` whenever it is read."""
        Gauge(f"augserve_{name}", about, registry=self.registry).set_function(value)

    def watch_each(self, name: str, about: str, label: str, values: Mapping[str, Callable[[], float]]) -> None:
        """Such a gauge for each value of a label."""
        gauge = Gauge(f"augserve_{name}", about, (label,), registry=self.registry)
        for of, value in values.items():
            gauge.labels(of).set_function(value)

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

    def queued(self, priority: str, seconds: float) -> None:
        """A sample of a class has waited for its batch."""
        self._queued.labels(priority).observe(seconds)

    def refused(self, cause: str, priority: str) -> None:
        """A request of a class was refused for load: what was full, or why others would have been let in."""
        self._refusals.labels(cause, priority).inc()

    def cost(self, ratio: float) -> None:
        """Some work took so many times what was predicted."""
        self._cost_ratio.observe(ratio)

    def stage(self, stage: str, seconds: float) -> None:
        """A request spent time in one of :data:`STAGES`."""
        self._reads[stage].observe(seconds)

    def reload(self, outcome: str) -> None:
        """A pipeline file was read: ``good``, ``bad`` or ``removed``."""
        self._reloads.labels(outcome).inc()

    def text(self) -> bytes:
        """The exposition that /metrics answers."""
        return generate_latest(self.registry)

    def _counter(self, name: str, about: str, *labels: str) -> Counter:
        return Counter(f"augserve_{name}", about, labels, registry=self.registry)

    def _histogram(self, name: str, about: str, buckets: tuple[float, ...], *labels: str) -> Histogram:
        return Histogram(f"augserve_{name}", about, labels, buckets=buckets, registry=self.registry)
