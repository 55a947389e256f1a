"""The process that serves an app: its socket, its time limits on clients, and its end."""

from __future__ import annotations

import asyncio
import gc
import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from threading import current_thread, main_thread
from typing import Final

import uvicorn
from fastapi import FastAPI
from uvicorn.protocols.http.flow_control import HIGH_WATER_LIMIT
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from augserve_server.connections import GRACE_S, Connections
from augserve_server.listening import listen, url_of
from augserve_server.service import Service
from augserve_server.settings import Settings

MAX_HEAD_BYTES: Final = 64 * 1024
"""Longest request line and headers together; a single packet may bring more."""
PIECE_BYTES: Final = 16 * 1024
"""So much of a body is worth waking its reader."""


class Server(uvicorn.Server):
    """uvicorn, which drains before it stops: the first SIGTERM or SIGINT asks it to, the second insists."""

    def __init__(self, app: FastAPI, settings: Settings, on_start: Callable[[str], None] = lambda url: None) -> None:
        self.connections = Connections()
        super().__init__(_config(app, settings, self.connections))
        self._service: Service = app.state.service
        self._settings = settings
        self._on_start = on_start
        self._draining: asyncio.Task[None] | None = None

    def run(self, sockets: list[socket.socket] | None = None) -> None:
        """Serve until told to stop. Raises OSError where the address cannot be had."""
        super().run(sockets or [listen(self._settings)])

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to answer, and tell where."""
        await super().startup(sockets)
        gc.collect()
        gc.freeze()  # what is loaded by now stays: the collector need not walk it again and again
        for listener in sockets or []:
            self._on_start(url_of(listener))

    def begin_drain(self) -> None:
        """Finish what was accepted, then stop; a second time: stop now. To be called in the event loop."""
        if self._draining is None:
            self._draining = asyncio.get_running_loop().create_task(self._drain(), name="augserve-drain")
        else:
            self.should_exit = self.force_exit = True

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Drain on signals, where they can be had: in the main thread."""
        signals = (signal.SIGTERM, signal.SIGINT) if current_thread() is main_thread() else ()
        loop = asyncio.get_running_loop()
        for number in signals:
            loop.add_signal_handler(number, self.begin_drain)
        try:
            yield
        finally:
            for number in signals:
                loop.remove_signal_handler(number)

    async def _let_go(self) -> None:
        """What comes before no more work is taken; one process, behind a balancer, refuses it at once."""

    async def _drain(self) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(self._settings.drain_s):
                await self._let_go()
                await self._service.drain()
        self.should_exit = True


def _config(app: FastAPI, settings: Settings, connections: Connections) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        loop="uvloop",
        http=_protocol(settings, connections),
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        backlog=settings.max_connections,
        timeout_keep_alive=settings.keep_alive_s,
        timeout_graceful_shutdown=1,  # the drain has done the waiting
    )


def _protocol(settings: Settings, connections: Connections) -> type[asyncio.Protocol]:
    """uvicorn's HTTP with what it lacks: limits on the head of a request, in time and size, and on connections; an end
    of connections that loses nothing."""

    class Protocol(HttpToolsProtocol):
        _in_head = True
        _head_bytes = 0
        _ended_here = False  # a request ended within the last read: most of that read may be its body
        _head_timer: asyncio.TimerHandle | None = None
        _body_timer: asyncio.TimerHandle | None = None
        _body_due = 0.0  # when less than a piece of a body is worth waking its reader

        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
            super().connection_made(transport)
            connections.add(self)
            if len(self.connections) > settings.max_connections:
                transport.abort()
            self._await_head()
            if connections.leaving:
                self._part()

        def data_received(self, data: bytes) -> None:
            self._ended_here = False
            super().data_received(data)
            if self._in_head and not self._ended_here and not self.transport.is_closing():
                self._head_bytes += len(data)
                self._await_head()
                if self._head_bytes > MAX_HEAD_BYTES:
                    self.send_400_response("Request head too large.")

        def on_headers_complete(self) -> None:
            self._in_head = False
            self._head_bytes = 0
            self._forget_timer()
            super().on_headers_complete()
            if connections.ends_with_answer():
                self.cycle.keep_alive = False

        def on_body(self, body: bytes) -> None:
            """Wake whoever reads the body for a good piece of it, or when the last time is long ago.

            Half of a thousand clients that send a byte a second would else cost the event loop a tenth of its time.
            """
            if self.cycle.response_complete:
                return
            self.cycle.body += body
            if len(self.cycle.body) >= PIECE_BYTES or self.loop.time() >= self._body_due:
                if len(self.cycle.body) > HIGH_WATER_LIMIT:
                    self.flow.pause_reading()
                self._wake_reader()
            elif self._body_timer is None:
                self._body_timer = self.loop.call_at(self._body_due, self._wake_reader)

        def on_message_complete(self) -> None:
            self._in_head = self._ended_here = True
            self._body_due = 0.0
            self._forget_body_timer()
            super().on_message_complete()

        def on_response_complete(self) -> None:
            super().on_response_complete()
            if connections.leaving:
                self._part()

        def connection_lost(self, exc: Exception | None) -> None:
            self._forget_timer()
            self._forget_body_timer()
            connections.discard(self)
            super().connection_lost(exc)

        def _wake_reader(self) -> None:
            self._forget_body_timer()
            self._body_due = self.loop.time() + settings.body_idle_timeout_s / 4
            self.cycle.message_event.set()

        def _forget_body_timer(self) -> None:
            if self._body_timer is not None:
                self._body_timer.cancel()
                self._body_timer = None

        def leave(self) -> None:
            if self._is_idle():
                self._part()
            elif self.cycle is not None and not self.cycle.response_started:
                self.cycle.keep_alive = False

        def _part(self) -> None:
            if not self.transport.is_closing():
                self.loop.call_later(GRACE_S, self._hang_up)

        def _hang_up(self) -> None:
            if self._is_idle():
                self.transport.close()

        def _is_idle(self) -> bool:
            return not self._head_bytes and (self.cycle is None or self.cycle.response_complete)

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
