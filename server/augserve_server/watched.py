"""What is seen of a request from outside: its line in the log, its numbers, and where it is traced its spans."""

from __future__ import annotations

import re
from time import perf_counter, time
from typing import TYPE_CHECKING, Final

from augserve_server.errors import InvalidSettings, QueueFull
from augserve_server.origins import Origin, answer_for
from augserve_server.statistics import Answered

if TYPE_CHECKING:
    from augserve_server.service import Service
    from augserve_server.telemetry import RequestSpan, Telemetry  # which needs an extra
    from augserve_server.visits import Visit  # which uses this

TRACEPARENT: Final = re.compile(r"[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")
"""W3C Trace Context: version, trace, parent span, flags."""


class Watch:
    """A request from its first moment to its last. Work that begins within knows whom it is for."""

    def __init__(self, visit: Visit, service: Service) -> None:
        carrier = visit.carrier
        span = service.telemetry.begin(carrier) if service.telemetry is not None and not visit.quiet else None
        visit.trace_id = span.trace_id if span is not None else _trace_id(carrier.get("traceparent", ""))
        answer_for(Origin(visit.id, None if span is None else span.context))
        self._visit = visit
        self._service = service
        self._span = span

    def end(self) -> None:
        """Count it, and tell of it."""
        _count(self._visit, self._service)
        _log(self._visit, self._service)
        if self._span is not None:
            _end(self._span, self._visit)


def load_telemetry(endpoint: str | None) -> Telemetry | None:
    """Where traces go; None where they are not wanted. Raises InvalidSettings where OpenTelemetry is not installed."""
    if endpoint is None:
        return None
    try:
        from augserve_server.telemetry import Telemetry
    except ModuleNotFoundError as exc:
        package = (exc.name or "").partition(".")[0]
        missing = f"otlp_endpoint: '{package}' is not installed: pip install 'augserve[telemetry]'"
        raise InvalidSettings([missing]) from exc
    return Telemetry(endpoint)


def _log(visit: Visit, service: Service) -> None:
    """A line about each request; of those that were refused for load, about some."""
    left_out = service.refusal_lines.left_out() if visit.status == QueueFull.status else 0
    if left_out is not None:
        visit.log(left_out)


def _count(visit: Visit, service: Service) -> None:
    if visit.pipeline and visit.write_began is not None:
        visit.timings.add("write", visit.write_began, perf_counter())
    about = visit.pipeline, visit.status, visit.results, visit.seconds, visit.timings.seconds
    service.metrics.answered(Answered(*about, visit.received, visit.sent, time()))


def _end(span: RequestSpan, visit: Visit) -> None:
    about = {
        **visit.span_attributes,
        "augserve.request_id": visit.id,
        "augserve.pipeline": visit.pipeline,
        "augserve.results": visit.results,
        "augserve.failed": visit.failed,
        "error.type": visit.error,
    }
    known = {name: value for name, value in about.items() if value != ""}
    span.end(visit.span_name, known, visit.timings, visit.faulty)


def _trace_id(traceparent: str) -> str:
    found = TRACEPARENT.match(traceparent) if traceparent else None
    return found[1] if found else ""
