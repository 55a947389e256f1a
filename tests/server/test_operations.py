"""What operators see: pipelines, health, metrics, request ids and log lines."""

from __future__ import annotations

import asyncio
import json
import logging
from contextvars import copy_context
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from augserve.wire import REQUEST_ID_HEADER
from augserve_pipelines import Pipeline
from augserve_server.app import create_app
from augserve_server.errors import InvalidSettings, NoPipelines
from augserve_server.logs import ACCESS, CHATTY, Gathering, Json, Text
from augserve_server.origins import Origin, answer_for
from augserve_server.settings import Settings, shipped_configs
from factories import make_file
from serving import Live, busy_device, run_server, until


def test_every_shipped_pipeline_is_listed_and_has_no_problem(client: httpx.Client) -> None:
    listing = client.get("/v1/pipelines").json()
    names = sorted(path.stem for path in (shipped_configs() / "pipelines").glob("*.yaml"))
    assert [pipeline["name"] for pipeline in listing["pipelines"]] == names
    assert listing["problems"] == []
    (thumbnail,) = (pipeline for pipeline in listing["pipelines"] if pipeline["name"] == "thumbnail")
    assert thumbnail["media_types"][0] == "image/jpeg"
    assert thumbnail["output"]["dtype"] == "uint8"
    assert len(thumbnail["fingerprint"]) == 64


def test_a_description_is_all_that_is_needed_to_have_the_pipeline(client: httpx.Client, tmp_path: Path) -> None:
    described = client.get("/v1/pipelines/clip_eval").json()
    (tmp_path / "copy.yaml").write_text(described["yaml"])
    copy = Pipeline.load(tmp_path / "copy.yaml")
    assert copy.fingerprint == described["fingerprint"]
    assert (described["parity"], described["revision"]) == ("pillow", 1)
    assert described["output"] == {"dtype": "float32", "channels": 3, "height": 224, "width": 224}
    assert described["input"] == {"mode": "RGB", "orientation": "apply", "alpha": "drop"}
    assert datetime.fromisoformat(described["loaded_at"]) <= datetime.now(UTC)
    assert "seed + i * views + v" in described["seeds"]


def test_an_unknown_pipeline_cannot_be_described(client: httpx.Client) -> None:
    response = client.get("/v1/pipelines/clip_evil")
    assert response.status_code == 404
    assert "did you mean 'clip_eval'" in response.json()["detail"]


def test_a_server_that_runs_is_alive_and_ready(client: httpx.Client) -> None:
    assert client.get("/healthz").json() == {"status": "alive", "reasons": []}
    assert client.get("/readyz").json() == {"status": "ready", "reasons": []}


def test_a_server_whose_batcher_has_died_is_neither(caplog: pytest.LogCaptureFixture) -> None:
    with run_server() as live:
        live.loop.call_soon_threadsafe(live.service._tasks["batcher"].cancel)
        until(lambda: live.service._tasks["batcher"].done())
        alive, ready = httpx.get(f"{live.url}/healthz"), httpx.get(f"{live.url}/readyz")
    assert (alive.status_code, alive.json()["reasons"]) == (503, ["the batcher has stopped"])
    assert ready.status_code == 503


def test_a_server_whose_device_hangs_is_not_ready() -> None:
    with run_server(deadline_ms=50) as live, busy_device(live):
        until(lambda: httpx.get(f"{live.url}/readyz").status_code == 503)
        (reason,) = httpx.get(f"{live.url}/readyz").json()["reasons"]
        assert httpx.get(f"{live.url}/healthz").status_code == 200
        assert (live.metric("ready"), live.metric("batch_age_seconds") > 0.05) == (0, True)
    assert reason.startswith("a batch has run for 0 seconds: the device may hang")


def test_a_server_without_pipelines_is_not_ready(tmp_path: Path) -> None:
    (tmp_path / "flip.yaml").write_text("transforms: [RandomHorizontalFlip]")
    with run_server(pipelines=tmp_path) as live:
        (tmp_path / "flip.yaml").unlink()
        live.service.catalog.refresh()
        response = httpx.get(f"{live.url}/readyz")
    assert (response.status_code, response.json()["reasons"]) == (503, ["no pipelines"])


def test_metrics_are_prometheus_and_count_what_happened() -> None:
    with run_server() as live, httpx.Client(base_url=live.url) as client:
        client.post("/v1/augment/thumbnail?views=3", content=make_file())
        client.post("/v1/augment/thumbnail", content=make_file()[:3000])
        client.post("/v1/augment/../../etc/passwd", content=b"x")
        response = client.get("/metrics")
    assert response.headers["content-type"].startswith("text/plain; version=0.0.4")
    samples = {
        (sample.name, *sorted(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(response.text)
        for sample in family.samples
    }
    thumbnail = ("pipeline", "thumbnail")
    assert samples["augserve_requests_total", thumbnail, ("status", "200")] == 1
    assert samples["augserve_requests_total", thumbnail, ("status", "422")] == 1
    assert samples["augserve_results_total", thumbnail] == 3
    assert samples["augserve_failures_total", ("error", "image-truncated")] == 1
    assert samples["augserve_decoded_images_total",] == 2
    assert samples["augserve_batch_size_sum", thumbnail] == 4  # that which does not decode fails in its batch
    assert samples["augserve_queue_results",] == 0
    assert samples["augserve_stage_seconds_count", ("stage", "encode")] == 2
    labels = {label for name, *rest in samples for label in rest if label[0] == "pipeline"}
    assert labels <= {("pipeline", ""), *(("pipeline", served.name) for served in live.service.catalog)}


def test_a_request_id_is_made_or_taken_if_it_is_safe(client: httpx.Client) -> None:
    made = [client.get("/healthz").headers[REQUEST_ID_HEADER] for _ in range(2)]
    assert len(set(made)) == 2
    assert client.get("/healthz", headers={"X-Request-Id": "a-1.b_2"}).headers[REQUEST_ID_HEADER] == "a-1.b_2"
    for unsafe in ("a b", "x" * 65, "a;b", "<script>"):
        assert client.get("/healthz", headers={"X-Request-Id": unsafe}).headers[REQUEST_ID_HEADER] != unsafe


def test_each_request_is_one_log_line_in_which_nothing_is_forged(
    live: Live, client: httpx.Client, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, "augserve.access"):
        client.post("/v1/augment/a%0D%0Ab%1B[31m", content=b"x", headers={"X-Request-Id": "mine"})
        client.post("/v1/augment/thumbnail?views=2", content=make_file(), headers={"X-Request-Id": "good"})
        client.get("/healthz")
        until(lambda: len(caplog.records) == 2)
    lines = [Text().format(record) for record in caplog.records]
    assert "POST /v1/augment/a%0D%0Ab%1B[31m 404 pipeline-not-found" in lines[0]
    assert lines[0].endswith("id=mine")
    assert not any("\n" in line or "\x1b" in line for line in lines)
    line = json.loads(Json().format(caplog.records[1]))
    about = {"id": "good", "method": "POST", "status": 200, "pipeline": "thumbnail", "results": 2, "failed": 0}
    assert line.items() >= {"level": "info", "logger": "augserve.access", **about}.items()
    assert line["ms"] > 0


def test_log_lines_hold_no_token_no_query_and_no_body(live: Live, caplog: pytest.LogCaptureFixture) -> None:
    secrets = {"Authorization": "Bearer t0ken-in-a-header", "Cookie": "session=c00kie"}
    bodies = [b"b0dy-of-nothing", make_file()[:3000] + b"b0dy-at-the-end", make_file("PNG")]
    with caplog.at_level(logging.DEBUG), httpx.Client(base_url=live.url, headers=secrets) as client:
        for body in bodies:
            client.post("/v1/augment/thumbnail?seed=3&tok=t0ken-in-a-query", content=body)
            client.post("/v1/augment/thumbnail?seed=31337", content=body)
            client.post("/v1/augment/thumbnail", files={"image": ("alice.jpg", body)})
        until(lambda: sum(record.name == "augserve.access" for record in caplog.records) == 9)
    others = ("httpx", "httpcore", *CHATTY)  # those of this test's client, and those that a server keeps quiet
    ours = [record for record in caplog.records if not record.name.startswith(others)]
    text = "".join(Json().format(record) + Text().format(record) for record in ours)
    for secret in ("t0ken", "c00kie", "b0dy", "31337", "alice"):
        assert secret not in text


def test_lines_about_a_request_name_it() -> None:
    record = logging.LogRecord("a", logging.ERROR, "", 0, "decoding failed", None, None)

    def lines() -> tuple[str, str]:
        answer_for(Origin("mine"))
        return Text().format(record), Json().format(record)

    text, line = copy_context().run(lines)
    assert text.endswith("decoding failed request=mine")
    assert json.loads(line)["request"] == "mine"
    assert "request" not in json.loads(Json().format(record))


def test_log_lines_escape_what_they_quote() -> None:
    record = logging.LogRecord("a", logging.WARNING, "", 0, "name is %s", ("x\r\n\x1b[0m\u2028y",), None)
    assert Text().format(record).endswith(r"name is x\r\n\x1b[0m\u2028y")
    assert json.loads(Json().format(record))["message"] == r"name is x\r\n\x1b[0m\u2028y"


def test_log_lines_carry_the_traceback() -> None:
    try:
        raise ValueError("inside")
    except ValueError as exc:
        record = logging.LogRecord("a", logging.ERROR, "", 0, "failed", None, (type(exc), exc, exc.__traceback__))
    assert "ValueError: inside" in Text().format(record)
    assert "ValueError: inside" in json.loads(Json().format(record))["exception"]


def test_an_app_that_cannot_work_is_not_made(tmp_path: Path) -> None:
    with pytest.raises(NoPipelines, match="there is no pipeline"):
        create_app(Settings(pipelines=tmp_path))
    with pytest.raises(InvalidSettings, match="cuda:99"):
        create_app(Settings(device="cuda:99"))


def test_lines_about_requests_are_written_together_and_another_line_brings_them_along() -> None:
    written = Written()
    handler = Gathering()
    handler.setStream(written)

    async def log() -> None:
        for line, name in enumerate((ACCESS, ACCESS, "augserve", ACCESS)):
            handler.handle(logging.LogRecord(name, logging.INFO, "", 0, str(line), (), None))

    asyncio.run(log())
    handler.flush()
    assert written == ["0\n1\n2\n", "3\n"]


class Written(list[str]):
    """A stream that keeps what was written apart."""

    def write(self, text: str) -> None:
        self.append(text)

    def flush(self) -> None: ...
