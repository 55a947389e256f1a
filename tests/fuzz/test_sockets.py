"""Mutated requests over real sockets: the HTTP around them is damaged too, and clients leave when they like."""

from __future__ import annotations

import os
import random
import re
import socket
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress

import httpx
import pytest

from fuzz.mutations import BLIND, mutated
from fuzz.oip_requests import PIPELINES, Request, make_request
from fuzz.oip_server import ASKED_FOR
from serving import Live, run_server, until

CASES = 1500
WAIT_S = 20


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    folder = tmp_path_factory.mktemp("pipelines")
    for name, text in PIPELINES.items():
        (folder / f"{name}.yaml").write_text(text)
    with run_server(pipelines=folder, shared_memory=True, max_image_pixels=100_000, max_body_bytes=1 << 20) as server:
        yield server


def written(request: Request) -> bytes:
    """The request as it goes over the wire."""
    headers = [*request.headers, ("host", "x"), ("connection", "close")]
    body = request.body
    if len(request.pieces) > 1:
        headers.append(("transfer-encoding", "chunked"))
        body = (
            b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in (*request.pieces, b"") if piece) + b"0\r\n\r\n"
        )
    else:
        headers.append(("content-length", str(len(body))))
    lines = [f"{request.method} {request.path} HTTP/1.1", *(f"{name}: {value}" for name, value in headers)]
    return "\r\n".join([*lines, "", ""]).encode("utf-8", "replace") + body


def exchanged(live: Live, data: bytes, leave: bool) -> bytes:
    """What the server answers to these bytes; nothing to a client that has left."""
    with socket.create_connection(live.address, WAIT_S) as connection:
        connection.settimeout(WAIT_S)
        try:
            connection.sendall(data)
            if leave:
                return b""
            with suppress(OSError):  # it is closed already
                connection.shutdown(socket.SHUT_WR)
            return b"".join(iter(lambda: connection.recv(65536), b""))
        except ConnectionError:  # it was closed on us, as it may be
            return b""


def test_damaged_http_is_answered_or_closed(live: Live) -> None:
    files, statuses = len(os.listdir("/proc/self/fd")), Counter[str]()
    for index in range(CASES):
        chance = random.Random(f"socket {index}")
        data = written(make_request(index))
        if chance.random() < 0.7:
            head, _, body = data.partition(b"\r\n\r\n")
            data = mutated(chance, head + b"\r\n\r\n", BLIND) + body
        answer = exchanged(live, data, leave=chance.random() < 0.1)
        found = re.match(rb"HTTP/1\.1 (\d{3}) ", answer)
        assert found or not answer, (index, answer[:100])
        statuses[found[1].decode() if found else "closed"] += 1
        assert not found or int(found[1]) < 500 or int(found[1]) in ASKED_FOR, (index, answer)
    assert {"200", "400", "closed"} <= set(statuses), statuses
    assert httpx.get(f"{live.url}/readyz").status_code == 200
    until(lambda: live.service.admission.load.bytes == 0 and live.service._in_flight == 0)
    until(lambda: len(os.listdir("/proc/self/fd")) <= files)
