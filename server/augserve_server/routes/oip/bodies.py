"""Bodies under /v2 as they come and go: undone where they are compressed, and compressed where that is wanted."""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import Mapping, Sequence
from typing import Any, Final

from starlette.requests import Request

from augserve.wire import Buffer, InvalidBody, oip
from augserve_server.admission import Load
from augserve_server.answers import Answer
from augserve_server.errors import BodyMalformed, BodyTooLarge, EncodingNotSupported
from augserve_server.requests import BodyLimits, read_bytes
from augserve_server.service import Service
from augserve_server.visits import Visit

WINDOWS: Final[Mapping[str, int]] = {"gzip": 16 + zlib.MAX_WBITS, "deflate": zlib.MAX_WBITS}
"""What zlib calls each encoding; deflate is a zlib stream, as HTTP has it."""
MAX_RATIO: Final = 200
"""No body grows by more than this, beyond its first MiB: photographs grow by nothing, and text by 20."""
FREE_BYTES: Final = 1 << 20
LEVEL: Final = 1
"""Of compressed answers: pixels hardly get smaller at higher ones."""


async def read_body(request: Request, service: Service, visit: Visit) -> bytes | bytearray:
    """The body of a request, inflated where it was compressed.

    Raises EncodingNotSupported, BodyTooLarge, BodyMalformed and what is wrong with any body.
    """
    encoding = request.headers.get("content-encoding", "identity").strip().lower()
    if encoding not in (*WINDOWS, "identity"):
        raise EncodingNotSupported(encoding, [*WINDOWS])
    limits = BodyLimits.of(service.settings)
    with visit.timings.at("read"):
        body = await read_bytes(request, limits, visit.ticket)
        if encoding == "identity":
            return body
        inflated = await asyncio.to_thread(inflate, body, encoding, limits.bytes)
        visit.ticket.take(Load(bytes=len(inflated)))
        return inflated


def inflate(data: Buffer, encoding: str, limit: int) -> bytearray:
    """What was compressed; bounded in size, and by how much it may grow, while it is made."""
    most = min(limit, max(FREE_BYTES, MAX_RATIO * len(data)))
    stream = zlib.decompressobj(WINDOWS[encoding])
    try:
        inflated = bytearray(stream.decompress(data, most + 1))
    except zlib.error as exc:
        raise BodyMalformed(f"the body is not {encoding}: {exc}", field="Content-Encoding") from exc
    if len(inflated) > most:
        raise BodyTooLarge(len(inflated), most)
    if not stream.eof or stream.unused_data:
        where = "bytes follow its end" if stream.eof else "it has no end"
        raise BodyMalformed(f"the body is not {encoding}: {where}", field="Content-Encoding")
    return inflated


async def read_object(request: Request, service: Service, visit: Visit) -> dict[str, Any]:
    """The JSON object that a body is; an empty body is an empty one."""
    body = await read_body(request, service, visit)
    try:
        return oip.read_object(body, head_limits(service)) if body.strip() else {}
    except InvalidBody as exc:
        raise BodyMalformed(str(exc), field="body") from exc


def head_limits(service: Service) -> oip.HeadLimits:
    """What the JSON of a body may be."""
    return oip.HeadLimits(bytes=service.settings.max_json_bytes)


async def compressed(answer: Answer, accept: str, service: Service) -> Answer:
    """The answer, compressed where it is allowed and one encoding is all that is accepted.

    Clients that would take one of several did not ask for it: aiohttp always says so, and gets pixels ten times slower.
    """
    if not service.settings.compress_responses or accept not in WINDOWS:
        return answer
    buffers = await asyncio.to_thread(_deflate, answer.buffers, WINDOWS[accept])
    headers = {**answer.headers, "Content-Encoding": accept, "Vary": "Accept-Encoding"}
    return Answer(answer.status, answer.content_type, buffers, headers)


def _deflate(buffers: Sequence[Buffer], window: int) -> list[Buffer]:
    stream = zlib.compressobj(LEVEL, zlib.DEFLATED, window)
    return [*(stream.compress(buffer) for buffer in buffers), stream.flush()]
