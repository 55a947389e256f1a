"""Clients that send a byte now and then: others are answered meanwhile, and their pieces are taken together."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import httpx

from factories import make_file
from serving import Live, run_server

CONNECTIONS = 200
IMAGE = make_file("PNG", (20, 30))
SIZE = b"%d" % len(IMAGE)
HEAD = b"POST /v1/augment/thumbnail HTTP/1.1\r\nHost: a\r\nContent-Type: image/png\r\nContent-Length: " + SIZE + b"\r\n"


@contextmanager
def slow_connections(live: Live, count: int) -> Iterator[list[socket.socket]]:
    """Half of them are within a header, and half within a body."""
    with ExitStack() as stack:
        lines = [stack.enter_context(socket.create_connection(live.address)) for _ in range(count)]
        for number, line in enumerate(lines):
            line.sendall(HEAD + (b"\r\n" + IMAGE[:1] if number % 2 else b"X-Slow: "))
        yield lines


def test_others_are_answered_while_many_connections_are_slow() -> None:
    with run_server() as live, slow_connections(live, CONNECTIONS) as lines, httpx.Client(base_url=live.url) as client:
        for turn in range(20):
            for number, line in enumerate(lines):
                line.sendall(IMAGE[turn + 1 : turn + 2] if number % 2 else b"x")
            assert client.post("/v1/augment/thumbnail", content=IMAGE).status_code == 200
        lines[1].sendall(IMAGE[21:])
        assert lines[1].recv(12) == b"HTTP/1.1 200"


def test_small_pieces_of_a_body_are_taken_together() -> None:
    with run_server(max_body_chunks=3) as live, socket.create_connection(live.address) as line:
        line.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        line.sendall(HEAD + b"\r\n")
        for place in range(len(IMAGE)):
            line.sendall(IMAGE[place : place + 1])
        assert line.recv(12) == b"HTTP/1.1 200"
