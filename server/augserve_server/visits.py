"""Around every request: its id, what it holds, its line in the log, and a polite end to a body that is not wanted."""

from __future__ import annotations

import asyncio
import logging
import random
import re
from contextlib import suppress
from dataclasses import dataclass
from time import perf_counter
from typing import Final

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
CROWDED_KEY: Final = "augserve.crowded"
"""Set in the scope of a request whose connection is beyond the limit."""
ABORT_KEY: Final = "augserve.abort"
"""In the scope: what ends the connection at once."""
LONGEST_PATH: Final = 200
QUIET_PATHS: Final = ("/healthz", "/readyz", "/metrics")

LINGER_S: Final = 2.0
LINGER_BYTES: Final = 16 * 1024 * 1024
"""A refused body is read on for a little, so that its sender gets to read the answer instead of a broken pipe."""

logger = logging.getLogger("augserve.access")


@dataclass(frozen=True, slots=True)
class Pace:
    """How long a client may take to read its answer: a while, and what its size needs at the slowest."""

    start_s: float
    bytes_per_s: int

    def seconds_for(self, size: int) -> float:
        """For an answer of so many bytes."""
        return self.start_s + size / self.bytes_per_s


class Visits:
    """ASGI middleware: makes a Visit of each request, and answers what nobody else did."""

    def __init__(self, app: ASGIApp, service: Service) -> None:
        self._app = app
        self._service = service
        self._pace = Pace(service.settings.write_timeout_s, service.settings.min_answer_bytes_per_s)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        self._service.began()
        try:
            with self._service.admission.ticket() as ticket:
                await self._visit(Visit(scope, receive, send, ticket, self._pace))
        finally:
            for key in (SCOPE_KEY, ABORT_KEY):  # a cycle would keep what the request held until the collector comes
                scope.pop(key, None)
            self._service.ended()

    async def _visit(self, visit: Visit) -> None:
        try:
            await self._answer(visit)
        finally:
            visit.log()
            self._service.metrics.request(visit.pipeline, visit.status, visit.seconds)

    async def _answer(self, visit: Visit) -> None:
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
    """One request while it is here."""

    def __init__(self, scope: Scope, receive: Receive, send: Send, ticket: Ticket, pace: Pace) -> None:
        headers = Headers(scope=scope)
        self.scope = scope
        self.ticket = ticket
        self.timings = Timings()
        self.began = perf_counter()
        self.id = _request_id(headers)
        self.client = (scope.get("client") or ("",))[0]
        """Who asks: the peer's address, or the name of its token."""
        self.pipeline = self.error = ""
        self.results = self.failed = self.status = 0
        self._write_by: float | None = None
        self._receive = receive
        self._send = send
        self._pace = pace
        self._unread = "transfer-encoding" in headers or headers.get("content-length", "0") != "0"

    @property
    def seconds(self) -> float:
        """Since it came."""
        return perf_counter() - self.began

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
            self._allow_time(message)
        elif self._unread and not message.get("more_body", False):
            await self._write({**message, "more_body": True})
            await self._linger()
            message = {"type": "http.response.body", "body": b"", "more_body": False}
        await self._write(message)

    async def _write(self, message: Message) -> None:
        """Send to a client that takes what is sent; the connection of one that is too slow is ended."""
        try:
            async with asyncio.timeout_at(self._write_by):
                await self._send(message)
        except TimeoutError:
            self._write_by, self.error = None, "answer-not-taken"
            self.scope[ABORT_KEY]()
            await self._send(message)  # returns as soon as the connection has ended, and so do all after it

    def _allow_time(self, message: Message) -> None:
        if ABORT_KEY in self.scope:
            size = int(Headers(raw=message["headers"]).get("content-length", "0"))
            self._write_by = asyncio.get_running_loop().time() + self._pace.seconds_for(size)

    async def answer(self, error: ServiceError) -> None:
        """Send an error, where nothing else was sent."""
        await Reply(error_answer(error, self.id, self.scope["path"]))(self.scope, self.receive, self.send)

    def log(self) -> None:
        """One line about the request."""
        path = self.scope.get("raw_path", b"").decode("ascii", "backslashreplace")[:LONGEST_PATH]
        about = {
            "id": self.id,
            "client": self.client,
            "method": self.scope["method"],
            "path": path,
            "status": self.status,
            "ms": round(self.seconds * 1000, 2),
            "pipeline": self.pipeline,
            "results": self.results,
            "failed": self.failed,
            "error": self.error,
        }
        level = logging.DEBUG if path in QUIET_PATHS else logging.INFO
        outcome = f"{self.status} {self.error}".rstrip()
        line = f"{about['method']} {path} {outcome} {about['ms']} ms id={self.id}"
        logger.log(level, "%s", line, extra={"about": about})

    def _add_headers(self, message: Message) -> None:
        self.status = message["status"]
        headers = MutableHeaders(raw=message["headers"])
        headers[REQUEST_ID_HEADER] = self.id
        headers["X-Content-Type-Options"] = "nosniff"
        if headers.get("content-type", "").startswith("image/"):
            headers["Content-Security-Policy"] = "default-src 'none'; sandbox"
        if self.status >= 400:
            headers["Cache-Control"] = "no-store"
        if self._unread or CROWDED_KEY in self.scope:
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


def _request_id(headers: Headers) -> str:
    given = headers.get("x-request-id", "")
    return given if GIVEN_ID.fullmatch(given) else f"{random.getrandbits(64):016x}"  # no secret, and no system call
