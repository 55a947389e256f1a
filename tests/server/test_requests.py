"""Reading bodies: raw and forms, in any pieces, and every way in which they are refused before their end."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterable, Iterator
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.requests import Request
from starlette.types import Message

from augserve.wire import TARGET_PARTS
from augserve_server.admission import Admission, Load
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
    TooMuchWork,
    UnsupportedMediaType,
)
from augserve_server.protocol import Listening
from augserve_server.requests import BodyLimits, read_uploads, unless_gone
from augserve_server.uploads import PIXEL_PARTS, Grammar, SampleLimits, Upload
from augserve_server.visits import LINE_KEY
from factories import make_file

LIMITS = BodyLimits(100_000, 5000, SampleLimits(images=4, image_bytes=50_000, frames=3), total_s=5, idle_s=5)
FORM = "multipart/form-data; boundary=xYzZY"


class Sender:
    """A client that sends a body in these pieces, and counts those that were taken."""

    def __init__(self, chunks: Iterable[bytes], *, then: str = "http.request", stalls: bool = False) -> None:
        self._chunks: Iterator[bytes] = iter(chunks)
        self._then = then
        self._stalls = stalls
        self.taken = 0

    async def receive(self) -> Message:
        self.taken += 1
        for chunk in self._chunks:
            return {"type": "http.request", "body": chunk, "more_body": True}
        if self._stalls:
            await asyncio.Event().wait()
        return {"type": self._then, "body": b"", "more_body": False}


def read(
    sender: Sender,
    content_type: str | None = None,
    limits: BodyLimits = LIMITS,
    queue_bytes: int = 10**6,
    **headers: str,
) -> list[Upload]:
    named = {"content-type": content_type, **{name.replace("_", "-"): value for name, value in headers.items()}}
    raw = [(name.encode(), value.encode()) for name, value in named.items() if value is not None]
    request = Request({"type": "http", "method": "POST", "headers": raw}, sender.receive)
    with Admission(Load(100, 10**9, queue_bytes)).ticket() as ticket:
        return asyncio.run(read_uploads(request, limits, ticket, Grammar()))


def form(*images: bytes, end: bytes = b"--xYzZY--\r\n") -> bytes:
    return b"".join(part(image) for image in images) + end


def part(data: bytes, name: str = "image") -> bytes:
    lines = (
        b"--xYzZY",
        b'Content-Disposition: form-data; name="%b"; filename="a.jpg"' % name.encode(),
        b"Content-Type: image/jpeg",
        b"",
        data,
        b"",
    )
    return b"\r\n".join(lines)


def cut(data: bytes, size: int) -> list[bytes]:
    return [data[start : start + size] for start in range(0, len(data), size)]


@pytest.mark.parametrize("content_type", [None, "image/jpeg", "image/anything", "application/octet-stream"])
@pytest.mark.parametrize("size", [1, 7, 1000, 100_000])
def test_a_raw_body_is_one_image_however_it_comes(content_type: str | None, size: int) -> None:
    data = make_file("JPEG", (40, 50))
    assert read(Sender(cut(data, size)), content_type) == [data]


def test_what_curl_calls_a_form_is_a_raw_body() -> None:
    assert read(Sender([b"pixels"]), "application/x-www-form-urlencoded") == [b"pixels"]


@given(
    parts=st.lists(
        st.binary(max_size=300) | st.just(b"\r\n--xYzZ") | st.just(b"\r\n--xYzZQ\r\n"), min_size=1, max_size=4
    ),
    size=st.integers(1, 400),
)
def test_a_form_gives_its_images_in_order_however_it_is_cut(parts: list[bytes], size: int) -> None:
    assert read(Sender(cut(form(*parts), size)), FORM) == parts


def test_a_quoted_boundary_and_other_headers_are_understood() -> None:
    body = form(b"one").replace(b"Content-Type: image/jpeg", b"X-Other: 1\r\ncontent-transfer-encoding: binary")
    assert read(Sender([body]), 'Multipart/Form-Data; charset=utf-8; boundary="xYzZY"') == [b"one"]


def test_an_image_that_is_too_large_fails_alone() -> None:
    first, second, third = read(Sender(cut(form(b"a", b"b" * 50_001, b"c"), 900)), FORM)
    assert (first, third) == (b"a", b"c")
    assert isinstance(second, ImageTooLarge)
    assert second.members == {"field": "image", "measure": "bytes", "value": 50_001, "limit": 50_000}


@pytest.mark.parametrize(
    ("content_type", "body", "error"),
    [
        (None, b"", EmptyBody),
        (FORM, form(), EmptyBody),
        (FORM, form(b"a", b"b", b"c", b"d", b"e"), TooManyImages),
        (FORM, part(b"a", "picture") + form(), BodyMalformed),
        (FORM, form(b"a", end=b""), BodyMalformed),
        (FORM, b"not a form at all", BodyMalformed),
        (FORM, b"", EmptyBody),
        ("multipart/form-data", form(b"a"), BodyMalformed),
        ("multipart/form-data; boundary=" + "x" * 300, form(b"a"), BodyMalformed),
        (FORM, form(b"a").replace(b"Content-Type", b"X" * 5000), BodyMalformed),
        (FORM, form(b"a").replace(b"Content-Disposition", b"X-Disposition"), BodyMalformed),
        ("text/plain", b"a", UnsupportedMediaType),
        ("multipart/mixed; boundary=xYzZY", form(b"a"), UnsupportedMediaType),
    ],
)
def test_a_body_that_cannot_be_taken_says_why(content_type: str | None, body: bytes, error: type[ServiceError]) -> None:
    with pytest.raises(error):
        read(Sender([body]), content_type)


def test_another_part_is_named_with_what_is_allowed() -> None:
    with pytest.raises(BodyMalformed, match="part 1 of the form is named 'mask'; allowed: image, clip") as caught:
        read(Sender([part(b"a") + part(b"b", "mask") + form(b"c")]), FORM)
    assert caught.value.members == {"field": "mask", "allowed": [*PIXEL_PARTS, *TARGET_PARTS]}


def test_an_encoded_body_is_refused_unread() -> None:
    sender = Sender([b"x"])
    with pytest.raises(UnsupportedMediaType, match="Content-Encoding 'gzip'"):
        read(sender, content_encoding="gzip")
    assert sender.taken == 0


def test_a_declared_length_over_the_limit_is_refused_unread() -> None:
    sender = Sender([b"x"])
    with pytest.raises(BodyTooLarge, match="100001 bytes"):
        read(sender, FORM, content_length="100001")
    with pytest.raises(ImageTooLarge):
        read(sender, content_length="50001")
    assert sender.taken == 0


def test_a_body_without_a_length_is_refused_as_soon_as_it_is_too_large() -> None:
    sender = Sender([b"x" * 10_000] * 1000)
    with pytest.raises(ImageTooLarge):
        read(sender)
    assert sender.taken == 6


def test_the_length_of_a_form_is_counted_as_it_comes() -> None:
    sender = Sender([part(b"a" * 40_000)] * 50)
    with pytest.raises(BodyTooLarge):
        read(sender, FORM)
    assert sender.taken == 3


def test_a_flood_of_tiny_pieces_is_refused() -> None:
    sender = Sender([b"x"] * 6000)
    with pytest.raises(TooManyChunks):
        read(sender)
    assert sender.taken == 5001


def test_bytes_that_are_held_count_against_the_queue() -> None:
    sender = Sender([b"x" * 10_000] * 5)
    with pytest.raises(TooMuchWork):
        read(sender, queue_bytes=25_000)
    assert sender.taken == 3
    with pytest.raises(TooMuchWork):
        read(sender, queue_bytes=25_000, content_length="25001")
    assert sender.taken == 3


@pytest.mark.parametrize("limits", [replace(LIMITS, idle_s=0.01), replace(LIMITS, total_s=0.01)])
def test_a_sender_that_stalls_is_given_up(limits: BodyLimits) -> None:
    with pytest.raises(BodyTimeout):
        read(Sender([b"x"], stalls=True), limits=limits)


def test_a_sender_that_goes_away_is_noticed() -> None:
    with pytest.raises(ClientGone):
        read(Sender([b"x"], then="http.disconnect"))


def test_work_is_cancelled_when_its_client_goes() -> None:
    async def scenario() -> bool:
        begun, gone = asyncio.Event(), asyncio.Event()
        ended = []

        async def work() -> None:
            begun.set()
            try:
                await asyncio.Event().wait()
            finally:
                ended.append(True)

        async def receive() -> Message:
            await gone.wait()
            return {"type": "http.disconnect"}

        task = asyncio.create_task(unless_gone(Request({"type": "http"}, receive), work()))
        await begun.wait()
        gone.set()
        with pytest.raises(ClientGone):
            await task
        return bool(ended)

    assert asyncio.run(scenario())


class Lost:
    """A connection that has been lost before anybody listens."""

    is_lost = True
    on_lost = None

    def listening(self, lost: Callable[[], None]) -> AbstractContextManager[None]:
        return Listening(self, lost)


async def over(line: Lost, work: Coroutine[Any, Any, None]) -> None:
    try:
        await unless_gone(Request({"type": "http", LINE_KEY: line}), work)
    finally:
        await asyncio.sleep(0)  # a cancellation that comes too late would come here


def test_a_connection_that_was_lost_before_cancels_work_that_waits() -> None:
    line = Lost()
    with pytest.raises(ClientGone):
        asyncio.run(over(line, asyncio.sleep(60)))
    assert line.on_lost is None


def test_a_connection_that_was_lost_before_does_not_cancel_what_comes_after_the_work() -> None:
    async def bad() -> None:
        raise EmptyBody

    with pytest.raises(EmptyBody):
        asyncio.run(over(Lost(), bad()))


def test_work_that_is_done_is_returned_and_its_errors_raised() -> None:
    async def never() -> Message:
        await asyncio.Event().wait()
        raise AssertionError

    async def good() -> int:
        return 7

    async def bad() -> int:
        raise EmptyBody

    assert asyncio.run(unless_gone(Request({"type": "http"}, never), good())) == 7
    with pytest.raises(EmptyBody):
        asyncio.run(unless_gone(Request({"type": "http"}, never), bad()))
