"""Both clients on a real socket whose other end misbehaves."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest
from asking import both
from fake_clock import FakeClock

import augserve
from augserve import AsyncClient, Client, wire

RESULT = np.arange(24, dtype=np.uint8).reshape(3, 2, 4)


def whole_answer() -> bytes:
    data = memoryview(RESULT).cast("B")
    body = b"".join(bytes(b) for b in wire.write_safetensors({wire.TENSOR_NAME: ("uint8", RESULT.shape, data)}))
    headers = {
        "Content-Type": wire.SAFETENSORS,
        "Content-Length": str(len(body)),
        wire.COUNT_HEADER: "1",
        wire.SEED_HEADER: "1",
    }
    lines = ["HTTP/1.1 200 OK", *(f"{name}: {value}" for name, value in headers.items()), "", ""]
    return "\r\n".join(lines).encode() + body


@contextmanager
def serving(answers: Sequence[bytes]) -> Iterator[str]:
    """Takes one connection for each answer: reads a request, sends the answer, closes."""

    def serve() -> None:
        for answer in answers:
            connection, _ = listener.accept()
            with connection:
                received = b""
                while b"\r\n\r\nimage" not in received:
                    received += connection.recv(65536)
                connection.sendall(answer)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve)
        thread.start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        thread.join()


def augment(kind: type, address: str, clock: FakeClock) -> Any:
    if kind is Client:
        with Client(address, clock=clock) as client:
            return client.augment("pipeline", b"image", seed=1)

    async def call() -> Any:
        async with AsyncClient(address, clock=clock) as client:
            return await client.augment("pipeline", b"image", seed=1)

    return asyncio.run(call())


@both
@pytest.mark.parametrize("sent", [0, 10, 100, -1], ids=["nothing", "half a line", "half the head", "all but a byte"])
def test_an_answer_that_breaks_off_is_asked_for_again(kind: type, sent: int) -> None:
    clock = FakeClock()
    with serving([whole_answer()[:sent], whole_answer()[:sent], whole_answer()]) as address:
        assert np.array_equal(augment(kind, address, clock), RESULT)
    assert len(clock.slept_s) == 2


@both
def test_what_is_no_http_is_a_failed_connection(kind: type) -> None:
    clock = FakeClock()
    with serving([b"SSH-2.0-OpenSSH_9.6\r\n"] * 4) as address, pytest.raises(augserve.ConnectionFailed) as raised:
        augment(kind, address, clock)
    assert raised.value.__notes__ == ["given up after 4 of at most 4 tries"]


@both
def test_where_nobody_listens_the_error_says_so_after_all_tries(kind: type) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address = f"http://127.0.0.1:{listener.getsockname()[1]}"
    clock = FakeClock()
    with pytest.raises(augserve.ConnectionFailed, match=address):
        augment(kind, address, clock)
    assert len(clock.slept_s) == 3
