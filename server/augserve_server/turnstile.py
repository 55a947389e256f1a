"""Before any work is looked at: how urgent it says it is, and whether there is room for it. Refusals are cheap here."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from typing import Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from augserve.wire import PRIORITY_HEADER
from augserve_server.admission import MICRO, Load, Priority
from augserve_server.errors import ParameterInvalid, ServiceError
from augserve_server.service import Service
from augserve_server.visits import Visit, visit_of

WORK: Final = re.compile(r"/v1/augment/([^/]+)|/v1/replay|/v2/models/([^/]+)(?:/versions/[^/]+)?/infer")
"""The paths that take work, and the pipeline in them."""


class Turnstile:
    """ASGI middleware, inside of what knows who asks: refuses on the head of a request, before a byte of its body.

    What it lets in may still be refused when the images' headers are known.
    """

    def __init__(
        self, app: ASGIApp, service: Service, refuse: Callable[[Request, Exception], Awaitable[Response]]
    ) -> None:
        self._app = app
        self._service = service
        self._refuse = refuse

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        found = WORK.fullmatch(scope["path"]) if scope["type"] == "http" and scope["method"] == "POST" else None
        if found is not None:
            request = Request(scope)
            try:
                self._enter(request, visit_of(request), found[1] or found[2] or "")
            except ServiceError as exc:
                response = await self._refuse(request, exc)
                await response(scope, receive, send)
                return
        await self._app(scope, receive, send)

    def _enter(self, request: Request, visit: Visit, pipeline: str) -> None:
        visit.ticket.priority = priority_of(request.headers.get(PRIORITY_HEADER))
        self._service.enter()
        length = _length(request)
        if pipeline in self._service.catalog and length <= self._service.settings.max_body_bytes:
            visit.pipeline = pipeline
            seconds = self._service.costs.guess(pipeline, length)
            visit.ticket.check(Load(results=1, bytes=length, microseconds=int(seconds * MICRO)))


def priority_of(given: str | None) -> Priority:
    """The class that a header names; interactive where there is none. Raises ParameterInvalid."""
    if given is None:
        return Priority.INTERACTIVE
    try:
        return Priority(given.strip().lower())
    except ValueError:
        raise ParameterInvalid(PRIORITY_HEADER, given, " or ".join(Priority)) from None


def _length(request: Request) -> int:
    """Of the body, where it is said; what is no number is refused where the body is read."""
    given = request.headers.get("content-length", "")
    return int(given) if given.isascii() and given.isdigit() and len(given) < 16 else 0
