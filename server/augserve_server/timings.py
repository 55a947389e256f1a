"""Where a request's time goes, stage by stage."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from time import perf_counter
from typing import NamedTuple

from augserve_server.batcher import Ran


class Stretch(NamedTuple):
    """A stretch of time in one stage: when it began, in seconds of perf_counter, and how long it was."""

    stage: str
    began: float
    seconds: float


class Timings:
    """Seconds in each stage of one request, the stage that it is in, and the batch that it came out of last."""

    def __init__(self) -> None:
        self.stage = "read"
        self.seconds: dict[str, float] = {}
        self.stretches: list[Stretch] = []
        self.batch_size = 0
        self.batch_close = ""
        self.decoding = 0.0
        """Seconds of threads for the images that were decoded in their batches."""

    def at(self, stage: str) -> AbstractContextManager[None]:
        """The request is in ``stage``."""
        return _At(self, stage)

    def add(self, stage: str, began: float, ended: float) -> None:
        """The request was in a stage from one moment, in seconds of perf_counter, to another."""
        seconds = ended - began
        self.seconds[stage] = self.seconds.get(stage, 0.0) + seconds
        self.stretches.append(Stretch(stage, began, seconds))

    def ran(self, samples: Sequence[Ran]) -> None:
        """Split the time at ``run`` as the slowest sample spent it: waiting for its batch, and in it."""
        if not samples:
            return
        last = max(samples, key=lambda ran: ran.queued_s + ran.run_s)
        self.batch_size, self.batch_close = last.batch_size, last.close.value
        self.decoding = sum({id(one.decoding): one.decoding.seconds for one in samples if one.decoding}.values())
        self.seconds |= {"queue": last.queued_s, "run": last.run_s}
        self.stretches = [one for one in self.stretches if one.stage != "run"]
        self.stretches.append(Stretch("queue", last.began - last.queued_s, last.queued_s))
        self.stretches.append(Stretch("run", last.began, last.run_s))

    @property
    def batch_attributes(self) -> dict[str, str | int | float]:
        """Of the batch that the request came out of last, and of the decoding in it, for a span."""
        if not self.batch_size:
            return {}
        return {
            "augserve.batch.size": self.batch_size,
            "augserve.batch.close": self.batch_close,
            "augserve.decode_seconds": round(self.decoding, 6),
        }

    def header(self) -> str:
        """Server-Timing: ``decode;dur=1.25, ..., batch;desc="32 idle"``, durations in milliseconds.

        ``run-decode`` is what decoding within ``run`` took of all threads together, for the images of this request.
        """
        seconds = self.seconds | ({"run-decode": self.decoding} if self.decoding else {})
        stages = [f"{stage};dur={duration * 1000:.2f}" for stage, duration in seconds.items()]
        batch = [f'batch;desc="{self.batch_size} {self.batch_close}"'] if self.batch_size else []
        return ", ".join(stages + batch)


class _At(AbstractContextManager[None]):
    """A class, as what is entered for every request is here: a generator takes three times as long."""

    __slots__ = ("_began", "_stage", "_timings")

    def __init__(self, timings: Timings, stage: str) -> None:
        self._timings = timings
        self._stage = stage

    def __enter__(self) -> None:
        self._timings.stage = self._stage
        self._began = perf_counter()

    def __exit__(self, *_: object) -> None:
        self._timings.add(self._stage, self._began, perf_counter())
