"""Reading a request's body: one raw image, or a form of samples, counted and bounded as they arrive."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from python_multipart.multipart import parse_options_header
from starlette.requests import Request
from starlette.types import Receive

from augserve_server.admission import Load, Ticket
from augserve_server.errors import (
    BodyTimeout,
    BodyTooLarge,
    ClientGone,
    EmptyBody,
    ImageTooLarge,
    TooManyChunks,
    UnsupportedMediaType,
)
from augserve_server.forms import FORM, Form
from augserve_server.settings import Settings
from augserve_server.uploads import Grammar, SampleLimits, Samples, Upload
from augserve_server.visits import LINE_KEY, Line

# What is taken as one raw image besides image/*: curl --data-binary says the last. The image's own bytes decide.
RAW_TYPES = ("", "application/octet-stream", "application/x-www-form-urlencoded")

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class BodyLimits:
    """Bounds of a request's body."""

    bytes: int
    chunks: int
    sample: SampleLimits
    total_s: float
    idle_s: float

    @classmethod
    def of(cls, settings: Settings) -> BodyLimits:
        """Those that the settings say."""
        return cls(
            settings.max_body_bytes,
            settings.max_body_chunks,
            SampleLimits(settings.max_images, settings.max_image_bytes, settings.max_clip_frames),
            settings.body_timeout_s,
            settings.body_idle_timeout_s,
        )


class _Sink(Protocol):
    """Takes a body as it arrives."""

    def expect(self, size: int) -> None: ...

    def write(self, chunk: bytes) -> None: ...


class _Body(_Sink, Protocol):
    """Gives the samples of a body at its end."""

    def uploads(self) -> list[Upload]: ...


async def read_uploads(request: Request, limits: BodyLimits, ticket: Ticket, grammar: Grammar) -> list[Upload]:
    """The samples of a request, in order; one that is too large is an error in its place, the others are kept.

    Raises what is wrong with the body as a whole, as soon as it is known: before any more of it is read.
    """
    body = _body(request, limits, grammar)
    await _read(request, body, limits, ticket)
    return body.uploads()


async def read_bytes(request: Request, limits: BodyLimits, ticket: Ticket) -> bytes | bytearray:
    """The whole body of a request. Raises what is wrong with it as soon as it is known."""
    body = _PlainBody()
    await _read(request, body, limits, ticket)
    return body.data


async def _read(request: Request, body: _Sink, limits: BodyLimits, ticket: Ticket) -> None:
    declared = request.headers.get("content-length")
    if declared is not None:
        size = int(declared)
        _check_size(size, limits)
        body.expect(size)
        if size > ticket.held.bytes:  # which it may hold since its head was read
            ticket.take(Load(bytes=size - ticket.held.bytes))
    holder = ticket if declared is None else None
    line: Line | None = request.scope.get(LINE_KEY)
    if line is not None and line.has_body_of(request.scope):
        await _receive(request, body, limits, holder, None)
        return
    try:
        async with asyncio.timeout(min(limits.idle_s, limits.total_s)) as patience:
            await _receive(request, body, limits, holder, patience)
    except TimeoutError as exc:
        raise BodyTimeout(limits.idle_s, limits.total_s) from exc


async def unless_gone(request: Request, work: Coroutine[Any, Any, Result]) -> Result:
    """The result of ``work``, which is cancelled when the client goes away first; for after the body was read.

    Raises ClientGone.
    """
    gone = _Gone()
    line: Line | None = request.scope.get(LINE_KEY)
    with _listening(request.receive, gone.interrupt) if line is None else line.listening(gone.interrupt):
        try:
            return await work
        except asyncio.CancelledError:
            if gone.caught():
                raise ClientGone from None
            raise
        finally:
            gone.over = True


@contextmanager
def _listening(receive: Receive, lost: Callable[[], None]) -> Iterator[None]:
    """Have ``lost`` called when the client goes away, by ASGI's means alone."""
    watcher = asyncio.create_task(_disconnect(receive))
    watcher.add_done_callback(lambda watcher: None if watcher.cancelled() else lost())
    try:
        yield
    finally:
        watcher.cancel()
        del watcher  # an error on its way out holds this frame: with the task in it, that would be a cycle


class _Gone:
    """Cancels the task that it was made in, once, when a client has gone; as ``asyncio.timeout`` does it in the end."""

    def __init__(self) -> None:
        task = asyncio.current_task()
        assert task is not None
        self.over = False
        self._task: asyncio.Task[Any] = task
        self._cancelling = task.cancelling()
        self._interrupted = False

    def interrupt(self) -> None:
        """Nobody waits any more."""
        if not self.over:
            self._interrupted = True
            self._task.cancel()

    def caught(self) -> bool:
        """Whether the cancellation that has arrived is this one, and no other."""
        return self._interrupted and self._task.uncancel() <= self._cancelling


async def _disconnect(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def _body(request: Request, limits: BodyLimits, grammar: Grammar) -> _Body:
    encoding = request.headers.get("content-encoding", "identity")
    if encoding.lower() != "identity":
        raise UnsupportedMediaType("Content-Encoding", encoding, ["identity"])
    header = request.headers.get("content-type", "")
    media_type, options = parse_options_header(header)
    name = media_type.decode("latin-1")
    if name == FORM:
        return _FormBody(options.get(b"boundary", b""), Samples(limits.sample, grammar))
    if grammar.replay:
        raise UnsupportedMediaType("Content-Type", header, [FORM])
    if name in RAW_TYPES or name.startswith("image/"):
        return _RawBody(limits.sample.image_bytes)
    raise UnsupportedMediaType("Content-Type", header, ["image/*", FORM, *RAW_TYPES[1:]])


async def _receive(
    request: Request, body: _Sink, limits: BodyLimits, ticket: Ticket | None, patience: asyncio.Timeout | None
) -> None:
    now = asyncio.get_running_loop().time
    end = now() + limits.total_s
    size = chunks = 0
    more = True
    while more:
        if chunks and patience is not None:
            patience.reschedule(min(end, now() + limits.idle_s))
        message = await request.receive()
        if message["type"] == "http.disconnect":
            raise ClientGone
        chunk = message.get("body", b"")
        more = message.get("more_body", False)
        size, chunks = size + len(chunk), chunks + 1
        _check_size(size, limits)
        if chunks > limits.chunks:
            raise TooManyChunks(limits.chunks)
        if ticket is not None:
            ticket.take(Load(bytes=len(chunk)))
        body.write(chunk)


def _check_size(size: int, limits: BodyLimits) -> None:
    if size > limits.bytes:
        raise BodyTooLarge(size, limits.bytes)


class _PlainBody:
    """The body as it is."""

    def __init__(self) -> None:
        self._chunks: list[bytes] = []

    def expect(self, size: int) -> None:
        """Any size within the whole body's limit."""

    def write(self, chunk: bytes) -> None:
        self._chunks.append(chunk)

    @property
    def data(self) -> bytes | bytearray:
        """All of it; of several chunks in memory that may be written to, as torch wants that of tensors."""
        return self._chunks[0] if len(self._chunks) == 1 else bytearray().join(self._chunks)


class _RawBody:
    """The whole body is one image."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._chunks: list[bytes] = []
        self._size = 0

    def expect(self, size: int) -> None:
        if size > self._limit:
            raise ImageTooLarge("bytes", size, self._limit)

    def write(self, chunk: bytes) -> None:
        self._size += len(chunk)
        self.expect(self._size)
        self._chunks.append(chunk)

    def uploads(self) -> list[Upload]:
        if not self._size:
            raise EmptyBody
        return [b"".join(self._chunks)]


class _FormBody:
    """A multipart/form-data body of samples."""

    def __init__(self, boundary: bytes, samples: Samples) -> None:
        self._samples = samples
        self._form = Form(boundary, samples)

    def expect(self, size: int) -> None:
        """Any size within the whole body's limit may be a form."""

    def write(self, chunk: bytes) -> None:
        self._form.write(chunk)

    def uploads(self) -> list[Upload]:
        self._form.finish()
        return self._samples.uploads()
