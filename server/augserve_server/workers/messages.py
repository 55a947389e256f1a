"""What the supervisor and its processes say to each other: lines of JSON, each a kind and a value."""

from __future__ import annotations

import asyncio
import json
import socket
from enum import StrEnum
from typing import Any, Final

LONGEST: Final = 64 * 1024 * 1024
"""Bytes of a message: the samples of the metrics of thousands of pipelines."""


class Kind(StrEnum):
    """What a message is about."""

    READY = "ready"  # from a template: it may be forked; its greeting and its metrics. From a worker: its pid
    FAILED = "failed"  # from a template: why it cannot start
    GO = "go"  # to a worker: accept connections
    SERVING = "serving"  # from a worker: it does
    BEAT = "beat"  # from a worker, each second: its event loop turns
    COUNT = "count"  # to a worker: send your metrics
    COUNTED = "counted"  # from a worker: its metrics
    SUM = "sum"  # from a worker: what are the metrics of all?
    SUMMED = "summed"  # to a worker: these


def encode(kind: Kind, value: Any = None) -> bytes:
    """A message as it is sent."""
    return json.dumps([kind, value]).encode() + b"\n"


class Line:
    """One end of a socket pair, in an event loop."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    @classmethod
    async def over(cls, end: socket.socket) -> Line:
        """Talk over this socket from now on; it is closed with the line."""
        return cls(*await asyncio.open_connection(sock=end, limit=LONGEST))

    def send(self, kind: Kind, value: Any = None) -> None:
        """Say something; where the other end is gone, nobody hears it."""
        if not self._writer.is_closing():
            self._writer.write(encode(kind, value))

    async def receive(self) -> tuple[Kind, Any] | None:
        """What the other end says next; None when it has gone."""
        try:
            line = await self._reader.readline()
        except ConnectionError:
            return None
        if not line.endswith(b"\n"):
            return None
        kind, value = json.loads(line)
        return Kind(kind), value

    async def flush(self) -> None:
        """Return when all that was said is on its way."""
        try:
            await self._writer.drain()
        except ConnectionError:
            return

    def close(self) -> None:
        """Hang up."""
        self._writer.close()
