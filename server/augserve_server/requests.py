"""Reading a request's body: one raw image, or the image parts of a form, counted and bounded as they arrive."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.requests import Request
from starlette.types import Message, Receive

from augserve.wire import IMAGE_PART
from augserve_server.admission import Load, Ticket
from augserve_server.errors import (
    BodyMalformed,
    BodyTimeout,
    BodyTooLarge,
    ClientGone,
    EmptyBody,
    ImageTooLarge,
    ServiceError,
    TooManyChunks,
    TooManyImages,
    UnsupportedMediaType,
)
from augserve_server.settings import Settings

FORM = "multipart/form-data"
# What is taken as one raw image besides image/*: curl --data-binary says the last. The image's own bytes decide.
RAW_TYPES = ("", "application/octet-stream", "application/x-www-form-urlencoded")

LONGEST_NAME = 100

Result = TypeVar("Result")

Upload = bytes | ServiceError
"""One image as it came, or why it was not kept."""


@dataclass(frozen=True, slots=True)
class BodyLimits:
    """Bounds of a request's body."""

    bytes: int
    chunks: int
    image_bytes: int
    images: int
    total_s: float
    idle_s: float

    @classmethod
    def of(cls, settings: Settings) -> BodyLimits:
        """Those that the settings say."""
        return cls(
            settings.max_body_bytes,
            settings.max_body_chunks,
            settings.max_image_bytes,
            settings.max_images,
            settings.body_timeout_s,
            settings.body_idle_timeout_s,
        )


class _Body(Protocol):
    """Takes a body as it arrives, and gives its images at the end."""

    def expect(self, size: int) -> None: ...

    def write(self, chunk: bytes) -> None: ...

    def images(self) -> list[Upload]: ...


async def read_images(request: Request, limits: BodyLimits, ticket: Ticket) -> list[Upload]:
    """The images of a request, in order; one that is too large is an error in its place, the others are kept.

    Raises what is wrong with the body as a whole, as soon as it is known: before any more of it is read.
    """
    body = _body(request, limits)
    declared = request.headers.get("content-length")
    if declared is not None:
        size = int(declared)
        _check_size(size, limits)
        body.expect(size)
        ticket.take(Load(bytes=size))
    try:
        async with asyncio.timeout(limits.total_s):
            await _receive(request, body, limits, ticket if declared is None else None)
    except TimeoutError as exc:
        raise BodyTimeout(limits.idle_s, limits.total_s) from exc
    return body.images()


async def unless_gone(receive: Receive, work: Coroutine[Any, Any, Result]) -> Result:
    """The result of ``work``, which is cancelled when the client goes away first; for after the body was read.

    Raises ClientGone.
    """
    worker = asyncio.create_task(work)
    watcher = asyncio.create_task(_disconnect(receive))
    try:
        await asyncio.wait((worker, watcher), return_when=asyncio.FIRST_COMPLETED)
        if worker.done():
            return worker.result()
        raise ClientGone
    finally:
        worker.cancel()
        watcher.cancel()
        await asyncio.gather(worker, watcher, return_exceptions=True)
        del worker, watcher  # an error on its way out holds this frame: with the tasks in it, that would be a cycle


async def _disconnect(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def _body(request: Request, limits: BodyLimits) -> _Body:
    encoding = request.headers.get("content-encoding", "identity")
    if encoding.lower() != "identity":
        raise UnsupportedMediaType("Content-Encoding", encoding, ["identity"])
    header = request.headers.get("content-type", "")
    media_type, options = parse_options_header(header)
    name = media_type.decode("latin-1")
    if name == FORM:
        return _FormBody(options.get(b"boundary", b""), limits)
    if name in RAW_TYPES or name.startswith("image/"):
        return _RawBody(limits)
    raise UnsupportedMediaType("Content-Type", header, ["image/*", FORM, *RAW_TYPES[1:]])


async def _receive(request: Request, body: _Body, limits: BodyLimits, ticket: Ticket | None) -> None:
    size = chunks = 0
    more = True
    while more:
        message = await _message(request, limits)
        chunk = message.get("body", b"")
        more = message.get("more_body", False)
        size, chunks = size + len(chunk), chunks + 1
        _check_size(size, limits)
        if chunks > limits.chunks:
            raise TooManyChunks(limits.chunks)
        if ticket is not None:
            ticket.take(Load(bytes=len(chunk)))
        body.write(chunk)


async def _message(request: Request, limits: BodyLimits) -> Message:
    async with asyncio.timeout(limits.idle_s):
        message = await request.receive()
    if message["type"] == "http.disconnect":
        raise ClientGone
    return message


def _check_size(size: int, limits: BodyLimits) -> None:
    if size > limits.bytes:
        raise BodyTooLarge(size, limits.bytes)


class _RawBody:
    """The whole body is one image."""

    def __init__(self, limits: BodyLimits) -> None:
        self._limits = limits
        self._chunks: list[bytes] = []
        self._size = 0

    def expect(self, size: int) -> None:
        if size > self._limits.image_bytes:
            raise ImageTooLarge("bytes", size, self._limits.image_bytes)

    def write(self, chunk: bytes) -> None:
        self._size += len(chunk)
        self.expect(self._size)
        self._chunks.append(chunk)

    def images(self) -> list[Upload]:
        if not self._size:
            raise EmptyBody
        return [b"".join(self._chunks)]


class _FormBody:
    """A multipart/form-data body whose parts named ``image`` are images."""

    def __init__(self, boundary: bytes, limits: BodyLimits) -> None:
        if not boundary:
            raise BodyMalformed(f"the Content-Type {FORM} names no boundary")
        self._limits = limits
        self._images: list[Upload] = []
        self._chunks: list[memoryview] = []
        self._size = 0
        self._header: tuple[bytes, bytes] = (b"", b"")
        self._disposition: bytes | None = None
        self._begun = self._ended = False
        self._parser = self._new_parser(boundary)

    def expect(self, size: int) -> None:
        """Any size within the whole body's limit may be a form."""

    def write(self, chunk: bytes) -> None:
        self._begun |= bool(chunk)
        try:
            self._parser.write(chunk)
        except FormParserError as exc:
            raise BodyMalformed(f"the form cannot be read: {exc}") from exc

    def images(self) -> list[Upload]:
        if not self._ended and self._begun:
            raise BodyMalformed("the form does not end with its boundary")
        if not self._images:
            raise EmptyBody
        return self._images

    def _new_parser(self, boundary: bytes) -> MultipartParser:
        try:
            return MultipartParser(
                boundary,
                {
                    "on_part_begin": self._on_part_begin,
                    "on_header_begin": self._on_header_begin,
                    "on_header_field": self._on_header_field,
                    "on_header_value": self._on_header_value,
                    "on_header_end": self._on_header_end,
                    "on_headers_finished": self._on_headers_finished,
                    "on_part_data": self._on_part_data,
                    "on_part_end": self._on_part_end,
                    "on_end": self._on_end,
                },
            )
        except FormParserError as exc:
            raise BodyMalformed(str(exc)) from exc

    def _on_part_begin(self) -> None:
        if len(self._images) == self._limits.images:
            raise TooManyImages(self._limits.images)
        self._chunks = []
        self._size = 0
        self._disposition = None

    def _on_header_begin(self) -> None:
        self._header = (b"", b"")

    def _on_header_field(self, data: bytes, start: int, end: int) -> None:
        self._header = (self._header[0] + data[start:end], self._header[1])

    def _on_header_value(self, data: bytes, start: int, end: int) -> None:
        self._header = (self._header[0], self._header[1] + data[start:end])

    def _on_header_end(self) -> None:
        name, value = self._header
        if name.lower() == b"content-disposition":
            self._disposition = value

    def _on_headers_finished(self) -> None:
        _, options = parse_options_header((self._disposition or b"").decode("latin-1"))
        name = options.get(b"name", b"").decode("utf-8", "replace")
        if name != IMAGE_PART:
            shown = name[:LONGEST_NAME]
            detail = f"part {len(self._images)} of the form is named {shown!r}; each must be named {IMAGE_PART!r}"
            raise BodyMalformed(detail, field=shown, allowed=[IMAGE_PART])

    def _on_part_data(self, data: bytes, start: int, end: int) -> None:
        self._size += end - start
        if self._size <= self._limits.image_bytes:
            self._chunks.append(memoryview(data)[start:end])
        else:
            self._chunks.clear()  # too large: counted to its end, not kept

    def _on_part_end(self) -> None:
        if self._size > self._limits.image_bytes:
            self._images.append(ImageTooLarge("bytes", self._size, self._limits.image_bytes))
        else:
            self._images.append(b"".join(self._chunks))

    def _on_end(self) -> None:
        self._ended = True
