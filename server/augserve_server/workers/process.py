"""A worker: a server that accepts on a socket which it shares, and tells its supervisor how it is."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, Final

import uvicorn
from fastapi import FastAPI

from augserve_server.serving import Server
from augserve_server.settings import Settings
from augserve_server.workers.accepting import Acceptor
from augserve_server.workers.messages import Kind, Line
from augserve_server.workers.shares import Share
from augserve_server.workers.totals import Family, from_json, lasting, since, to_json

BEAT_S: Final = 1.0
SUM_S: Final = 5.0
"""How long to wait for the metrics of all; then those of this worker alone would be wrong, and the scrape fails."""


class Worker(Server):
    """Serves what it accepts. ``end`` leads to the supervisor; when that is gone, the worker drains and ends."""

    def __init__(
        self, app: FastAPI, settings: Settings, listener: socket.socket, end: socket.socket, share: Share
    ) -> None:
        super().__init__(app, settings)
        self._listener = listener
        self._end = end
        self._share = share
        self._inherited = lasting(self._service.metrics.families())
        self._go = asyncio.Event()
        self._acceptor: Acceptor | None = None
        self._sums: list[asyncio.Future[Any]] = []
        self._tasks: list[asyncio.Task[None]] = []
        self.connections.changed = share.count

    def serve_until_told(self) -> None:
        """Serve until the supervisor or a signal says that it is enough."""
        os.dup(self._end.fileno())  # open until the process has ended: that is how the supervisor learns of it
        uvicorn.Server.run(self, [])

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Be ready, and accept connections when the supervisor says so."""
        self._line = await Line.over(self._end)
        self._tasks = [
            asyncio.create_task(work(), name=f"augserve-{work.__name__}") for work in (self._hear, self._beat)
        ]
        self._service.sum_metrics = self._sum
        self._line.send(Kind.READY, os.getpid())
        await self._go.wait()
        await super().startup(sockets)
        if self._draining is None:
            self._acceptor = Acceptor(self._listener, self._share, self._connect)
            self._acceptor.start()
            self._line.send(Kind.SERVING)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """End, and leave the supervisor what was counted."""
        await super().shutdown(sockets)
        self._count()
        await self._line.flush()
        for task in self._tasks:
            task.cancel()

    async def _let_go(self) -> None:
        """Answer every request that comes on an open connection, the last on each with the news that it ends."""
        self._go.set()
        if self._acceptor is not None:
            self._acceptor.finish()
        await self.connections.leave()

    def _connect(self, connection: socket.socket) -> None:
        serving = asyncio.get_running_loop().create_task(self._serve_connection(connection))
        self.server_state.tasks.add(serving)
        serving.add_done_callback(self.server_state.tasks.discard)

    async def _serve_connection(self, connection: socket.socket) -> None:
        def protocol() -> asyncio.Protocol:
            made: asyncio.Protocol = self.config.http_protocol_class(  # type: ignore[call-arg]  # as uvicorn makes them
                config=self.config, server_state=self.server_state, app_state=self.lifespan.state
            )
            return made

        tls = self.config.ssl
        within_s = None if tls is None else self._settings.head_timeout_s
        with suppress(OSError):  # it is gone again
            await asyncio.get_running_loop().connect_accepted_socket(
                protocol, connection, ssl=tls, ssl_handshake_timeout=within_s
            )

    async def _hear(self) -> None:
        """Do what the supervisor says; drain when it is gone."""
        while (message := await self._line.receive()) is not None:
            match message:
                case (Kind.GO, _):
                    self._go.set()
                case (Kind.COUNT, _):
                    self._count()
                case (Kind.SUMMED, families):
                    if not (asked := self._sums.pop(0)).done():  # else the scrape has ended
                        asked.set_result(families)
        if self._draining is None:
            self.begin_drain()

    async def _beat(self) -> None:
        while True:
            self.connections.excess = self._share.excess() if self._share.accepts else 0
            self._line.send(Kind.BEAT)
            await asyncio.sleep(BEAT_S)

    def _count(self) -> None:
        counted = since(self._service.metrics.families(), self._inherited)
        self._line.send(Kind.COUNTED, to_json(counted))

    async def _sum(self) -> Sequence[Family]:
        """The metrics of all workers."""
        answer = asyncio.get_running_loop().create_future()
        self._sums.append(answer)
        self._line.send(Kind.SUM)
        async with asyncio.timeout(SUM_S):
            return from_json(await answer)
