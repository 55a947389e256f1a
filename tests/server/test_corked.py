"""A transport that sends together what is written in one turn of the event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable

from augserve_server.corked import LARGE_BYTES, Corked

LARGE = b"x" * LARGE_BYTES


class Recording(asyncio.Transport):
    """What was sent, each system call apart."""

    def __init__(self) -> None:
        super().__init__({"peername": "somebody"})
        self.sent: list[bytes] = []
        self.ended = ""

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.sent.append(bytes(data))

    def writelines(self, list_of_data: Iterable[bytes | bytearray | memoryview]) -> None:
        self.sent.append(b"".join(list_of_data))

    def is_closing(self) -> bool:
        return bool(self.ended)

    def close(self) -> None:
        self.ended = "closed"

    def abort(self) -> None:
        self.ended = "aborted"


def sent(act: Callable[[Corked], object]) -> Recording:
    """What a transport was told by the end of the next turn."""
    recording = Recording()

    async def run() -> None:
        act(Corked(recording, asyncio.get_running_loop()))
        await asyncio.sleep(0)

    asyncio.run(run())
    return recording


def test_small_pieces_of_one_turn_go_out_together() -> None:
    assert sent(lambda corked: [corked.write(piece) for piece in (b"head ", b"and ", b"body")]).sent == [
        b"head and body"
    ]


def test_what_is_held_goes_in_front_of_what_is_large_and_both_at_once() -> None:
    assert sent(lambda corked: [corked.write(b"head "), corked.write(memoryview(LARGE))]).sent == [b"head " + LARGE]


def test_the_order_stays_whatever_is_held() -> None:
    pieces = (b"a", LARGE, LARGE, b"b", b"c", LARGE, b"d")
    assert b"".join(sent(lambda corked: [corked.write(piece) for piece in pieces]).sent) == b"".join(pieces)


def test_a_connection_is_closed_behind_what_was_written() -> None:
    recording = sent(lambda corked: (corked.write(b"bye"), corked.close()))
    assert (recording.sent, recording.ended) == ([b"bye"], "closed")


def test_one_that_is_aborted_is_sent_nothing_more() -> None:
    recording = sent(lambda corked: (corked.write(b"bye"), corked.abort()))
    assert (recording.sent, recording.ended) == ([], "aborted")


def test_all_else_is_asked_of_the_transport_itself() -> None:
    seen: list[object] = []
    sent(lambda corked: seen.append((corked.get_extra_info("peername"), corked.is_closing())))
    assert seen == [("somebody", False)]
