"""Around every request over HTTP: what each answer says in front, and a polite end to a body that is not wanted."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable
from contextlib import suppress
from dataclasses import dataclass
from time import perf_counter
from typing import Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from augserve.wire import REQUEST_ID_HEADER
from augserve_server.admission import Ticket
from augserve_server.answers import error_answer
from augserve_server.errors import Draining, InternalError, QueueFull, ServiceError
from augserve_server.replies import Reply
from augserve_server.service import Service
from augserve_server.visits import CROWDED_KEY, LINE_KEY, LONGEST_PATH, SCOPE_KEY, Counted, Line, Visit

QUIET_PATHS: Final = ("/healthz", "/readyz", "/metrics", "/v2/health/live", "/v2/health/ready")
KNOWN_METHODS: Final = ("GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH")

REQUEST_ID: Final = REQUEST_ID_HEADER.lower().encode()

SMALL_BYTES: Final = 1024 * 1024
"""What is left of a body that was refused for load, if it is no larger, is let go by: its connection stays."""
LINGER_S: Final = 2.0
LINGER_BYTES: Final = 16 * 1024 * 1024
"""A refused body is read on for a little, so that its sender gets to read the answer instead of a broken pipe."""

logger = logging.getLogger(__name__)


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
        try:
            with Counted(self._service, lambda ticket: HttpVisit(scope, receive, send, ticket, self._pace)) as visit:
                await self._answer(visit)
        finally:
            for key in (SCOPE_KEY, LINE_KEY):  # a cycle would keep what the request held until the collector comes
                scope.pop(key, None)

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


class HttpVisit(Visit):
    """One request over HTTP."""

    def __init__(self, scope: Scope, receive: Receive, send: Send, ticket: Ticket, pace: Pace) -> None:
        headers = _first_values(scope)
        path = scope.get("raw_path", b"").decode("ascii", "backslashreplace")
        super().__init__(scope["method"], path, headers, _peer(scope), ticket)
        self.scope = scope
        self._receive = receive
        self._send = send
        self._pace = pace
        self._line: Line | None = scope.get(LINE_KEY)
        self._write_by: float | None = None
        length = headers.get("content-length", "0")
        self._unread = "transfer-encoding" in headers or length != "0"
        self._small = length.isdigit() and 0 < int(length) <= SMALL_BYTES and "expect" not in headers

    @property
    def quiet(self) -> bool:
        return self.scope["path"] in QUIET_PATHS

    @property
    def span_name(self) -> str:
        route, method = self._route, self._known_method
        return f"{method} {route}" if route else method

    @property
    def span_attributes(self) -> dict[str, str | int]:
        route = {"http.route": self._route, "url.path": self.scope["path"][:LONGEST_PATH]} if self._route else {}
        return {
            "http.request.method": self._known_method,
            "http.response.status_code": self.status,
            "url.scheme": self.scope["scheme"],
            "network.protocol.version": self.scope["http_version"],
            **route,
        }

    async def receive(self) -> Message:
        """The next part of the request's body."""
        message = await self._receive()
        self.received += len(message.get("body", b""))
        if message["type"] == "http.request" and not message.get("more_body", False):
            self._unread = False
        return message

    async def send(self, message: Message) -> None:
        """A part of the response, with what every response says in front."""
        if message["type"] == "http.response.start":
            self.write_began = perf_counter()
            if self._small and message["status"] == QueueFull.status:
                self._unread = False
            self._add_headers(message)
        else:
            self.sent += memoryview(message.get("body", b"")).nbytes
            if self._unread and not message.get("more_body", False):
                await self._send_on({**message, "more_body": True})
                await self._linger()
                message = {"type": "http.response.body", "body": b"", "more_body": False}
        await self._send_on(message)

    async def answer(self, error: ServiceError) -> None:
        """Send an error, where nothing else was sent."""
        await Reply(error_answer(error, self.id, self.scope["path"]))(self.scope, self.receive, self.send)

    def _send_on(self, message: Message) -> Awaitable[None]:
        """Send to a client that takes what is sent; the connection of one that is too slow is ended."""
        if self._line is None or not self._line.held_back:
            return self._send(message)  # which waits for nothing
        return self._send_to_slow(message, self._line)

    async def _send_to_slow(self, message: Message, line: Line) -> None:
        try:
            async with asyncio.timeout_at(self._write_by):
                await self._send(message)
        except TimeoutError:
            self._write_by, self.error = None, "answer-not-taken"
            line.abort()
            await self._send(message)  # returns as soon as the connection has ended, and so do all after it

    @property
    def _known_method(self) -> str:
        return self.scope["method"] if self.scope["method"] in KNOWN_METHODS else "_OTHER"

    @property
    def _route(self) -> str:
        return getattr(self.scope.get("route"), "path", "")

    def _add_headers(self, message: Message) -> None:
        self.status = message["status"]
        said: dict[bytes, bytes] = {REQUEST_ID: self.id.encode(), b"x-content-type-options": b"nosniff"}
        size = 0
        for name, value in message["headers"]:
            if name == b"content-length":
                size = int(value)
            elif name == b"content-type" and value.startswith(b"image/"):
                said[b"content-security-policy"] = b"default-src 'none'; sandbox"
        if self.status >= 400:
            said[b"cache-control"] = b"no-store"
        if self._unread or CROWDED_KEY in self.scope:
            said[b"connection"] = b"close"
        message["headers"] = [*(one for one in message["headers"] if one[0] not in said), *said.items()]
        self._write_by = asyncio.get_running_loop().time() + self._pace.seconds_for(size)

    async def _linger(self) -> None:
        left = LINGER_BYTES
        with suppress(TimeoutError):
            async with asyncio.timeout(LINGER_S):
                while left > 0 and self._unread:
                    message = await self.receive()
                    if message["type"] == "http.disconnect":
                        return
                    left -= len(message.get("body", b""))


def _first_values(scope: Scope) -> dict[str, str]:
    """The headers of a request; of one that is given several times, the first."""
    return {name.decode("latin-1"): value.decode("latin-1") for name, value in reversed(scope["headers"])}


def _peer(scope: Scope) -> str:
    """The address of the other end; nothing where it has none."""
    host: str = (scope.get("client") or ("",))[0]
    return host
