"""Metrics keep their word: what is documented, what the dashboard and the alerts ask for, and what is counted."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import torch
import yaml
from prometheus_client.parser import text_string_to_metric_families

from augserve_server.formats import FORMATS
from augserve_server.metrics import Metrics
from factories import make_file
from serving import Live, run_server

ROOT = Path(__file__).parents[2]
OPERATING = (ROOT / "docs/operating.md").read_text()
DASHBOARD = json.loads((ROOT / "deploy/grafana/augserve.json").read_text())
RULES = yaml.safe_load((ROOT / "deploy/prometheus/augserve.rules.yml").read_text())
SCRAPE = yaml.safe_load((ROOT / "deploy/prometheus/prometheus.yml").read_text())
NAME = re.compile(r"\b(?:augserve|process)_[a-z_]+\b")


@pytest.fixture(scope="module")
def live() -> Iterator[Live]:
    with run_server(max_image_side=700) as server:
        yield server


@pytest.fixture(scope="module")
def exposed(live: Live) -> dict[str, Any]:
    """The families of /metrics by the names of their samples, counters by theirs with _total."""
    httpx.post(f"{live.url}/v1/augment/thumbnail", content=make_file())
    families = text_string_to_metric_families(httpx.get(f"{live.url}/metrics").text)
    return {f"{one.name}_total" if one.type == "counter" else one.name: one for one in families}


def expressions() -> list[str]:
    panels = [target["expr"] for panel in DASHBOARD["panels"] for target in panel.get("targets", [])]
    variables = [one["definition"] for one in DASHBOARD["templating"]["list"] if one["type"] == "query"]
    rules = [rule["expr"] for group in RULES["groups"] for rule in group["rules"]]
    return [*panels, *variables, *rules]


def family_of(name: str, exposed: dict[str, Any]) -> Any:
    """That of a sample: a histogram's have endings."""
    return exposed.get(name) or exposed.get(re.sub("_(bucket|sum|count)$", "", name))


def test_what_is_defined_is_exposed_and_documented(live: Live, exposed: dict[str, Any]) -> None:
    defined = {one.name: one for one in live.service.metrics.definitions}
    assert set(defined) == {name for name in exposed if re.match("augserve_.*(?<!_created)$", name)}
    for name, one in defined.items():
        assert (exposed[name].type, exposed[name].documentation) == (one.kind, one.about)
        assert f"| `{name}` | {one.kind} |" in OPERATING
    assert set(re.findall(r"^\| `(augserve_\w+)` \| ", OPERATING, re.MULTILINE)) == set(defined)
    assert "process_resident_memory_bytes" in exposed


def test_names_follow_the_conventions(live: Live) -> None:
    for one in live.service.metrics.definitions:
        assert one.about
        assert re.fullmatch(r"augserve_[a-z][a-z_]*[a-z]", one.name)
        assert (one.kind == "counter") is one.name.endswith("_total")
        assert not re.search(r"_(ms|milliseconds|kb|mb|kilobytes|megabytes|percent)\b", one.name)


def test_dashboard_and_alerts_ask_for_what_there_is(exposed: dict[str, Any]) -> None:
    asked = {name for expression in expressions() for name in NAME.findall(expression)}
    assert len(asked) > 25
    assert [name for name in asked if family_of(name, exposed) is None] == []


def test_rates_are_of_counters_and_quantiles_of_buckets() -> None:
    for expression in expressions():
        rated = re.findall(r"(?:rate|increase)\(([a-z_]+)", expression)
        assert all(re.search("_(total|bucket|sum|count)$", name) for name in rated), expression
        plain = set(NAME.findall(expression)) - set(rated)
        assert not [name for name in plain if re.search("_(total|bucket|sum|count)$", name)] or (
            "label_values" in expression
        ), expression
        if "histogram_quantile" in expression:
            assert re.search(r"sum by \(le\b", expression), expression
            assert all(name.endswith("_bucket") for name in rated), expression


def test_expressions_are_whole() -> None:
    for expression in expressions():
        for opening, closing in ("()", "{}", "[]"):
            assert expression.count(opening) == expression.count(closing), expression
        assert expression.count('"') % 2 == 0


def test_labels_that_are_selected_or_grouped_by_are_there(live: Live) -> None:
    known = {label for one in live.service.metrics.definitions for label in one.labels}
    known |= {"le", "job", "instance"}
    for expression in expressions():
        grouped = {label.strip() for group in re.findall(r"by \(([^)]*)\)", expression) for label in group.split(",")}
        selected = set(re.findall(r'(\w+)=~?"', expression))
        assert grouped | selected <= known, expression


def test_the_dashboard_can_be_imported_anywhere() -> None:
    panels = DASHBOARD["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    assert {one["type"] for one in DASHBOARD["templating"]["list"]} == {"datasource", "query"}
    for panel in panels:
        if panel["type"] != "row":
            assert panel["datasource"]["uid"] == "${datasource}"
            assert panel["targets"]
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24


def test_the_scrape_takes_the_alerts_in_and_each_says_what_is_the_matter() -> None:
    assert SCRAPE["rule_files"] == ["augserve.rules.yml"]
    assert [job["metrics_path"] for job in SCRAPE["scrape_configs"]] == ["/metrics"]
    rules = [rule for group in RULES["groups"] for rule in group["rules"]]
    assert all(rule["annotations"]["summary"] for rule in rules)
    assert {rule["labels"]["severity"] for rule in rules} == {"warning", "critical"}


def test_what_runs_is_told(live: Live) -> None:
    about = {"torch": torch.__version__, "device": "cpu"}
    (sample,) = (
        sample
        for family in live.service.metrics.registry.collect()
        for sample in family.samples
        if sample.name == "augserve_build_info"
    )
    assert sample.labels.items() >= about.items()
    assert sample.value == 1
    assert live.metric("device_failed") == 0


def test_decoding_is_timed_and_its_errors_are_counted_by_format(live: Live) -> None:
    url = f"{live.url}/v1/augment/thumbnail"
    before = {name: live.metric("decode_seconds_count", format=name) for name in ("JPEG", "PNG")}
    good = httpx.post(url, content=make_file())
    httpx.post(url, content=make_file("PNG"))
    httpx.post(url, content=make_file()[:2000])
    httpx.post(url, content=make_file("PNG", (10, 800)))
    httpx.post(url, content=b"nothing")
    assert live.metric("decode_seconds_count", format="JPEG") == before["JPEG"] + 2
    assert live.metric("decode_seconds_count", format="PNG") == before["PNG"] + 1
    assert live.metric("decode_errors_total", error="image-truncated", format="JPEG") == 1
    assert live.metric("decode_errors_total", error="image-too-large", format="unknown") == 1
    assert live.metric("decode_errors_total", error="format-not-allowed", format="unknown") == 1
    times = dict(re.findall(r"([\w-]+);dur=([\d.]+)", good.headers["server-timing"]))
    assert set(times) == {"read", "decode", "queue", "run", "run-decode", "encode"}
    assert 0 < float(times["run-decode"]) < float(times["run"])  # one image, one thread
    formats = {
        sample.labels["format"]
        for family in live.service.metrics.registry.collect()
        for sample in family.samples
        if "format" in sample.labels
    }
    assert formats <= {*FORMATS, "clip", "none", "unknown"}


def test_bytes_are_counted_both_ways(live: Live) -> None:
    before = live.metric("request_body_bytes_total"), live.metric("response_body_bytes_total")
    body = make_file()
    answer = httpx.post(f"{live.url}/v1/augment/thumbnail", content=body)
    assert live.metric("request_body_bytes_total") == before[0] + len(body)
    assert live.metric("response_body_bytes_total") == before[1] + len(answer.content)


def test_batches_are_measured_in_megapixels_and_seconds(live: Live) -> None:
    before = live.metric("batch_megapixels_sum", pipeline="clip_eval")
    httpx.post(f"{live.url}/v1/augment/clip_eval", content=make_file("PNG", (400, 500)))
    assert live.metric("batch_megapixels_sum", pipeline="clip_eval") == pytest.approx(before + 0.2)
    assert 0 < live.metric("batch_seconds_sum", pipeline="clip_eval") < 10


def test_refusals_say_why() -> None:
    with run_server(queue_results=4) as live:
        assert httpx.post(f"{live.url}/v1/augment/thumbnail?views=64", content=make_file()).status_code == 413
        late = {"Augserve-Timeout-Ms": "1"}
        assert httpx.post(f"{live.url}/v1/augment/thumbnail", content=make_file(), headers=late).status_code == 504
        live.loop.call_soon_threadsafe(setattr, live.service, "draining", True)
        assert httpx.post(f"{live.url}/v1/augment/thumbnail", content=make_file()).status_code == 503
        assert live.metric("refusals_total", cause="deadline-exceeded", priority="") == 1
        assert live.metric("refusals_total", cause="draining", priority="") == 1
        assert live.metric("refusals_total", cause="too-much-work", priority="") == 0  # no other time would take it


def test_a_gauge_with_a_label_has_a_value_for_each() -> None:
    metrics = Metrics()
    metrics.watch_each("memory_bytes", "Memory", "kind", {"free": lambda: 1, "total": lambda: 2})
    assert b'augserve_memory_bytes{kind="free"} 1.0' in metrics.text()
    assert b'augserve_memory_bytes{kind="total"} 2.0' in metrics.text()
