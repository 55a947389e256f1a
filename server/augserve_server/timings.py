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
        self._batch = ""

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
        last = max(samples, key=lambda ran: ran.queued_s + ran.run_s, default=None)
        if last is not None:
            self.seconds |= {"queue": last.queued_s, "run": last.run_s}
            self._batch = f"{last.batch_size} {last.close}"

    def header(self) -> str:
        """Server-Timing: ``decode;dur=1.25, ..., batch;desc="32 idle"``, durations in milliseconds."""
        stages = [f"{stage};dur={seconds * 1000:.2f}" for stage, seconds in self.seconds.items()]
        batch = [f'batch;desc="{self._batch}"'] if self._batch else []
        return ", ".join(stages + batch)
