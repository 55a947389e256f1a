"""A multipart/form-data body as it arrives: its parts, one after another, bounded each and together."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, Protocol

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from augserve.wire import MAX_PARTS
from augserve_server.errors import BodyMalformed

FORM: Final = "multipart/form-data"


@dataclass(frozen=True, slots=True)
class PartHead:
    """What a part says of itself before its bytes: the name of its field, and its media type."""

    name: str
    content_type: str


class Parts(Protocol):
    """Who takes the parts."""

    def begin(self, head: PartHead) -> int:
        """A part begins; the most bytes of it that are worth keeping. Raises what is wrong with the form."""

    def end(self, data: bytes | None, size: int) -> None:
        """It has ended: its bytes, or None where it has more than are worth keeping; how many it has."""


class Form:
    """A parser that a body is written into, and that hands its parts to ``parts``."""

    def __init__(self, boundary: bytes, parts: Parts) -> None:
        if not boundary:
            raise BodyMalformed(f"the Content-Type {FORM} names no boundary")
        self._parts = parts
        self._count = self._size = self._most = 0
        self._chunks: list[memoryview] = []
        self._headers: dict[bytes, bytes] = {}
        self._name = self._value = b""
        self._begun = self._ended = False
        self._parser = self._new_parser(boundary)

    def write(self, chunk: bytes) -> None:
        """The next piece of the body. Raises BodyMalformed where it is no form."""
        self._begun |= bool(chunk)
        try:
            self._parser.write(chunk)
        except FormParserError as exc:
            raise BodyMalformed(f"the form cannot be read: {exc}") from exc

    def finish(self) -> None:
        """The body has ended. Raises BodyMalformed where the form has not."""
        if not self._ended and self._begun:
            raise BodyMalformed("the form does not end with its boundary")

    def _new_parser(self, boundary: bytes) -> MultipartParser:
        callbacks: Mapping[str, Callable[..., None]] = {
            "on_part_begin": self._on_part_begin,
            "on_header_begin": self._on_header_begin,
            "on_header_field": self._on_header_field,
            "on_header_value": self._on_header_value,
            "on_header_end": self._on_header_end,
            "on_headers_finished": self._on_headers_finished,
            "on_part_data": self._on_part_data,
            "on_part_end": self._on_part_end,
            "on_end": self._on_end,
        }
        try:
            return MultipartParser(boundary, callbacks)  # type: ignore[arg-type]  # a TypedDict of the same
        except FormParserError as exc:
            raise BodyMalformed(str(exc)) from exc

    def _on_part_begin(self) -> None:
        self._count += 1
        if self._count > MAX_PARTS:
            raise BodyMalformed(f"the form has more than {MAX_PARTS} parts", limit=MAX_PARTS)
        self._chunks = []
        self._size = 0
        self._headers = {}

    def _on_header_begin(self) -> None:
        self._name = self._value = b""

    def _on_header_field(self, data: bytes, start: int, end: int) -> None:
        self._name += data[start:end]

    def _on_header_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def _on_header_end(self) -> None:
        self._headers[self._name.lower()] = self._value

    def _on_headers_finished(self) -> None:
        _, options = parse_options_header(self._headers.get(b"content-disposition", b"").decode("latin-1"))
        name = options.get(b"name", b"").decode("utf-8", "replace")
        self._most = self._parts.begin(PartHead(name, self._headers.get(b"content-type", b"").decode("latin-1")))

    def _on_part_data(self, data: bytes, start: int, end: int) -> None:
        self._size += end - start
        if self._size <= self._most:
            self._chunks.append(memoryview(data)[start:end])
        else:
            self._chunks.clear()  # too large: counted to its end, not kept

    def _on_part_end(self) -> None:
        self._parts.end(b"".join(self._chunks) if self._size <= self._most else None, self._size)
        self._chunks = []

    def _on_end(self) -> None:
        self._ended = True
