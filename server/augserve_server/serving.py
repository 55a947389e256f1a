"""The process that serves an app: its socket, its time limits on clients, and its end."""

from __future__ import annotations

import asyncio
import gc
import logging
import resource
import signal
import socket
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from threading import current_thread, main_thread
from typing import Any, Final

import uvicorn
from fastapi import FastAPI

from augserve_server.protocol import protocol_of
from augserve_server.service import Service
from augserve_server.settings import Settings
from augserve_server.tls import tls_context

OTHER_FILES: Final = 256
"""File descriptors that a process needs besides those of connections."""

logger = logging.getLogger(__name__)


class Server(uvicorn.Server):
    """uvicorn, which drains before it stops: the first SIGTERM or SIGINT asks it to, the second insists."""

    def __init__(self, app: FastAPI, settings: Settings, on_start: Callable[[str], None] = lambda url: None) -> None:
        super().__init__(_config(app, settings))
        self._service: Service = app.state.service
        self._settings = settings
        self._on_start = on_start
        self._draining: asyncio.Task[None] | None = None

    def run(self, sockets: list[socket.socket] | None = None) -> None:
        """Serve until told to stop. Raises OSError where the address cannot be had."""
        _raise_file_limit(self._settings.max_connections + self._settings.reserved_connections + OTHER_FILES)
        super().run(sockets or [listen(self._settings)])

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to answer, and tell where."""
        await self._listen(sockets or [])
        gc.collect()
        gc.freeze()  # what is loaded by now stays: the collector need not walk it again and again
        for listener in sockets or []:
            self._on_start(url_of(listener, "https" if self.config.is_ssl else "http"))

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

    async def _drain(self) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(self._settings.drain_s):
                await self._service.drain()
        self.should_exit = True


def listen(settings: Settings) -> socket.socket:
    """A listening socket on the address of the settings. Raises OSError where it cannot be had."""
    family, _, _, _, address = socket.getaddrinfo(
        settings.host, settings.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )[0]
    listener = socket.create_server(address, family=family, backlog=settings.max_connections)
    # Accepted connections inherit it: one whose client takes no byte for so long is cut by the kernel.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(settings.write_timeout_s * 1000))
    listener.setblocking(False)
    return listener


def url_of(listener: socket.socket, scheme: str = "http") -> str:
    """Where a listening socket is reached: ``http://127.0.0.1:8000``."""
    host, port = listener.getsockname()[:2]
    return f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}"


def _raise_file_limit(wanted: int) -> None:
    """Allow the process as many open files as its connections may need, as far as the system lets it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    allowed = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    if soft != resource.RLIM_INFINITY and soft < allowed:
        resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, hard))
    if allowed < wanted:
        logger.warning("%d open files are allowed; max_connections needs %d (ulimit -n)", allowed, wanted)


def _config(app: FastAPI, settings: Settings) -> uvicorn.Config:
    """Raises InvalidSettings where the files for TLS do not do."""
    tls = tls_context(settings)
    return uvicorn.Config(
        app,
        ssl_context_factory=None if tls is None else lambda *_: tls,
        loop="uvloop",
        http=protocol_of(settings),
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
