"""Our histograms say what the library's say."""

from __future__ import annotations

import threading

import numpy as np
import prometheus_client
from prometheus_client import CollectorRegistry, generate_latest

from augserve_server import histograms
from augserve_server.histograms import Histogram

BOUNDS = (0.5, 1.0, 2.5, 30.0)


def exposed(registry: CollectorRegistry) -> set[str]:
    """The lines of an exposition, but for the times at which counting began, which ours do not tell."""
    return {line for line in generate_latest(registry).decode().splitlines() if "_created" not in line}


def test_values_land_in_the_buckets_of_the_library() -> None:
    ours, theirs = CollectorRegistry(), CollectorRegistry()
    mine = Histogram("seconds", "Seconds", ("stage",), BOUNDS, ours)
    other = prometheus_client.Histogram("seconds", "Seconds", ("stage",), buckets=BOUNDS, registry=theirs)
    values = [*BOUNDS, 0.0, -1.0, 0.75, 1e9, *np.random.default_rng(0).integers(0, 64, 9_000) / 2]  # sums are exact
    for value in values:
        for metric in (mine, other):
            metric.labels("run").observe(float(value))
    assert exposed(ours) == exposed(theirs)
    assert exposed(ours) == exposed(theirs)  # asked again, it says the same


def test_one_without_labels_is_there_before_its_first_value() -> None:
    ours, theirs = CollectorRegistry(), CollectorRegistry()
    mine = Histogram("ratio", "Ratio", (), BOUNDS, ours)
    prometheus_client.Histogram("ratio", "Ratio", buckets=BOUNDS, registry=theirs)
    assert exposed(ours) == exposed(theirs)
    mine.observe(2.0)
    assert "ratio_count 1.0" in exposed(ours)


def test_no_value_is_lost_between_threads() -> None:
    registry = CollectorRegistry()
    part = Histogram("seconds", "Seconds", ("stage",), BOUNDS, registry).labels("run")

    def count() -> None:
        for _ in range(5 * histograms.MOST_KEPT):
            part.observe(1.0)

    threads = [threading.Thread(target=count) for _ in range(4)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        part.read()
    counts, total = part.read()
    assert counts == [0.0, *[20.0 * histograms.MOST_KEPT] * 4]
    assert total == 20 * histograms.MOST_KEPT
