"""Around every request: its id, what it holds, its line in the log, and a polite end to a body that is not wanted."""

from __future__ import annotations

import asyncio
import logging
import random
import re
from contextlib import suppress
from time import perf_counter
from typing import Final

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from augserve.wire import REQUEST_ID_HEADER
from augserve_server.admission import Priority, Ticket
from augserve_server.answers import problem_answer
from augserve_server.errors import Draining, InternalError, QueueFull
from augserve_server.replies import Reply
from augserve_server.service import Service
from augserve_server.timings import Timings

GIVEN_ID: Final = re.compile(r"[A-Za-z0-9._-]{1,64}")
SCOPE_KEY: Final = "augserve.visit"
LONGEST_PATH: Final = 200
QUIET_PATHS: Final = ("/healthz", "/readyz", "/metrics")

AT_ONCE_S: Final = 0.02
SMALL_BYTES: Final = 1024 * 1024
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
        self._service.began()
        try:
            with self._service.admission.ticket() as ticket:
                await self._visit(Visit(scope, receive, send, ticket))
        finally:
            scope.pop(SCOPE_KEY, None)  # a cycle would keep what the request held until the garbage collector comes
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
            await Reply(problem_answer(Draining(), visit.id))(visit.scope, visit.receive, visit.send)
        except Exception as exc:  # the last resort: whatever it was, the client is told so, and the log has it
            logger.error("request %s failed", visit.id, exc_info=exc)
            if visit.status:
                raise
            await Reply(problem_answer(InternalError(), visit.id))(visit.scope, visit.receive, visit.send)


class Visit:
    """One request while it is here."""

    def __init__(self, scope: Scope, receive: Receive, send: Send, ticket: Ticket) -> None:
        headers = Headers(scope=scope)
        self.scope = scope
        self.ticket = ticket
        self.timings = Timings()
        self.began = perf_counter()
        self.id = _request_id(headers)
        self.client = (scope.get("client") or ("",))[0]
        self.pipeline = self.error = ""
        self.results = self.failed = self.status = 0
        self._receive = receive
        self._send = send
        length = headers.get("content-length", "0")
        self._unread = "transfer-encoding" in headers or length != "0"
        self._small = length.isdigit() and 0 < int(length) <= SMALL_BYTES and "expect" not in headers

    @property
    def client(self) -> str:
        """Who shares with others: the address of the peer, unless it says its name."""
        return self.ticket.client

    @client.setter
    def client(self, name: str) -> None:
        self.ticket.client = name

    @property
    def priority(self) -> Priority:
        """How urgent it is."""
        return self.ticket.priority

    @priority.setter
    def priority(self, priority: Priority) -> None:
        self.ticket.priority = priority

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
            if self._small and message["status"] == QueueFull.status:
                await self._read_what_has_come()
            self._add_headers(message)
        elif self._unread and not message.get("more_body", False):
            await self._send({**message, "more_body": True})
            await self._linger()
            message = {"type": "http.response.body", "body": b"", "more_body": False}
        await self._send(message)

    def log(self) -> None:
        """One line about the request."""
        path = self.scope.get("raw_path", b"").decode("ascii", "backslashreplace")[:LONGEST_PATH]
        about = {
            "id": self.id,
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
        if self.status >= 400:
            headers["Cache-Control"] = "no-store"
        if self._unread:
            headers["Connection"] = "close"

    async def _read_what_has_come(self) -> None:
        """A small body that nobody wants, and that is here by now, need not cost the connection."""
        with suppress(TimeoutError):
            async with asyncio.timeout(AT_ONCE_S):
                while self._unread and (await self.receive())["type"] != "http.disconnect":
                    pass

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
