"""Around every request over HTTP: what each answer says in front, and a polite end to a body that is not wanted."""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from dataclasses import dataclass
from time import perf_counter
from typing import Final

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from augserve.wire import REQUEST_ID_HEADER
from augserve_server.admission import Ticket
from augserve_server.answers import error_answer
from augserve_server.errors import Draining, InternalError, QueueFull, ServiceError
from augserve_server.replies import Reply
from augserve_server.service import Service
from augserve_server.visits import ABORT_KEY, CROWDED_KEY, LONGEST_PATH, SCOPE_KEY, Visit, counted

QUIET_PATHS: Final = ("/healthz", "/readyz", "/metrics", "/v2/health/live", "/v2/health/ready")
KNOWN_METHODS: Final = ("GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH")

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
            with counted(self._service, lambda ticket: HttpVisit(scope, receive, send, ticket, self._pace)) as visit:
                await self._answer(visit)
        finally:
            for key in (SCOPE_KEY, ABORT_KEY):  # a cycle would keep what the request held until the collector comes
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
        headers = Headers(scope=scope)
        path = scope.get("raw_path", b"").decode("ascii", "backslashreplace")
        super().__init__(scope["method"], path, headers, _peer(scope), ticket)
        self.scope = scope
        self._receive = receive
        self._send = send
        self._pace = pace
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
            self._allow_time(message)
        elif self._unread and not message.get("more_body", False):
            await self._write({**message, "more_body": True})
            await self._linger()
            message = {"type": "http.response.body", "body": b"", "more_body": False}
        self.sent += memoryview(message.get("body", b"")).nbytes
        await self._write(message)

    async def answer(self, error: ServiceError) -> None:
        """Send an error, where nothing else was sent."""
        await Reply(error_answer(error, self.id, self.scope["path"]))(self.scope, self.receive, self.send)

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

    @property
    def _known_method(self) -> str:
        return self.scope["method"] if self.scope["method"] in KNOWN_METHODS else "_OTHER"

    @property
    def _route(self) -> str:
        return getattr(self.scope.get("route"), "path", "")

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


def _peer(scope: Scope) -> str:
    """The address of the other end; nothing where it has none."""
    host: str = (scope.get("client") or ("",))[0]
    return host
