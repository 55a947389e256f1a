"""Before any work is looked at: how urgent it says it is, and whether there is room for it. Refusals are cheap here."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Final, Self

from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route
from starlette.types import ASGIApp, Receive, Scope, Send

from augserve.wire import PRIORITY_HEADER
from augserve_server.admission import MICRO, Load, Priority
from augserve_server.errors import ParameterInvalid, ServiceError
from augserve_server.routes.direct import Direct
from augserve_server.service import Service
from augserve_server.visits import Visit, visit_of

PRIORITY_KEY: Final = PRIORITY_HEADER.lower()


@dataclass(frozen=True, slots=True)
class Entrance:
    """Where work comes in: how its path looks, and what answers there."""

    path: re.Pattern[str]
    """With a group for each parameter of the path."""
    route: Route
    answer: Callable[[Request], Awaitable[Response]]

    @classmethod
    def of(cls, route: BaseRoute) -> Self:
        """That of a route for work."""
        assert isinstance(route, Route)
        return cls(route.path_regex, route, route.get_route_handler() if isinstance(route, Direct) else route.endpoint)


class Turnstile:
    """ASGI middleware, inside of what knows who asks: refuses on the head of a request, before a byte of its body.

    What it lets in may still be refused when the images' headers are known. It goes straight to its endpoint, past all
    that is between: of a request of one image, the router and what FastAPI has around it would be a good part.
    """

    def __init__(
        self,
        app: ASGIApp,
        service: Service,
        entrances: Sequence[Entrance],
        refuse: Callable[[Request, Exception], Awaitable[Response]],
    ) -> None:
        self._app = app
        self._service = service
        self._entrances = entrances
        self._refuse = refuse

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["method"] == "POST":
            for entrance in self._entrances:
                if found := entrance.path.match(scope["path"]):
                    scope["path_params"], scope["route"] = found.groupdict(), entrance.route
                    response = await self._answer(entrance, Request(scope, receive, send))
                    await response(scope, receive, send)
                    return
        await self._app(scope, receive, send)

    async def _answer(self, entrance: Entrance, request: Request) -> Response:
        try:
            self._enter(request, visit_of(request))
            return await entrance.answer(request)
        except (ServiceError, RequestValidationError, HTTPException) as exc:
            return await self._refuse(request, exc)

    def _enter(self, request: Request, visit: Visit) -> None:
        visit.ticket.priority = priority_of(visit.carrier.get(PRIORITY_KEY))
        self._service.enter()
        parameters = request.path_params
        pipeline = parameters.get("pipeline") or parameters.get("name") or ""
        length = _length(visit.carrier.get("content-length", ""))
        if pipeline in self._service.catalog and length <= self._service.settings.max_body_bytes:
            visit.pipeline = pipeline
            seconds = self._service.costs.guess(pipeline, length)
            visit.ticket.expect(Load(results=1, bytes=length, microseconds=int(seconds * MICRO)))


def priority_of(given: str | None) -> Priority:
    """The class that a header names; interactive where there is none. Raises ParameterInvalid."""
    if given is None:
        return Priority.INTERACTIVE
    try:
        return Priority(given.strip().lower())
    except ValueError:
        raise ParameterInvalid(PRIORITY_HEADER, given, " or ".join(Priority)) from None


def _length(given: str) -> int:
    """Of the body, where it is said; what is no number is refused where the body is read."""
    return int(given) if given.isascii() and given.isdigit() and len(given) < 16 else 0
