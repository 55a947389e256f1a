"""Sending an answer: its buffers as they lie in memory, in pieces that a slow client can hold back."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from augserve.wire import Buffer
from augserve_server.answers import Answer

PIECE_BYTES: Final = 1 << 20
"""A client that stops reading holds at most this much in the socket's queue; smaller pieces cost wake-ups."""
SMALL_BYTES: Final = 1 << 16
"""Up to this size, a copy is cheaper than a write of its own."""


class Reply(Response):
    """A Starlette response that copies nothing."""

    def __init__(self, answer: Answer) -> None:
        self.buffers = answer.buffers
        size = sum([memoryview(buffer).nbytes for buffer in answer.buffers])
        headers = {**answer.headers, "Content-Length": str(size), "Content-Type": answer.content_type}
        self.status_code = answer.status
        self.raw_headers = [(name.lower().encode(), value.encode("latin-1")) for name, value in headers.items()]
        self.body = b""  # of which there is none but the buffers
        self.background = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        last: Buffer = b""
        for piece in filter(len, pieces(self.buffers)):
            if last:
                await send({"type": "http.response.body", "body": last, "more_body": True})
            last = piece
        await send({"type": "http.response.body", "body": last, "more_body": False})


def pieces(buffers: Sequence[Buffer]) -> Iterator[Buffer]:
    """The same bytes: small neighbours joined, large buffers cut but not copied."""
    small: list[Buffer] = []
    for buffer in buffers:
        if len(buffer) <= SMALL_BYTES:
            small.append(buffer)
            continue
        yield b"".join(small)
        small.clear()
        view = memoryview(buffer)
        yield from (view[start : start + PIECE_BYTES] for start in range(0, len(view), PIECE_BYTES))
    yield b"".join(small)
