"""What the service counts about each pipeline, as the Open Inference Protocol tells it: exact numbers and times."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from threading import Lock
from typing import Final

INPUT_STAGES: Final = ("read", "decode")
RUN_STAGES: Final = ("run", "mix")
OUTPUT_STAGES: Final = ("encode",)


@dataclass(slots=True)
class Spent:
    """How often something was done, and the nanoseconds that it took in all."""

    count: int = 0
    ns: int = 0

    def add(self, seconds: float) -> None:
        """Once more."""
        self.count += 1
        self.ns += max(round(seconds * 1e9), 0)


def _spent_by_name() -> defaultdict[str, Spent]:
    return defaultdict(Spent)


@dataclass(slots=True)
class PipelineStatistics:
    """Of one pipeline since the service started, whatever its revision."""

    samples: int = 0
    """Results of requests that succeeded."""
    batches: int = 0
    last_ms: int = 0
    """When the last request was answered, in milliseconds since 1970; 0: none was."""
    requests: defaultdict[str, Spent] = field(default_factory=_spent_by_name)
    """``success`` and ``fail``; and of those that succeeded, the time in ``queue``, ``input``, ``run``, ``output``."""
    batch_runs: defaultdict[int, Spent] = field(default_factory=lambda: defaultdict(Spent))
    """By size: the batches that ran."""


class Statistics:
    """Of every pipeline. Safe from any thread."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._pipelines: dict[str, PipelineStatistics] = {}

    def __getitem__(self, name: str) -> PipelineStatistics:
        return self._pipelines.get(name) or PipelineStatistics()

    def batch(self, name: str, size: int, seconds: float) -> None:
        """A batch has run."""
        with self._lock:
            found = self._of(name)
            found.batches += 1
            found.batch_runs[size].add(seconds)

    def request(self, name: str, results: int | None, seconds: float, stages: Mapping[str, float]) -> None:
        """A request was answered with so many results; None: it failed. ``stages`` are its seconds in each."""
        with self._lock:
            found = self._of(name)
            found.last_ms = time.time_ns() // 1_000_000
            if results is None:
                found.requests["fail"].add(seconds)
                return
            found.samples += results
            found.requests["success"].add(seconds)
            found.requests["queue"].add(stages.get("queue", 0.0))
            for name_, parts in (("input", INPUT_STAGES), ("run", RUN_STAGES), ("output", OUTPUT_STAGES)):
                found.requests[name_].add(sum(stages.get(part, 0.0) for part in parts))

    def _of(self, name: str) -> PipelineStatistics:
        return self._pipelines.setdefault(name, PipelineStatistics())
