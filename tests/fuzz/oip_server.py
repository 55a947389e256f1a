"""The real app in this process, asked without a socket, and every answer checked."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import unquote, urlsplit

from fastapi import FastAPI

from augserve.wire import oip
from augserve_server.admission import Load
from augserve_server.app import create_app
from augserve_server.oip.shared_memory import FOLDER
from augserve_server.settings import Settings
from fuzz.oip_requests import HEAD_LENGTH, PIPELINES, REGION, REGION_BYTES, Request, make_request

LONGEST_S = 60.0
WARM = 200
"""Requests that come first: what is compiled at first use takes more time than any request may."""
ASKED_FOR = (501, 504)
"""What a client may ask for, and get: something that the server does not support, and a deadline of a millisecond."""
TALKATIVE = (
    "Traceback",
    "site-packages",
    ".py",
    "object at 0x",
    "' object",
    "NoneType",
    "<class",
    "operand",
    "/dev/shm",
)
"""What only libraries say."""


@contextmanager
def serving() -> Iterator[Callable[[Request], str]]:
    """Asks a server of its own; says with which status it answered."""
    logging.getLogger("augserve").setLevel(logging.CRITICAL)
    logging.getLogger("augserve_server").setLevel(logging.CRITICAL)
    with tempfile.TemporaryDirectory() as folder, _shared_object() as key, asyncio.Runner() as runner:
        for name, text in PIPELINES.items():
            Path(folder, f"{name}.yaml").write_text(text)
        settings = {"pipelines": Path(folder), "reload": False, "device": "cpu", "shared_memory": True}
        app = create_app(Settings(**settings, max_image_pixels=1_000_000, max_body_bytes=1 << 20))
        running = app.state.service.running()
        runner.run(running.__aenter__())
        app.state.service.regions.register(REGION, key, 0, REGION_BYTES, "127.0.0.1")
        for index in range(WARM):
            runner.run(asked(app, make_request(-1 - index)))
        yield lambda request: runner.run(asked(app, request))
        runner.run(running.__aexit__(None, None, None))


@contextmanager
def _shared_object() -> Iterator[str]:
    path = Path(FOLDER, f"augserve-fuzz-{os.getpid()}")
    path.write_bytes(bytes(REGION_BYTES))
    try:
        yield path.name
    finally:
        path.unlink()


async def asked(app: FastAPI, request: Request) -> str:
    """Send a request, check the answer, and that nothing is left of it in the house."""
    async with asyncio.timeout(LONGEST_S):
        status, headers, body = await _answer(app, request)
    check(request, status, headers, body)
    service = app.state.service
    assert service.admission.load == Load(), service.admission.load
    assert len(service.regions.status("127.0.0.1")) <= service.settings.shared_memory_regions
    return str(status)


async def _answer(app: FastAPI, request: Request) -> tuple[int, dict[str, str], bytes]:
    parts = urlsplit(request.path)
    headers = [(name.encode(), value.encode("latin-1")) for name, value in request.headers]
    if len(request.pieces) == 1:
        headers.append((b"content-length", str(len(request.body)).encode()))
    else:
        headers.append((b"transfer-encoding", b"chunked"))
    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "scheme": "http",
        "root_path": "",
        "method": request.method,
        "path": unquote(parts.path),
        "raw_path": parts.path.encode(),
        "query_string": parts.query.encode(),
        "headers": headers,
        "client": ("127.0.0.1", 1),
        "server": ("server", 80),
    }
    pieces = iter(request.pieces)
    left = len(request.pieces)
    sent: list[dict[str, object]] = []

    async def receive() -> dict[str, object]:
        nonlocal left
        if left == 0:
            await asyncio.Event().wait()  # the client is there, and says nothing more
        left -= 1
        return {"type": "http.request", "body": next(pieces), "more_body": left > 0}

    async def send(message: dict[str, object]) -> None:
        sent.append(message)

    await app(scope, receive, send)  # type: ignore[arg-type]  # messages are mappings
    head = sent[0]
    found = {name.decode().lower(): value.decode() for name, value in head["headers"]}  # type: ignore[attr-defined]
    return head["status"], found, b"".join(bytes(message.get("body", b"")) for message in sent[1:])  # type: ignore[return-value,arg-type]


def check(request: Request, status: int, headers: dict[str, str], body: bytes) -> None:
    """The answer is no mistake of ours, of the protocol's shape, and tells nothing of how the server is made."""
    assert status < 500 or status in ASKED_FOR, (status, body)
    if status >= 400 and request.method != "HEAD":
        document = json.loads(body)
        assert next(iter(document)) == "error", body
        assert isinstance(document["error"], str), body
        assert document["error"], body
        assert not [word for word in TALKATIVE if word in document["error"]], body
    elif status == 200 and urlsplit(request.path).path.endswith("/infer") and "content-encoding" not in headers:
        length = headers.get(HEAD_LENGTH)
        oip.read_response(body, None if length is None else int(length))
