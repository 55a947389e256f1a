"""The process that serves an app: its socket, its time limits on clients, and its end."""

from __future__ import annotations

import asyncio
import gc
import logging
import signal
import socket
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from threading import current_thread, main_thread
from typing import Any, Final, cast

import uvicorn
from fastapi import FastAPI
from uvicorn.protocols.http.flow_control import HIGH_WATER_LIMIT
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from augserve_server.auth import Auth
from augserve_server.connection_limits import raise_file_limit
from augserve_server.connections import GRACE_S, Connections
from augserve_server.corked import Corked
from augserve_server.footing import keep_freed_memory, let_work_go_on
from augserve_server.grpc_service.server import GrpcServer
from augserve_server.listening import listen, url_of
from augserve_server.logs import flush_logs
from augserve_server.protocol import guarded
from augserve_server.service import Service
from augserve_server.settings import Settings
from augserve_server.tls import tls_context

logger = logging.getLogger(__name__)

MAX_HEAD_BYTES: Final = 64 * 1024
"""Longest request line and headers together; a single packet may bring more."""
COLLECT_AT: Final = (5_000, 10, 10)
"""Python's 700 has the collector walk whatever is in flight many times a second, and all connections every few: among
1,000 slow ones that stopped everybody for 65 ms. Requests leave no cycles behind for it to find."""
PIECE_BYTES: Final = 16 * 1024
"""So much of a body is worth waking its reader."""


class Server(uvicorn.Server):
    """uvicorn, which drains before it stops: the first SIGTERM or SIGINT asks it to, the second insists."""

    def __init__(self, app: FastAPI, settings: Settings, on_start: Callable[[str], None] = lambda url: None) -> None:
        self.connections = Connections()
        super().__init__(_config(app, settings, self.connections))
        self._service: Service = app.state.service
        self._auth: Auth = app.state.auth
        self._settings = settings
        self._on_start = on_start
        self._draining: asyncio.Task[None] | None = None
        self._grpc: GrpcServer | None = None

    def run(self, sockets: list[socket.socket] | None = None) -> None:
        """Serve until told to stop. Raises OSError where the address cannot be had."""
        raise_file_limit(self._settings.max_connections + self._settings.reserved_connections)
        listeners = sockets or [listen(self._settings)]
        try:
            super().run(listeners)
        finally:
            for listener in listeners:
                listener.close()
            flush_logs()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to answer, and tell where. Raises OSError where gRPC cannot have its address."""
        port = self._settings.grpc_port
        self._grpc = None if port is None else GrpcServer(self._service, self._settings, port, self._auth.authorize)
        await self._listen(sockets or [])
        if self._grpc is not None:
            await self._grpc.start()
            logger.info("gRPC on %s port %d", self._settings.host, self._grpc.port)
        keep_freed_memory()
        let_work_go_on()
        gc.collect()
        gc.freeze()  # what is loaded by now stays: the collector need not walk it again and again
        gc.set_threshold(*COLLECT_AT)
        for listener in sockets or []:
            self._on_start(url_of(listener, "https" if self.config.is_ssl else "http"))

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stop answering."""
        if self._grpc is not None:
            await self._grpc.stop()
        await super().shutdown(sockets)

    @property
    def grpc_port(self) -> int:
        """Where gRPC is served. For a server that serves it, once it has started."""
        assert self._grpc is not None
        return self._grpc.port

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

    async def _listen(self, listeners: Sequence[socket.socket]) -> None:
        """As uvicorn does, with a limit on the time that a client may take to agree on TLS."""
        await self.lifespan.startup()
        if self.lifespan.should_exit:
            sys.exit(1)
        state = {"config": self.config, "server_state": self.server_state, "app_state": self.lifespan.state}
        protocol = partial(self.config.http_protocol_class, **state)
        tls: dict[str, Any] = {"ssl": self.config.ssl}
        if self.config.ssl is not None:
            tls["ssl_handshake_timeout"] = self._settings.head_timeout_s
        loop = asyncio.get_running_loop()
        self.servers = [
            await loop.create_server(protocol, sock=listener, backlog=self.config.backlog, **tls)
            for listener in listeners
        ]
        self.started = True

    async def _let_go(self) -> None:
        """What comes before no more work is taken; one process, behind a balancer, refuses it at once."""

    async def _drain(self) -> None:
        if self._grpc is not None:
            self._grpc.leave(self._settings.drain_s)
        with suppress(TimeoutError):
            async with asyncio.timeout(self._settings.drain_s):
                await self._let_go()
                await self._service.drain()
        self.should_exit = True


def _config(app: FastAPI, settings: Settings, connections: Connections) -> uvicorn.Config:
    """Raises InvalidSettings where the files for TLS do not do."""
    tls = tls_context(settings)
    return uvicorn.Config(
        app,
        ssl_context_factory=None if tls is None else lambda *_: tls,
        loop="uvloop",
        http=guarded(_protocol(settings, connections), settings),
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


def _protocol(settings: Settings, connections: Connections) -> type[HttpToolsProtocol]:
    """uvicorn's HTTP with what it lacks: limits on the head of a request, in time and size; an end of connections that
    loses nothing."""

    class Protocol(HttpToolsProtocol):
        _in_head = True
        _head_bytes = 0
        _ended_here = False  # a request ended within the last read: most of that read may be its body
        _head_timer: asyncio.TimerHandle | None = None
        _body_timer: asyncio.TimerHandle | None = None
        _rest_timer: asyncio.TimerHandle | None = None  # of a body that nobody waits for any more
        _body_due = 0.0  # when less than a piece of a body is worth waking its reader

        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
            super().connection_made(cast(asyncio.Transport, Corked(transport, self.loop)))
            connections.add(self)
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
            self._keep(body)
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
            self._forget_rest_timer()
            super().on_message_complete()
            if not self.pipeline:
                self.flow.resume_reading()  # so that a client that goes away is noticed

        def on_response_complete(self) -> None:
            super().on_response_complete()
            if not self._in_head and self._rest_timer is None:
                self._rest_timer = self.loop.call_later(settings.body_idle_timeout_s, self.transport.abort)
            if connections.leaving:
                self._part()

        def connection_lost(self, exc: Exception | None) -> None:
            self._forget_timer()
            self._forget_body_timer()
            self._forget_rest_timer()
            connections.discard(self)
            super().connection_lost(exc)

        def _keep(self, body: bytes) -> None:
            """Add it to what waits for a reader; alone, it is what there is, and need not be copied."""
            if not self.cycle.body:
                self.cycle.body = body  # type: ignore[assignment]  # the cycle makes bytes of it, whatever it is
                return
            if isinstance(self.cycle.body, bytes):
                self.cycle.body = bytearray(self.cycle.body)
            self.cycle.body += body

        def _wake_reader(self) -> None:
            self._forget_body_timer()
            self._body_due = self.loop.time() + settings.body_idle_timeout_s / 4
            self.cycle.message_event.set()

        def _forget_body_timer(self) -> None:
            if self._body_timer is not None:
                self._body_timer.cancel()
                self._body_timer = None

        def _forget_rest_timer(self) -> None:
            if self._rest_timer is not None:
                self._rest_timer.cancel()
                self._rest_timer = None

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
