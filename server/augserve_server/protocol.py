"""uvicorn's HTTP with what it lacks: limits on heads, chunks, trailers, on what is pipelined, and on connections."""

from __future__ import annotations

import asyncio
from typing import Final

from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from augserve_server.connection_limits import ConnectionLimits
from augserve_server.settings import Settings
from augserve_server.visits import ABORT_KEY, CROWDED_KEY

MAX_HEAD_BYTES: Final = 64 * 1024
"""Longest request line and headers together; a single packet may bring more."""
MAX_PIPELINED: Final = 64
"""Most requests of one connection that wait for the one before: they are taken off the wire a packet at a time."""


class Refused(Exception):
    """Stops the parser; the connection is answered with 400, where an answer has a place, and closed."""


def protocol_of(settings: Settings) -> type[asyncio.Protocol]:
    """The protocol of one server's connections, which it counts."""
    connections = ConnectionLimits(
        settings.max_connections, settings.reserved_connections, settings.max_peer_connections
    )

    class Protocol(HttpToolsProtocol):
        _in_head = True
        _head_bytes = 0
        _ended_here = False  # a request ended within the last read: most of that read may be its body
        _head_timer: asyncio.TimerHandle | None = None
        _chunks = 0
        _took_body = False  # the last read had bytes of a body
        _other_bytes = 0  # read since then: extensions of chunks, or trailers

        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
            super().connection_made(transport)
            if not connections.open(self, self._peer, transport.abort):
                self.app = _crowded(self.app)
            self._await_head()

        def data_received(self, data: bytes) -> None:
            self._ended_here = self._took_body = False
            super().data_received(data)
            if self.transport.is_closing():
                return
            if self._in_head and not self._ended_here:
                self._head_bytes += len(data)
                self._await_head()
            elif not self._in_head:
                self._other_bytes = 0 if self._took_body else self._other_bytes + len(data)
            if max(self._head_bytes, self._other_bytes) > MAX_HEAD_BYTES:
                self.send_400_response("Request head too large.")

        def on_message_begin(self) -> None:
            super().on_message_begin()
            self.scope[ABORT_KEY] = self.transport.abort  # type: ignore[typeddict-unknown-key]  # uvicorn's type is closed
            self._chunks = self._other_bytes = 0

        def on_header(self, name: bytes, value: bytes) -> None:
            if not self._in_head:
                raise Refused("trailers are not taken")  # uvicorn would add them to the headers, without a limit
            super().on_header(name, value)

        def on_headers_complete(self) -> None:
            self._in_head = False
            self._head_bytes = 0
            self._forget_timer()
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
            self._in_head = self._ended_here = True
            super().on_message_complete()

        def send_400_response(self, msg: str) -> None:
            if self._may_answer():
                lines = ["HTTP/1.1 400 Bad Request", *_BAD_REQUEST, f"Content-Length: {len(msg)}", "", msg]
                self.transport.write("\r\n".join(lines).encode("ascii"))
                self.transport.close()
            else:  # what is written now would be read as the answer to another request, or as a part of it
                self.transport.abort()

        def connection_lost(self, exc: Exception | None) -> None:
            connections.closed(self, self._peer)
            self._forget_timer()
            super().connection_lost(exc)

        @property
        def _peer(self) -> str:
            return self.client[0] if self.client else ""

        def _may_answer(self) -> bool:
            cycle = self.cycle
            if cycle is None or cycle.response_complete:
                return True
            return cycle.more_body and not cycle.response_started and not self.pipeline

        def _await_head(self) -> None:
            if self._head_timer is None:
                self._head_timer = self.loop.call_later(settings.head_timeout_s, self._cut_off)

        def _cut_off(self) -> None:
            self._head_timer = None
            if self.cycle is None or self.cycle.response_complete:
                self.transport.close()
            else:  # the request before is still being answered
                self._await_head()

        def _forget_timer(self) -> None:
            if self._head_timer is not None:
                self._head_timer.cancel()
                self._head_timer = None

    return Protocol


_BAD_REQUEST: Final = (
    "Content-Type: text/plain; charset=utf-8",
    "X-Content-Type-Options: nosniff",
    "Cache-Control: no-store",
    "Connection: close",
)


def _crowded(app: ASGIApp) -> ASGIApp:
    """The same app, which is told that the connection is beyond the limit."""

    async def run(scope: Scope, receive: Receive, send: Send) -> None:
        scope[CROWDED_KEY] = True
        await app(scope, receive, send)

    return run
