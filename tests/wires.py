"""A connection of one's own to a server under test: bytes out, and what comes back, however the server takes them."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPResponse
from threading import Event
from time import monotonic

from serving import Live

GET_HEALTH = b"GET /healthz HTTP/1.1\r\nHost: test\r\n\r\n"


@contextmanager
def connect(live: Live, receive_buffer: int | None = None) -> Iterator[socket.socket]:
    """A connection; a small ``receive_buffer`` makes a client that takes little."""
    with socket.socket() as connection:
        connection.settimeout(10)
        if receive_buffer is not None:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        connection.connect(live.address)
        yield connection


def head(*lines: str, method: str = "POST", path: str = "/v1/augment/thumbnail") -> bytes:
    """The head of a request, with these header lines."""
    return "\r\n".join([f"{method} {path} HTTP/1.1", "Host: test", *lines, "", ""]).encode("latin-1")


def answer(connection: socket.socket) -> tuple[int, HTTPResponse, bytes]:
    """Status, headers and body of the next answer."""
    response = HTTPResponse(connection)
    response.begin()
    return response.status, response, response.read()


def ended(connection: socket.socket) -> bool:
    """Whether the server ends the connection; what it still sends is read and dropped."""
    try:
        while connection.recv(65_536):
            pass
    except (ConnectionResetError, BrokenPipeError):
        return True
    return True


def drip(connection: socket.socket, data: bytes, every_s: float = 0.02) -> float:
    """Send a byte at a time until the server has had enough; the seconds that it bore."""
    began = monotonic()
    connection.settimeout(every_s)
    for byte in data:
        try:
            connection.sendall(bytes([byte]))
            if not connection.recv(1):
                break
        except TimeoutError:
            continue
        except (ConnectionResetError, BrokenPipeError):
            break
        else:
            break  # it answers
    connection.settimeout(10)
    return monotonic() - began


def pause(seconds: float) -> None:
    """The slowness of a slow client."""
    Event().wait(seconds)
