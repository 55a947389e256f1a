"""Requests are counted many at once: whoever reads finds all of them, whichever way and however many there are."""

from __future__ import annotations

from threading import Thread

import pytest

from augserve_server.metrics import MOST_KEPT, Metrics
from augserve_server.statistics import Answered

STAGES = {"read": 0.25, "decode": 0.5, "queue": 1.0, "run": 2.0, "encode": 4.0, "write": 8.0}


def answered(pipeline: str = "a", status: int = 200) -> Answered:
    return Answered(pipeline, status, 3, 16.0, STAGES, received=10, sent=100, ended=1_700_000_000.5)


def value(metrics: Metrics, name: str, **labels: str) -> float | None:
    return metrics.registry.get_sample_value(f"augserve_{name}", labels)


@pytest.mark.parametrize("count", [1, MOST_KEPT - 1, MOST_KEPT, 2 * MOST_KEPT + 1])
def test_whoever_reads_the_metrics_finds_all_requests(count: int) -> None:
    metrics = Metrics()
    for _ in range(count):
        metrics.answered(answered())
    assert value(metrics, "requests_total", pipeline="a", status="200") == count
    assert value(metrics, "results_total", pipeline="a") == 3 * count
    assert value(metrics, "request_seconds_sum", pipeline="a") == 16 * count
    assert value(metrics, "stage_seconds_count", stage="queue") == count
    assert value(metrics, "stage_seconds_sum", stage="write") == 8 * count
    assert value(metrics, "request_body_bytes_total") == 10 * count
    assert value(metrics, "response_body_bytes_total") == 100 * count


def test_they_are_in_what_is_exposed_and_in_what_workers_sum() -> None:
    metrics = Metrics()
    metrics.answered(answered())
    assert b'augserve_requests_total{pipeline="a",status="200"} 1.0' in metrics.text()
    metrics.answered(answered())
    (family,) = (one for one in metrics.families() if one.name == "augserve_requests")
    assert family.samples["augserve_requests_total", (("pipeline", "a"), ("status", "200"))] == 2


def test_statistics_tell_requests_that_failed_apart() -> None:
    metrics = Metrics()
    for status in (200, 422, 200, 429):
        metrics.answered(answered(status=status))
    metrics.answered(answered("b"))
    found = metrics.statistics["a"]
    assert (found.samples, found.last_ms) == (6, 1_700_000_000_500)
    spent = {name: (one.count, one.ns) for name, one in found.requests.items()}
    second = 10**9
    assert spent == {
        "success": (2, 32 * second),
        "fail": (2, 32 * second),
        "queue": (2, 2 * second),
        "input": (2, int(1.5 * second)),
        "run": (2, 4 * second),
        "output": (2, 8 * second),
    }


def test_a_request_for_no_pipeline_counts_for_none() -> None:
    metrics = Metrics()
    metrics.answered(answered("", 404))
    assert value(metrics, "requests_total", pipeline="", status="404") == 1
    assert value(metrics, "results_total", pipeline="") is None
    assert not metrics.statistics[""].requests


def test_none_is_lost_or_counted_twice_where_threads_read_meanwhile() -> None:
    metrics = Metrics()
    readers = [Thread(target=lambda: [metrics.text() for _ in range(20)]) for _ in range(3)]
    for reader in readers:
        reader.start()
    for _ in range(5000):
        metrics.answered(answered())
    for reader in readers:
        reader.join()
    assert value(metrics, "requests_total", pipeline="a", status="200") == 5000
    assert value(metrics, "stage_seconds_count", stage="run") == 5000
