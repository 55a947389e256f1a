"""What the service counts about each pipeline, as the Open Inference Protocol tells it: exact numbers and times."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from threading import Lock
from typing import Final, NamedTuple

STAGES: Final = {"queue": ("queue",), "input": ("read", "decode"), "run": ("run", "mix"), "output": ("encode",)}
"""Those of a request that a time in :attr:`PipelineStatistics.requests` is of."""


@dataclass(slots=True)
class Spent:
    """How often something was done, and the nanoseconds that it took in all."""

    count: int = 0
    ns: int = 0

    def add(self, seconds: float, times: int = 1) -> None:
        """So many times more, in so many seconds together."""
        self.count += times
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


class Answered(NamedTuple):
    """A request that was answered."""

    pipeline: str
    """Empty where it named none that exists."""
    status: int
    results: int
    seconds: float
    stages: Mapping[str, float]
    """Seconds in each stage."""
    received: int
    """Bytes of its body, as ``sent`` are of its answer's."""
    sent: int
    ended: float
    """In seconds since 1970."""

    @property
    def succeeded(self) -> bool:
        """Whether it was answered with results."""
        return 200 <= self.status < 300


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

    def requests(self, pipeline: str, answered: Sequence[Answered]) -> None:
        """Requests for a pipeline were answered, the last one last."""
        good = [one for one in answered if one.succeeded]
        with self._lock:
            found = self._of(pipeline)
            found.last_ms = int(answered[-1].ended * 1000)
            found.samples += sum([one.results for one in good])
            if good:
                found.requests["success"].add(sum([one.seconds for one in good]), len(good))
                for name, parts in STAGES.items():
                    seconds = sum([one.stages.get(part, 0.0) for part in parts for one in good])
                    found.requests[name].add(seconds, len(good))
            if bad := [one.seconds for one in answered if not one.succeeded]:
                found.requests["fail"].add(sum(bad), len(bad))

    def _of(self, name: str) -> PipelineStatistics:
        return self._pipelines.setdefault(name, PipelineStatistics())
