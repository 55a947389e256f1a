"""Traces by OpenTelemetry: a span for each request with its stages in it, and one for each batch, linked to them.

Needs the extra ``telemetry``. Spans are made when a request or a batch is over, from times that are kept anyway.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping
from time import perf_counter_ns, time_ns
from typing import Final, TypeAlias

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import SERVICE_NAME, OTELResourceDetector, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import Link, Span, SpanContext, SpanKind, Status, StatusCode, Tracer, format_trace_id
from opentelemetry.trace.propagation import set_span_in_context
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from augserve_server.batcher import BatchRun
from augserve_server.timings import Timings

PATH: Final = "/v1/traces"
CLOSE_S: Final = 3.0
"""Longest that the end of the process waits for a collector to take the last spans."""

Attributes: TypeAlias = Mapping[str, str | int | float | bool]


class RequestSpan:
    """A request that is being answered: the span of it, which only its end tells about."""

    def __init__(self, tracer: Tracer, span: Span) -> None:
        self._tracer = tracer
        self._span = span

    @property
    def context(self) -> SpanContext:
        """By which others refer to it."""
        return self._span.get_span_context()

    @property
    def trace_id(self) -> str:
        """Of the trace that it belongs to, 32 hexadecimal digits."""
        return format_trace_id(self.context.trace_id)

    def end(self, name: str, attributes: Attributes, timings: Timings, failed: bool) -> None:
        """The request is answered. ``failed``: by a mistake or a lack of the server's."""
        if not self._span.is_recording():
            return
        within = set_span_in_context(self._span)
        for stretch in timings.stretches:
            began, ended = _epoch_ns(stretch.began), _epoch_ns(stretch.began + stretch.seconds)
            batch = timings.batch_attributes if stretch.stage == "run" else None
            self._tracer.start_span(stretch.stage, within, attributes=batch, start_time=began).end(ended)
        self._span.update_name(name)
        self._span.set_attributes(dict(attributes))
        if failed:
            self._span.set_status(Status(StatusCode.ERROR))
        self._span.end()


class Telemetry:
    """Where spans go: to a collector over OTLP/HTTP, in batches, by a thread of its own.

    The standard OTEL_* variables say the rest: OTEL_SERVICE_NAME, OTEL_TRACES_SAMPLER, OTEL_EXPORTER_OTLP_HEADERS...
    """

    def __init__(self, endpoint: str) -> None:
        """``endpoint`` is the base address of a collector, ``http://localhost:4318``, or that with its path."""
        address = endpoint.rstrip("/")
        self._exporter = OTLPSpanExporter(address if address.endswith(PATH) else address + PATH)
        named = SERVICE_NAME in OTELResourceDetector().detect().attributes
        resource = Resource.create({} if named else {SERVICE_NAME: "augserve"})
        self._provider = TracerProvider(resource=resource, shutdown_on_exit=False)
        self._tracer = self._provider.get_tracer("augserve")
        self._propagator = TraceContextTextMapPropagator()

    def start(self) -> None:
        """Send what ends from now on, in a thread: after any fork."""
        self._provider.add_span_processor(BatchSpanProcessor(self._exporter))

    def begin(self, carrier: Mapping[str, str]) -> RequestSpan:
        """A request has come; ``carrier`` has its headers, or the metadata of its call, with names in lower case."""
        context = self._propagator.extract(carrier)
        return RequestSpan(self._tracer, self._tracer.start_span("request", context, SpanKind.SERVER))

    def batch(self, run: BatchRun) -> None:
        """A batch is done: a trace of its own, which leads to those of its requests."""
        links = [Link(context) for context in _contexts(run) if context.trace_flags.sampled]
        if not links:
            return
        attributes: Attributes = {
            "augserve.pipeline": run.pipeline,
            "augserve.batch.size": run.size,
            "augserve.batch.close": run.close.value,
            "augserve.batch.megapixels": round(run.pixels / 1e6, 3),
            "augserve.batch.decode_seconds": round(run.decode_s, 6),
        }
        span = self._tracer.start_span(
            "batch", attributes=dict(attributes), links=links, start_time=_epoch_ns(run.began)
        )
        span.end(_epoch_ns(run.began + run.seconds))

    def close(self) -> None:
        """Send what is left, for three seconds at most. Blocks: not for the event loop."""
        sending = threading.Thread(target=self._provider.shutdown, name="augserve-last-spans", daemon=True)
        sending.start()
        sending.join(CLOSE_S)
        if sending.is_alive():
            self._exporter.shutdown()  # type: ignore[no-untyped-call]  # in opentelemetry


def _contexts(run: BatchRun) -> Iterable[SpanContext]:
    """The span of each request that has samples in a batch, once."""
    return {one.request_id: one.span for one in run.origins if one.span is not None}.values()


def _epoch_ns(seconds: float) -> int:
    """A time of perf_counter as one of the calendar, in nanoseconds since 1970."""
    return time_ns() - perf_counter_ns() + int(seconds * 1e9)
