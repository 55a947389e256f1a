"""The socket that a server listens on."""

from __future__ import annotations

import socket
import struct
from contextlib import suppress
from ctypes import addressof, create_string_buffer
from typing import Final

from augserve_server.settings import Settings

# A classic BPF program: load byte 13 of the TCP header, its flags; drop a packet with SYN set, take others whole.
_NO_SYN: Final = ((0x30, 0, 0, 13), (0x45, 0, 1, 0x02), (0x06, 0, 0, 0), (0x06, 0, 0, 0xFFFFFFFF))
_SO_ATTACH_FILTER: Final = 26


def listen(settings: Settings) -> socket.socket:
    """A listening socket on the address of the settings. Raises OSError where it cannot be had."""
    family, _, _, _, address = socket.getaddrinfo(
        settings.host, settings.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )[0]
    listener = socket.create_server(address, family=family, backlog=settings.max_connections)
    # Accepted connections inherit it: one whose client takes no byte for so long is cut by the kernel.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(settings.write_timeout_s * 1000))
    listener.setblocking(False)
    return listener


def url_of(listener: socket.socket, scheme: str) -> str:
    """Where a listening socket is reached: ``http://127.0.0.1:8000``."""
    host, port = listener.getsockname()[:2]
    return f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}"


def refuse_newcomers(listener: socket.socket) -> None:
    """Let no new connection begin, in any process that shares the socket; those that have begun can be accepted still.

    Closing it at once would reset what the kernel has accepted already, with the requests that are on their way there.
    Where the kernel knows no such filter, nothing is changed.
    """
    program = create_string_buffer(b"".join(struct.pack("=HBBI", *step) for step in _NO_SYN))
    with suppress(OSError):
        listener.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, struct.pack("HP", len(_NO_SYN), addressof(program)))
