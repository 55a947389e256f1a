"""The app: the service wired to its endpoints, and the process that serves it."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from shlex import quote
from typing import Any, Final

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.middleware.asyncexitstack import AsyncExitStackMiddleware
from pydantic import BaseModel
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware.exceptions import ExceptionMiddleware
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from augserve.wire import JPEG, REPLAY_PATH
from augserve_server.answers import error_answer
from augserve_server.auth import Auth, Gate
from augserve_server.errors import (
    MethodNotAllowed,
    ParameterInvalid,
    ParameterUnknown,
    RequestError,
    RouteNotFound,
    ServiceError,
)
from augserve_server.http_visits import Visits
from augserve_server.logs import configure_logging
from augserve_server.negotiation import media_types
from augserve_server.openapi import DESCRIPTION, document, package_version
from augserve_server.replies import Reply
from augserve_server.routes import augment, health, oip, pipelines, replay
from augserve_server.routes.shared import REQUIREMENTS
from augserve_server.service import Service
from augserve_server.serving import Server
from augserve_server.settings import Settings, shipped_configs
from augserve_server.turnstile import Entrance, Turnstile
from augserve_server.visits import visit_of

__all__ = ["create_app", "serve"]

LOOPBACK: Final = ("127.0.0.1", "::1", "localhost")

logger = logging.getLogger(__name__)


def create_app(settings: Settings | None = None) -> FastAPI:
    """An ASGI app of its own: nothing is shared with other apps in the process.

    Raises InvalidSettings or NoPipelines where there is nothing to serve, or nowhere to run it.
    """
    settings = settings or Settings()
    auth = Auth(settings)
    service = Service(settings)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        async with service.running():
            yield

    app = App(title="augserve", version=package_version(), description=DESCRIPTION, lifespan=lifespan)
    app.state.service = service
    app.state.auth = auth
    app.openapi = lambda: document(app)  # type: ignore[method-assign]  # the way FastAPI documents
    for module in (augment, replay, pipelines, health):
        app.include_router(module.router)
    app.router.routes.extend(oip.routes())
    app.router.redirect_slashes = False  # a redirect is no answer that clients of /v2 understand
    for kind in (ServiceError, RequestValidationError, HTTPException):
        app.add_exception_handler(kind, _problem)
    work = [*oip.infer.ROUTES, *augment.router.routes, *replay.router.routes]
    app.add_middleware(Turnstile, service=service, entrances=[Entrance.of(one) for one in work], refuse=_problem)
    app.add_middleware(Gate, auth=auth, refuse=_problem)
    app.add_middleware(Visits, service=service)
    return app


class App(FastAPI):
    """FastAPI, with our visits in place of what it puts around every request."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """As Starlette does it: FastAPI would look for its own telemetry first, which is not used."""
        await Starlette.__call__(self, scope, receive, send)

    def build_middleware_stack(self) -> ASGIApp:
        """The router, what answers its errors, and in front of them the middlewares that were added."""
        app: ASGIApp = ExceptionMiddleware(AsyncExitStackMiddleware(self.router), handlers=self.exception_handlers)
        for middleware in reversed(self.user_middleware):
            app = middleware.cls(app, *middleware.args, **middleware.kwargs)
        return app


async def _problem(request: Request, exc: Exception) -> Response:
    error, visit = _as_ours(request, exc), visit_of(request)
    visit.error = error.slug
    request.app.state.service.metrics.error(error)
    return Reply(error_answer(error, visit.id, request.scope["path"]))


def _as_ours(request: Request, exc: Exception) -> ServiceError:
    match exc:
        case ServiceError():
            return exc
        case RequestValidationError():
            return _parameter_error(exc.errors()[0], request.url.path)
        case HTTPException(status_code=405):
            allowed = (exc.headers or {}).get("Allow", "")
            return MethodNotAllowed(request.method, request.url.path, allowed.split(", "))
        case HTTPException(status_code=404):
            return RouteNotFound(request.url.path)
    return RequestError(str(exc))


def _parameter_error(error: Mapping[str, Any], path: str) -> ServiceError:
    """FastAPI's words for a parameter that is wrong, in ours."""
    field = str(error["loc"][-1])
    if error["type"] == "extra_forbidden":
        return ParameterUnknown(field, list(_query(path).model_fields))
    return ParameterInvalid(field, error["input"], REQUIREMENTS.get(field, error["msg"]))


def _query(path: str) -> type[BaseModel]:
    """What may stand in the query of a request to a path."""
    if path.startswith("/v1/pipelines/"):
        return pipelines.DescribeQuery
    return replay.ReplayQuery if path == REPLAY_PATH else augment.AugmentQuery


def serve(settings: Settings, on_start: Callable[[str], None] | None = None) -> None:
    """Serve until SIGTERM or SIGINT, then finish what was accepted. ``on_start`` is told the address, as a URL.

    Raises StartError where the service cannot be set up, OSError where the address cannot be had.
    """
    configure_logging(settings)
    warn_of_exposure(settings)
    app = create_app(settings)
    Server(app, settings, on_start or (lambda url: print(greeting(app.state.service, url), flush=True))).run()


def warn_of_exposure(settings: Settings) -> None:
    """Say in the log what others could do with this server."""
    host = settings.host
    if host in LOOPBACK:
        return
    if not settings.asks_for_tokens:
        words = "ANYONE WHO REACHES %s MAY USE THIS SERVER: no tokens are asked for (tokens_file, AUGSERVE_TOKENS)"
        logger.warning(words, host)
    elif settings.tls_certificate is None:
        logger.warning("tokens come over plain HTTP to %s: set tls_certificate, or end TLS in a proxy", host)


def greeting(service: Service, url: str) -> str:
    """What is served where, and a command to try it with."""
    names = sorted(served.name for served in service.catalog)
    device = service.executor.device
    lines = [f"augserve {package_version()} with {len(names)} pipelines on {device}: {url} ({url}/docs)"]
    photograph = shipped_configs() / "samples" / "chelsea.jpg"
    pictures = sorted(served.name for served in service.catalog if JPEG in media_types(served.signature))
    if photograph.is_file() and pictures:
        where = f"{url}/v1/augment/{pictures[0]}?seed=1"
        lines.append(f"try: curl --data-binary @{quote(str(photograph))} '{where}' -o augmented.jpg")
    return "\n".join(lines)
