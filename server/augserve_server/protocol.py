"""Guards around uvicorn's HTTP: on chunks, trailers, what is pipelined, on refusals, and on how many connect."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any, Final

from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from augserve_server.connection_limits import ConnectionLimits
from augserve_server.settings import Settings
from augserve_server.visits import CROWDED_KEY, LINE_KEY

MAX_OTHER_BYTES: Final = 64 * 1024
"""Most bytes within a body that are not of it: extensions of chunks, trailers."""
MAX_PIPELINED: Final = 64
"""Most requests of one connection that wait for the one before: they are taken off the wire a packet at a time."""


class Refused(Exception):
    """Stops the parser; the connection is answered with 400, where an answer has a place, and closed."""


def guarded(base: type[HttpToolsProtocol], settings: Settings) -> type[HttpToolsProtocol]:
    """The protocol of one server's connections, which it counts. It must be the last to override what it overrides."""
    limits = ConnectionLimits(settings.max_connections, settings.reserved_connections, settings.max_peer_connections)

    class Guarded(base):  # type: ignore[misc, valid-type]  # any class of uvicorn's protocol
        app: Any
        _in_body = False
        _chunks = 0
        _took_body = False  # the last read had bytes of a body
        _other_bytes = 0  # read within the body since then
        is_lost = False
        on_lost: Callable[[], None] | None = None

        def connection_made(self, transport: asyncio.Transport) -> None:
            super().connection_made(transport)
            if not limits.open(self, self._peer, transport.abort):
                self.app = _crowded(self.app)

        def data_received(self, data: bytes) -> None:
            self._took_body = False
            super().data_received(data)
            if self._in_body and not self.transport.is_closing():
                self._other_bytes = 0 if self._took_body else self._other_bytes + len(data)
                if self._other_bytes > MAX_OTHER_BYTES:
                    self.send_400_response("Too much around the chunks of the body.")

        def on_message_begin(self) -> None:
            super().on_message_begin()
            self.scope[LINE_KEY] = self
            self._chunks = self._other_bytes = 0

        def on_header(self, name: bytes, value: bytes) -> None:
            if self._in_body:
                raise Refused("trailers are not taken")  # uvicorn would add them to the headers, without a limit
            super().on_header(name, value)

        def on_headers_complete(self) -> None:
            self._in_body = True
            if len(self.pipeline) >= MAX_PIPELINED:
                raise Refused("too many requests are pipelined")
            super().on_headers_complete()

        def on_chunk_header(self) -> None:
            self._chunks += 1
            if self._chunks > settings.max_body_chunks:
                raise Refused("too many chunks")

        def on_body(self, body: bytes) -> None:
            self._took_body = True
            super().on_body(body)

        def on_message_complete(self) -> None:
            self._in_body = False
            super().on_message_complete()

        def send_400_response(self, msg: str) -> None:
            if _has_a_place(self.cycle) and not self.pipeline:
                lines = ["HTTP/1.1 400 Bad Request", *_BAD_REQUEST, f"Content-Length: {len(msg)}", "", msg]
                self.transport.write("\r\n".join(lines).encode("ascii"))
                self.transport.close()
            else:
                self.transport.abort()

        def connection_lost(self, exc: Exception | None) -> None:
            limits.closed(self, self._peer)
            super().connection_lost(exc)
            self.is_lost = True
            if self.on_lost is not None:
                self.on_lost()

        @property
        def held_back(self) -> bool:
            writing_waits: bool = self.flow.write_paused
            return writing_waits

        def has_body_of(self, scope: Scope) -> bool:
            return self.cycle.scope is not scope or not self.cycle.more_body  # another has begun after its end

        def listening(self, lost: Callable[[], None]) -> AbstractContextManager[None]:
            return Listening(self, lost)

        def abort(self) -> None:
            self.transport.abort()

        @property
        def _peer(self) -> str:
            return self.client[0] if self.client else ""

    return Guarded


class Listening(AbstractContextManager[None]):
    """Somebody is told when a connection is lost. One at a time: a request is answered after the one before."""

    __slots__ = ("_line", "_lost")

    def __init__(self, line: Any, lost: Callable[[], None]) -> None:
        self._line = line
        self._lost = lost

    def __enter__(self) -> None:
        self._line.on_lost = self._lost
        if self._line.is_lost:  # not in the middle of what asks, which may end before it waits for anything
            asyncio.get_running_loop().call_soon(self._lost)

    def __exit__(self, *_: object) -> None:
        self._line.on_lost = None


_BAD_REQUEST: Final = (
    "Content-Type: text/plain; charset=utf-8",
    "X-Content-Type-Options: nosniff",
    "Cache-Control: no-store",
    "Connection: close",
)


def _has_a_place(cycle: Any) -> bool:
    """Whether a refusal would be read as the answer to what is refused, and not to another request or within one."""
    return cycle is None or cycle.response_complete or (cycle.more_body and not cycle.response_started)


def _crowded(app: ASGIApp) -> ASGIApp:
    """The same app, which is told that the connection is beyond the limit."""

    async def run(scope: Scope, receive: Receive, send: Send) -> None:
        scope[CROWDED_KEY] = True
        await app(scope, receive, send)

    return run
