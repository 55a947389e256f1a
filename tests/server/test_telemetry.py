"""Traces, as a collector gets them over OTLP/HTTP; and what is seen of traces where there is no collector."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import httpx
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from augserve_server.logs import Json
from factories import make_file
from serving import busy_device, run_server, until

TRACE, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
HEADERS = {"traceparent": f"00-{TRACE}-{PARENT}-01", "Authorization": "Bearer s3cr3t", "X-Request-Id": "mine"}


class Collector:
    """A collector of traces on a socket."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.exports: list[ExportTraceServiceRequest] = []

    @property
    def spans(self) -> list[Span]:
        return [
            span
            for export in self.exports
            for resource in export.resource_spans
            for scope in resource.scope_spans
            for span in scope.spans
        ]

    def named(self, name: str) -> list[Span]:
        return [span for span in self.spans if span.name == name]

    def children(self, parent: Span) -> dict[str, Span]:
        return {span.name: span for span in self.spans if span.parent_span_id == parent.span_id}


@contextmanager
def collecting() -> Iterator[Collector]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:  # as http.server calls it
            assert self.path == "/v1/traces"
            body = self.rfile.read(int(self.headers["Content-Length"]))
            collector.exports.append(ExportTraceServiceRequest.FromString(body))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        collector = Collector(f"http://127.0.0.1:{server.server_port}")
        thread = Thread(target=server.serve_forever, name="collector")
        thread.start()
        try:
            yield collector
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture(scope="module")
def collected() -> Collector:
    """What came of one request within a trace, two that shared a batch, a bad image, a bad path, and a probe."""
    with collecting() as collector:
        with run_server(otlp_endpoint=collector.url) as live, httpx.Client(base_url=live.url, timeout=30) as client:
            client.post("/v1/augment/thumbnail?seed=7&views=2", content=make_file(), headers=HEADERS)
            with busy_device(live) as released:
                asking = [
                    Thread(target=httpx.post, args=(f"{live.url}/v1/augment/imagenet_eval",), kwargs={"content": file})
                    for file in (make_file(), make_file("PNG"))
                ]
                for thread in asking:
                    thread.start()
                until(lambda: sum(map(len, live.service._batcher._queues.values())) == 2)
                released.set()
                for thread in asking:
                    thread.join()
            client.post("/v1/augment/thumbnail", content=make_file()[:2000])
            client.post("/nowhere/alice@example.org", content=b"x")
            client.get("/healthz")
        return collector


def attributes(span: Any) -> dict[str, Any]:
    return {one.key: getattr(one.value, one.value.WhichOneof("value")) for one in span.attributes}


def test_a_request_is_a_span_within_the_trace_of_its_caller(collected: Collector) -> None:
    first, *_ = collected.named("POST /v1/augment/{pipeline}")
    assert (first.trace_id.hex(), first.parent_span_id.hex()) == (TRACE, PARENT)
    assert first.kind == Span.SPAN_KIND_SERVER
    assert (
        attributes(first).items()
        >= {
            "http.request.method": "POST",
            "http.route": "/v1/augment/{pipeline}",
            "http.response.status_code": 200,
            "augserve.pipeline": "thumbnail",
            "augserve.request_id": "mine",
            "augserve.results": 2,
            "augserve.failed": 0,
        }.items()
    )


def test_its_stages_are_spans_in_it_one_after_another(collected: Collector) -> None:
    first, *_ = collected.named("POST /v1/augment/{pipeline}")
    stages = collected.children(first)
    assert set(stages) == {"read", "decode", "queue", "run", "encode", "write"}
    run = attributes(stages["run"])
    assert (run["augserve.batch.size"], run["augserve.batch.close"]) == (2, "idle")
    assert 0 < run["augserve.decode_seconds"] < 10
    order = [stages[name] for name in ("read", "queue", "run", "encode", "write")]
    assert [span.start_time_unix_nano for span in order] == sorted(span.start_time_unix_nano for span in order)
    slack_ns = 1_000_000  # two clocks, read one after the other
    assert all(
        first.start_time_unix_nano - slack_ns <= span.start_time_unix_nano <= span.end_time_unix_nano
        and span.end_time_unix_nano <= first.end_time_unix_nano + slack_ns
        for span in stages.values()
    )


def test_a_batch_leads_to_the_requests_in_it(collected: Collector) -> None:
    (shared,) = (span for span in collected.named("batch") if attributes(span)["augserve.pipeline"] == "imagenet_eval")
    requests = {
        span.span_id
        for span in collected.named("POST /v1/augment/{pipeline}")
        if attributes(span)["augserve.pipeline"] == "imagenet_eval"
    }
    assert len(requests) == 2
    assert {link.span_id for link in shared.links} == requests
    assert attributes(shared)["augserve.batch.size"] == 2
    assert shared.end_time_unix_nano > shared.start_time_unix_nano


def test_failures_say_their_kind_and_only_the_servers_own_are_errors(collected: Collector) -> None:
    (bad,) = (one for one in collected.spans if attributes(one).get("http.response.status_code") == 422)
    assert attributes(bad)["augserve.failed"] == 1
    assert bad.status.code != Status.STATUS_CODE_ERROR
    (lost,) = collected.named("POST")
    assert attributes(lost)["error.type"] == "not-found"


def test_spans_tell_nothing_of_people_and_probes_are_none(collected: Collector) -> None:
    text = "".join(str(export) for export in collected.exports)
    for secret in ("s3cr3t", "Bearer", "alice", "127.0.0.1", "healthz"):
        assert secret not in text
    (resource,) = {str(attributes(one.resource)["service.name"]) for e in collected.exports for one in e.resource_spans}
    assert resource == "augserve"


def test_a_collector_that_is_away_costs_no_answer_and_no_long_end() -> None:
    logging.getLogger("opentelemetry").setLevel(logging.CRITICAL)
    try:
        with run_server(otlp_endpoint="http://127.0.0.1:9") as live:
            assert httpx.post(f"{live.url}/v1/augment/thumbnail", content=make_file()).status_code == 200
    finally:
        logging.getLogger("opentelemetry").setLevel(logging.NOTSET)


def test_the_callers_trace_is_in_the_log_even_without_a_collector(caplog: pytest.LogCaptureFixture) -> None:
    with run_server() as live, caplog.at_level(logging.INFO, "augserve.access"):
        assert live.service.telemetry is None
        for parent in (HEADERS["traceparent"], f"00-{'0' * 32}-{PARENT}-01", "nonsense"):
            httpx.post(f"{live.url}/v1/augment/nothing", content=b"x", headers={"traceparent": parent})
        until(lambda: len(caplog.records) == 3)
    lines = [json.loads(Json().format(record)) for record in caplog.records]
    assert [line.get("trace") for line in lines] == [TRACE, None, None]


WITHOUT = """
import sys

class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "opentelemetry":
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Absent())
from augserve_server.errors import InvalidSettings
from augserve_server.watched import load_telemetry

assert load_telemetry(None) is None
try:
    load_telemetry("http://localhost:4318")
except InvalidSettings as error:
    print(error)
"""


def test_an_endpoint_without_the_extra_says_what_to_install() -> None:
    done = subprocess.run([sys.executable, "-c", WITHOUT], check=True, capture_output=True, text=True)
    assert done.stdout.strip() == ("otlp_endpoint: 'opentelemetry' is not installed: pip install 'augserve[telemetry]'")


def test_nothing_of_it_is_loaded_where_it_is_not_wanted() -> None:
    code = "import sys, augserve_server.app; print('opentelemetry.sdk' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout.strip() == "False"
