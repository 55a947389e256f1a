"""The statistics of pipelines as documents of the protocol; every field is there, for stock clients read them all."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from augserve_server.catalog import Served
from augserve_server.statistics import PipelineStatistics, Spent, Statistics


def statistics_document(served: Iterable[Served], statistics: Statistics) -> dict[str, Any]:
    """Of these pipelines, by name."""
    ordered = sorted(served, key=lambda one: one.name)
    return {"model_stats": [_model(one, statistics[one.name]) for one in ordered]}


def _model(served: Served, found: PipelineStatistics) -> dict[str, Any]:
    requests, nothing = found.requests, Spent()
    return {
        "name": served.name,
        "version": str(served.revision),
        "last_inference": found.last_ms,
        "inference_count": found.samples,
        "execution_count": found.batches,
        "inference_stats": {
            "success": _spent(requests.get("success", nothing)),
            "fail": _spent(requests.get("fail", nothing)),
            "queue": _spent(requests.get("queue", nothing)),
            "compute_input": _spent(requests.get("input", nothing)),
            "compute_infer": _spent(requests.get("run", nothing)),
            "compute_output": _spent(requests.get("output", nothing)),
            "cache_hit": _spent(nothing),
            "cache_miss": _spent(nothing),
        },
        "batch_stats": [_batches(size, spent) for size, spent in sorted(found.batch_runs.items())],
        "memory_usage": [],
        "response_stats": {},
    }


def _batches(size: int, spent: Spent) -> dict[str, Any]:
    """Batches of one size. What comes before and after a batch belongs to requests, and is told there."""
    beside = {"count": spent.count, "ns": 0}
    return {"batch_size": size, "compute_input": beside, "compute_infer": _spent(spent), "compute_output": beside}


def _spent(spent: Spent) -> dict[str, int]:
    return {"count": spent.count, "ns": spent.ns}
