"""multipart/mixed (RFC 2046): several answers in one body, each with its own headers."""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from augserve.wire.dtypes import Buffer, InvalidBody, flat
from augserve.wire.names import MULTIPART

MAX_PARTS: Final = 1 << 16
"""Most parts that are read from one body."""

_MAX_HEADER_BYTES: Final = 16 << 10
_BOUNDARY: Final = re.compile(r';\s*boundary=(?:"([^"]{1,70})"|([^\s";,]{1,70}))', re.IGNORECASE)
_LENGTH: Final = re.compile(r"\d{1,15}")
_NAME: Final = re.compile(r';\s*name="([^"\r\n]*)"', re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Part:
    """One part: its headers (names in lower case when read) and its body, in one buffer or several."""

    headers: Mapping[str, str]
    buffers: Sequence[Buffer]

    @property
    def body(self) -> Buffer:
        """The body in one piece: a copy only where there are several buffers."""
        return self.buffers[0] if len(self.buffers) == 1 else b"".join(flat(buffer) for buffer in self.buffers)

    @property
    def media_type(self) -> str:
        """What its Content-Type says without the options, "" where there is none; of a part that was read."""
        return self.headers.get("content-type", "").partition(";")[0].strip().lower()

    @property
    def name(self) -> str | None:
        """What its Content-Disposition calls it; of a part that was read."""
        found = _NAME.search(self.headers.get("content-disposition", ""))
        return found[1] if found else None


def attachment(name: str) -> dict[str, str]:
    """The header that calls a part of an answer ``name``."""
    return {"Content-Disposition": f'attachment; name="{name}"'}


def new_boundary() -> str:
    """A boundary that no body contains, but for one chance in 2**128."""
    return f"augserve-{secrets.token_hex(16)}"


def multipart_type(boundary: str) -> str:
    """The Content-Type of a body written with ``boundary``."""
    return f"{MULTIPART}; boundary={boundary}"


def write_multipart(parts: Sequence[Part], boundary: str) -> list[Buffer]:
    """The body as buffers to send one after another; the parts' memory is not copied.

    Every part is given its Content-Length, so that readers need not search for the boundary.
    """
    buffers: list[Buffer] = []
    line_end = ""
    for part in parts:
        body = [flat(buffer) for buffer in part.buffers]
        headers = {**part.headers, "Content-Length": str(sum(view.nbytes for view in body))}
        lines = [f"{line_end}--{boundary}", *(_line(*header) for header in headers.items()), "", ""]
        buffers += ["\r\n".join(lines).encode("latin-1"), *body]
        line_end = "\r\n"
    return [*buffers, f"{line_end}--{boundary}--\r\n".encode("latin-1")]


def _line(name: str, value: str) -> str:
    if "\r" in value or "\n" in value:
        raise ValueError(f"header {name} has a line break in its value {value!r}")
    return f"{name}: {value}"


def read_multipart(body: Buffer, content_type: str) -> list[Part]:
    """The parts of a multipart body whose Content-Type is ``content_type``, as read-only views into ``body``.

    Raises ``InvalidBody`` where the boundary is missing, a part does not end, or headers are malformed or too long.
    """
    return list(_parts(flat(body).toreadonly(), b"--" + _boundary(content_type)))


def _boundary(content_type: str) -> bytes:
    found = _BOUNDARY.search(content_type)
    if found is None:
        raise InvalidBody(f"the content type {content_type!r} names no boundary of 1 to 70 characters")
    return (found[1] or found[2]).encode("latin-1", "replace")


def _parts(view: memoryview, delimiter: bytes) -> Iterator[Part]:
    data = _searchable(view)
    position = _first(data, delimiter)
    for _ in range(MAX_PARTS + 1):
        position += len(delimiter)
        if data.startswith(b"--", position):
            return
        start = _skip_line_end(data, position)
        headers, start = _headers(data, start)
        end = _end(data, start, headers, delimiter)
        yield Part(headers, (view[start:end],))
        position = end + 2
    raise InvalidBody(f"the body has more than {MAX_PARTS} parts")


def _searchable(view: memoryview) -> bytes | bytearray:
    """The same bytes as an object that can be searched: a copy only where ``view`` is part of a larger one."""
    whole = view.obj
    return whole if isinstance(whole, bytes | bytearray) and len(whole) == view.nbytes else bytes(view)


def _first(data: bytes | bytearray, delimiter: bytes) -> int:
    """Where the first delimiter begins: at the very start, or after a preamble and a line end."""
    if data.startswith(delimiter):
        return 0
    found = data.find(b"\r\n" + delimiter)
    if found < 0:
        raise InvalidBody(f"the body does not contain its boundary {delimiter.decode('latin-1')!r}")
    return found + 2


def _skip_line_end(data: bytes | bytearray, position: int) -> int:
    """Past the line end after a delimiter, which may be padded with blanks."""
    end = data.find(b"\r\n", position, position + 80)
    if end < 0 or data[position:end].strip(b" \t"):
        raise InvalidBody(f"the boundary at byte {position} is not followed by a line end")
    return end + 2


def _headers(data: bytes | bytearray, start: int) -> tuple[dict[str, str], int]:
    """The headers of a part, and where its body begins."""
    if data.startswith(b"\r\n", start):
        return {}, start + 2
    end = data.find(b"\r\n\r\n", start, start + _MAX_HEADER_BYTES)
    if end < 0:
        raise InvalidBody(f"the headers of the part at byte {start} do not end within {_MAX_HEADER_BYTES} bytes")
    headers: dict[str, str] = {}
    for line in data[start:end].decode("latin-1").split("\r\n"):
        name, colon, value = line.partition(":")
        if not colon or not name or name != name.strip():
            raise InvalidBody(f"the part at byte {start} has a malformed header line {line[:80]!r}")
        headers[name.lower()] = value.strip()
    return headers, end + 4


def _end(data: bytes | bytearray, start: int, headers: Mapping[str, str], delimiter: bytes) -> int:
    """Where the body that begins at ``start`` ends: as its Content-Length says, else before the next delimiter."""
    length = headers.get("content-length")
    if length is None:
        end = data.find(b"\r\n" + delimiter, start)
        if end < 0:
            raise InvalidBody(f"the part at byte {start} does not end with the boundary")
        return end
    if not _LENGTH.fullmatch(length):
        raise InvalidBody(f"the part at byte {start} has Content-Length {length[:80]!r}, which is not a length")
    end = start + int(length)
    if not data.startswith(b"\r\n" + delimiter, end):
        raise InvalidBody(f"the part at byte {start} does not end after its Content-Length of {length} bytes")
    return end
