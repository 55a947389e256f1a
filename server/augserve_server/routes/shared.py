"""What the endpoints that take work have in common: queries, the deadline, and what is counted at the end."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Mapping, Sequence
from typing import Annotated, Any, Final, TypeAlias, TypeVar

from fastapi import Header, Request

from augserve.wire import MAX_VIEWS, SEED_LIMIT, TIMEOUT_MS_HEADER, TIMEOUT_MS_LIMIT
from augserve_server.engine import Together
from augserve_server.errors import DeadlineExceeded, ServiceError, Unavailable
from augserve_server.requests import BodyLimits, read_uploads
from augserve_server.service import Service
from augserve_server.uploads import Grammar, Upload
from augserve_server.visits import Visit

Made = TypeVar("Made")

TimeoutMs: TypeAlias = Annotated[
    int | None,
    Header(
        alias=TIMEOUT_MS_HEADER,
        ge=1,
        le=TIMEOUT_MS_LIMIT,
        description="Give the request up after so many milliseconds, with 504.",
    ),
]

REQUIREMENTS: Final[Mapping[str, str]] = {
    "seed": f"an integer from 0 to {SEED_LIMIT - 1}",
    "views": f"an integer from 1 to {MAX_VIEWS}",
    "quality": "an integer from 1 to 100",
    "dtype": "float16, bfloat16 or float32",
    "params": "true or false",
    "wire": "uint8",
    "explain": "true or false",
    "height": "a whole number of pixels, at least 1",
    "width": "a whole number of pixels, at least 1",
    "mode": "RGB or L",
    "orientation": "apply or ignore",
    "alpha": "drop or white",
    TIMEOUT_MS_HEADER: f"an integer from 1 to {TIMEOUT_MS_LIMIT} (milliseconds)",
}
"""What each parameter must be, in words."""


def accept_of(request: Request) -> str:
    """What the request says that it takes, in one line."""
    return ", ".join(value.decode("latin-1") for name, value in request.scope["headers"] if name == b"accept")


async def read(request: Request, service: Service, visit: Visit, grammar: Grammar) -> list[Upload]:
    """The samples of a request."""
    with visit.timings.at("read"):
        return await read_uploads(request, BodyLimits.of(service.settings), visit.ticket, grammar)


async def within(limit_ms: float | None, service: Service, visit: Visit, work: Coroutine[Any, Any, Made]) -> Made:
    """What ``work`` gives. Raises DeadlineExceeded where it takes longer than the client, else the server, allows."""
    allowed_ms = service.settings.deadline_ms if limit_ms is None else limit_ms
    until = visit.began + allowed_ms / 1000
    if visit.ticket.deadline <= until:
        return await work  # a call of this around it ends it by then
    visit.ticket.deadline = until
    try:
        async with asyncio.timeout(allowed_ms / 1000 - visit.seconds):
            return await work
    except TimeoutError as exc:
        raise DeadlineExceeded(allowed_ms, visit.timings.stage) from exc


def count(service: Service, visit: Visit, results: Together | Sequence[object], views: int) -> None:
    """Count results and failures (an image fails in all its views)."""
    failures = [] if isinstance(results, Together) else [one for one in results if isinstance(one, ServiceError)]
    visit.failed = len(failures)
    visit.results = (results.count if isinstance(results, Together) else len(results)) - visit.failed
    for failure in failures[::views]:
        service.metrics.failure(failure.slug)
    for cause in {failure.slug for failure in failures if isinstance(failure, Unavailable)}:
        service.metrics.refused(cause, "")
