"""What is written to a connection in one turn of the event loop goes out together."""

from __future__ import annotations

import asyncio
from typing import Any, Final

from augserve.wire import Buffer

__all__ = ["Corked"]

LARGE_BYTES: Final = 16 * 1024
"""What is as large is written at once, behind what was held."""


class Corked:
    """A transport that holds what is small until something large is written, or the event loop turns.

    uvicorn writes the head of an answer by itself: that is a system call, a packet and a turn of the client's loop.
    """

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._transport = transport
        self._loop = loop
        self._held: list[Buffer] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def write(self, data: Buffer) -> None:
        """Write bytes, or hold them for a moment."""
        if len(data) < LARGE_BYTES:
            if not self._held:
                self._loop.call_soon(self._flush)
            self._held.append(data)
        elif self._held:
            held, self._held = self._held, []
            self._transport.writelines([*held, data])
        else:
            self._transport.write(data)

    def close(self) -> None:
        """Close the connection once all is written."""
        self._flush()
        self._transport.close()

    def abort(self) -> None:
        """Close it at once."""
        self._held.clear()
        self._transport.abort()

    def _flush(self) -> None:
        held, self._held = self._held, []
        if held and not self._transport.is_closing():
            self._transport.write(b"".join(held))
