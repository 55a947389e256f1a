"""A real server on a real socket: in a thread of this process, or as a process of its own."""

from __future__ import annotations

import asyncio
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from shutil import copy
from threading import Event, Thread
from typing import IO, Any

import httpx

from augserve_server.app import create_app
from augserve_server.executor import THREADS
from augserve_server.service import Service
from augserve_server.serving import Server
from augserve_server.settings import Settings, pipelines_folder
from factories import make_file

START_S = 30


@dataclass(frozen=True)
class Live:
    """A server that is up: its address, its parts, and the loop that it runs in."""

    url: str
    service: Service
    server: Server
    loop: asyncio.AbstractEventLoop

    @property
    def address(self) -> tuple[str, int]:
        """Host and port, for a socket of one's own."""
        parts = httpx.URL(self.url)
        assert parts.port is not None
        return parts.host, parts.port

    @property
    def grpc_url(self) -> str:
        """Host and port of gRPC, as its clients want them."""
        return f"127.0.0.1:{self.server.grpc_port}"

    def metric(self, name: str, **labels: str) -> float:
        """A sample of the server's metrics, 0 where it has not been counted yet."""
        return self.service.metrics.registry.get_sample_value(f"augserve_{name}", labels) or 0.0

    def drain(self) -> None:
        """What SIGTERM does."""
        self.loop.call_soon_threadsafe(self.server.begin_drain)


@contextmanager
def run_server(**settings: Any) -> Iterator[Live]:
    """A server with these settings on a free port; stopped on the way out, and its threads with it."""
    chosen = Settings(**{"port": 0, "reload": False, "device": "cpu", **settings})
    app = create_app(chosen)
    started: Future[tuple[str, asyncio.AbstractEventLoop]] = Future()
    server = Server(app, chosen, lambda url: started.set_result((url, asyncio.get_running_loop())))
    thread = Thread(target=server.run, name="server")
    thread.start()
    url, loop = started.result(START_S)
    live = Live(url, app.state.service, server, loop)
    try:
        yield live
    finally:
        if thread.is_alive():
            with suppress(RuntimeError):  # it has just ended by itself
                live.drain()
        thread.join(START_S)
        assert not thread.is_alive(), "the server did not stop"


def shipped_pipelines(folder: Path, *names: str) -> Path:
    """A folder of some of the pipelines that ship: a server of few starts ten times faster."""
    for name in names:
        copy(pipelines_folder(Settings()) / f"{name}.yaml", folder)
    return folder


@contextmanager
def busy_device(live: Live, pipeline: str = "thumbnail") -> Iterator[Event]:
    """The device has a batch of one, of ``pipeline``, that ends when the event is set, or on the way out."""
    released = Event()
    starts = [Event() for _ in range(THREADS)]
    for start in starts:
        live.service.executor._threads.submit(lambda start=start: (start.set(), released.wait(START_S)))
    assert all(start.wait(START_S) for start in starts)
    before = live.metric("batches_total", pipeline=pipeline, close="idle")
    with ThreadPoolExecutor(1) as asking:
        occupant = asking.submit(httpx.post, f"{live.url}/v1/augment/{pipeline}", content=make_file("PNG", (9, 9)))
        try:
            until(lambda: live.metric("batches_total", pipeline=pipeline, close="idle") > before)
            yield released
        finally:
            released.set()
            occupant.result()


def until(condition: Callable[[], bool], seconds: float = 10.0) -> None:
    """Wait for something that another thread brings about."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.005)


@contextmanager
def busy_decoders(live: Live, threads: int) -> Iterator[Event]:
    """Every decode thread has work that ends when the event is set, or on the way out."""
    released = Event()
    pool = live.service._decoder._pool._threads
    starts = [Event() for _ in range(threads)]
    for start in starts:
        pool.submit(lambda start=start: (start.set(), released.wait(START_S)))
    assert all(start.wait(START_S) for start in starts)
    try:
        yield released
    finally:
        released.set()


@contextmanager
def server_process(*arguments: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """`augserve serve` on a free port, and its address; killed on the way out if it still runs."""
    command = [sys.executable, "-m", "augserve_server", "serve", "--port", "0", "--device", "cpu", *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        try:
            assert process.stdout is not None
            yield process, _address(process.stdout)
        finally:
            process.kill()


def _address(output: IO[str]) -> str:
    for line in output:
        if found := re.search(r"http://\S+:\d+", line):
            return found[0]
    raise AssertionError("the server ended before it told its address")
