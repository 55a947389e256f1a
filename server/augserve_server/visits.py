"""Around every request: its id, what it holds, its line in the log, and a polite end to a body that is not wanted."""

from __future__ import annotations

import asyncio
import logging
import random
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from time import perf_counter
from typing import Final, TypeVar

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from augserve.wire import REQUEST_ID_HEADER
from augserve_server.admission import Ticket
from augserve_server.answers import error_answer
from augserve_server.errors import Draining, InternalError, ServiceError
from augserve_server.replies import Reply
from augserve_server.service import Service
from augserve_server.timings import Timings

GIVEN_ID: Final = re.compile(r"[A-Za-z0-9._-]{1,64}")
SCOPE_KEY: Final = "augserve.visit"
LONGEST_PATH: Final = 200
QUIET_PATHS: Final = (
    *("/healthz", "/readyz", "/metrics", "/v2/health/live", "/v2/health/ready", "/grpc.health.v1.Health/Check"),
    *("/inference.GRPCInferenceService/ServerLive", "/inference.GRPCInferenceService/ServerReady"),
)

LINGER_S: Final = 2.0
LINGER_BYTES: Final = 16 * 1024 * 1024
"""A refused body is read on for a little, so that its sender gets to read the answer instead of a broken pipe."""

logger = logging.getLogger("augserve.access")


class Visits:
    """ASGI middleware: makes a Visit of each request, and answers what nobody else did."""

    def __init__(self, app: ASGIApp, service: Service) -> None:
        self._app = app
        self._service = service

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        try:
            with counted(self._service, lambda ticket: HttpVisit(scope, receive, send, ticket)) as visit:
                await self._answer(visit)
        finally:
            scope.pop(SCOPE_KEY, None)  # a cycle would keep what the request held until the garbage collector comes

    async def _answer(self, visit: HttpVisit) -> None:
        visit.scope[SCOPE_KEY] = visit
        try:
            await self._app(visit.scope, visit.receive, visit.send)
        except asyncio.CancelledError:  # the drain has taken as long as it may
            if visit.status:
                raise
            await visit.answer(Draining())
        except Exception as exc:  # the last resort: whatever it was, the client is told so, and the log has it
            logger.error("request %s failed", visit.id, exc_info=exc)
            if visit.status:
                raise
            await visit.answer(InternalError())


class Visit:
    """One request while it is here, over whatever protocol it came."""

    def __init__(self, method: str, path: str, given_id: str, peer: str, ticket: Ticket) -> None:
        """``method`` and ``path`` as the log is to say them; ``given_id``: what the client calls it, or nothing."""
        self.method = method
        self.path = path[:LONGEST_PATH]
        self.ticket = ticket
        self.timings = Timings()
        self.began = perf_counter()
        self.id = _request_id(given_id)
        self.peer = peer
        """The address that it comes from."""
        self.client = peer
        """Who asks: the peer's address, or the name of its token."""
        self.pipeline = self.error = ""
        self.results = self.failed = self.status = 0

    @property
    def seconds(self) -> float:
        """Since it came."""
        return perf_counter() - self.began

    def log(self) -> None:
        """One line about the request."""
        about = {
            "id": self.id,
            "client": self.client,
            "method": self.method,
            "path": self.path,
            "status": self.status,
            "ms": round(self.seconds * 1000, 2),
            "pipeline": self.pipeline,
            "results": self.results,
            "failed": self.failed,
            "error": self.error,
        }
        level = logging.DEBUG if self.path in QUIET_PATHS else logging.INFO
        outcome = f"{self.status} {self.error}".rstrip()
        line = f"{self.method} {self.path} {outcome} {about['ms']} ms id={self.id}"
        logger.log(level, "%s", line, extra={"about": about})


class HttpVisit(Visit):
    """One request over HTTP."""

    def __init__(self, scope: Scope, receive: Receive, send: Send, ticket: Ticket) -> None:
        headers = Headers(scope=scope)
        path = scope.get("raw_path", b"").decode("ascii", "backslashreplace")
        peer = (scope.get("client") or ("",))[0]
        super().__init__(scope["method"], path, headers.get("x-request-id", ""), peer, ticket)
        self.scope = scope
        self._receive = receive
        self._send = send
        self._unread = "transfer-encoding" in headers or headers.get("content-length", "0") != "0"

    async def receive(self) -> Message:
        """The next part of the request's body."""
        message = await self._receive()
        if message["type"] == "http.request" and not message.get("more_body", False):
            self._unread = False
        return message

    async def send(self, message: Message) -> None:
        """A part of the response, with what every response says in front."""
        if message["type"] == "http.response.start":
            self._add_headers(message)
        elif self._unread and not message.get("more_body", False):
            await self._send({**message, "more_body": True})
            await self._linger()
            message = {"type": "http.response.body", "body": b"", "more_body": False}
        await self._send(message)

    async def answer(self, error: ServiceError) -> None:
        """Send an error, where nothing else was sent."""
        await Reply(error_answer(error, self.id, self.scope["path"]))(self.scope, self.receive, self.send)

    def _add_headers(self, message: Message) -> None:
        self.status = message["status"]
        headers = MutableHeaders(raw=message["headers"])
        headers[REQUEST_ID_HEADER] = self.id
        headers["X-Content-Type-Options"] = "nosniff"
        if self.status >= 400:
            headers["Cache-Control"] = "no-store"
        if self._unread:
            headers["Connection"] = "close"

    async def _linger(self) -> None:
        left = LINGER_BYTES
        with suppress(TimeoutError):
            async with asyncio.timeout(LINGER_S):
                while left > 0 and self._unread:
                    message = await self.receive()
                    if message["type"] == "http.disconnect":
                        return
                    left -= len(message.get("body", b""))


def visit_of(request: Request) -> Visit:
    """The visit of a request."""
    visit: Visit = request.scope[SCOPE_KEY]
    return visit


Visiting = TypeVar("Visiting", bound=Visit)


@contextmanager
def counted(service: Service, begin: Callable[[Ticket], Visiting]) -> Iterator[Visiting]:
    """A visit from its first moment to its last: in flight, with a ticket; then in the log and in the metrics."""
    service.began()
    try:
        with service.admission.ticket() as ticket:
            visit = begin(ticket)
            try:
                yield visit
            finally:
                visit.log()
                service.metrics.request(visit.pipeline, visit.status, visit.seconds)
                if visit.pipeline:
                    results = visit.results if 200 <= visit.status < 300 else None
                    service.metrics.statistics.request(visit.pipeline, results, visit.seconds, visit.timings.seconds)
    finally:
        service.ended()


def _request_id(given: str) -> str:
    return given if GIVEN_ID.fullmatch(given) else f"{random.getrandbits(64):016x}"  # no secret, and no system call
