"""Whom work is done for: known wherever it is done, so that log lines and traces can name the requests."""

from __future__ import annotations

from collections.abc import Sequence
from contextvars import ContextVar
from typing import Any, Final, NamedTuple


class Origin(NamedTuple):
    """A request: its id, and where it is traced the context of its span."""

    request_id: str = ""
    span: Any = None


NOBODY: Final = Origin()

_ORIGIN: ContextVar[Origin] = ContextVar("augserve-origin", default=NOBODY)
_BATCH: ContextVar[Sequence[Origin]] = ContextVar("augserve-batch", default=())


def origin() -> Origin:
    """The request that the running task answers."""
    return _ORIGIN.get()


def answer_for(request: Origin) -> None:
    """From here on, the running task and those that it begins answer ``request``."""
    _ORIGIN.set(request)


def batch_origins() -> Sequence[Origin]:
    """The requests of the samples, in order, of the batch that the running task computes."""
    return _BATCH.get()


def work_for(samples: Sequence[Origin]) -> None:
    """From here on, the running task computes a batch of samples of these requests."""
    _BATCH.set(samples)
