"""Where a request's time goes, stage by stage."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from time import perf_counter

from augserve_server.batcher import Ran


class Timings:
    """Seconds in each stage of one request, the stage that it is in, and the batch that it came out of last."""

    def __init__(self) -> None:
        self.stage = "read"
        self.seconds: dict[str, float] = {}
        self._last: Ran | None = None

    @contextmanager
    def at(self, stage: str) -> Iterator[None]:
        """The request is in ``stage``."""
        self.stage = stage
        began = perf_counter()
        try:
            yield
        finally:
            self.seconds[stage] = self.seconds.get(stage, 0.0) + perf_counter() - began

    def ran(self, samples: Iterable[Ran]) -> None:
        """Split the time at ``run`` as the slowest sample spent it: waiting for its batch, and in it."""
        self._last = max(samples, key=lambda ran: ran.queued_s + ran.run_s, default=None)
        if self._last is not None:
            self.seconds |= {"queue": self._last.queued_s, "run": self._last.run_s}

    def header(self) -> str:
        """Server-Timing: ``decode;dur=1.25, ..., batch;desc="32 idle"``, durations in milliseconds."""
        stages = [f"{stage};dur={seconds * 1000:.2f}" for stage, seconds in self.seconds.items()]
        batch = [] if self._last is None else [f'batch;desc="{self._last.batch_size} {self._last.close}"']
        return ", ".join(stages + batch)
