"""The processes that a supervisor starts, as it sees them: a template, and the workers that are forked from it."""

from __future__ import annotations

import asyncio
import ctypes
import os
import pickle
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import Any, Final

from augserve_server.errors import StartError
from augserve_server.settings import Settings
from augserve_server.workers.messages import Kind, Line
from augserve_server.workers.shares import Shares
from augserve_server.workers.totals import Family, from_json

START_S: Final = 300.0
"""Longest time for a worker to set itself up: kernels are compiled for a GPU."""
PLACE_BYTES: Final = 2
"""Of the message that asks a template for a worker in a place; its end of a socket pair comes along."""
_PR_SET_CHILD_SUBREAPER: Final = 36

# One thread each: a library's own threads would not survive a fork. CUDA must not be begun before it either.
_ENVIRONMENT: Final = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "PYTORCH_NVML_BASED_CUDA_CHECK": "1"}


class StartFailed(StartError):
    """What a template said about why it cannot start."""


@dataclass(frozen=True, slots=True)
class Template:
    """A process to fork workers from."""

    process: subprocess.Popen[bytes]
    control: socket.socket
    line: Line
    greeting: str
    metrics: Sequence[Family]
    quick: bool
    """A fork is all that a worker needs."""

    @classmethod
    async def start(cls, settings: Settings, listener: socket.socket, shares: Shares) -> Template:
        """Load everything in a new process. Raises StartError where that fails."""
        ours, theirs = socket.socketpair()
        handed = (theirs.fileno(), listener.fileno(), shares.file)
        process = subprocess.Popen(  # noqa: ASYNC220 - asyncio's way to watch a child would take the workers' ends too
            [sys.executable, "-m", "augserve_server.workers.template", *map(str, handed), str(shares.places)],
            stdin=subprocess.PIPE,
            pass_fds=handed,
            env={**os.environ, **_ENVIRONMENT},
            start_new_session=True,  # Ctrl-C is for the supervisor
        )
        theirs.close()
        assert process.stdin is not None
        with suppress(BrokenPipeError), process.stdin as stdin:
            stdin.write(pickle.dumps(settings))
        control = ours.dup()
        try:
            line = await Line.over(ours)
            match await line.receive():
                case (Kind.READY, about):
                    return cls(process, control, line, about["greeting"], from_json(about["metrics"]), about["quick"])
                case (Kind.FAILED, why):
                    raise StartFailed(why)
            raise StartFailed("the process that workers are made of ended before it was ready; the log says why")
        except BaseException:
            control.close()
            process.kill()
            process.wait()
            raise

    async def fork(self, place: int, shares: Shares, ended: Callable[[Worker], None]) -> Worker:
        """A worker that is set up and waits to be told to go. Raises WorkerLost where it does not come to that."""
        ours, theirs = socket.socketpair()
        with theirs:
            try:
                socket.send_fds(self.control, [place.to_bytes(PLACE_BYTES)], [theirs.fileno()])
            except OSError as exc:
                ours.close()
                raise WorkerLost("the process that workers are made of has ended") from exc
        worker = Worker(await Line.over(ours), place, shares, ended)
        try:
            await worker.set_up()
        except BaseException:
            worker.abandon()
            raise
        return worker

    async def gone(self) -> None:
        """Wait until it has ended."""
        while await self.line.receive() is not None:
            pass
        self.close()
        self.process.kill()
        self.process.wait()

    def close(self) -> None:
        """Let it end."""
        with suppress(OSError):
            self.control.shutdown(socket.SHUT_RDWR)
        self.control.close()


class WorkerLost(Exception):
    """A worker ended before it was ready."""


class Worker:
    """A worker, seen from the supervisor."""

    def __init__(self, line: Line, place: int, shares: Shares, ended: Callable[[Worker], None]) -> None:
        self.place = place
        self.pid = 0
        self.began = monotonic()
        self.status: int | None = None
        self.hung = False
        self.metrics: Sequence[Family] = ()
        self.ended = asyncio.Event()
        self.serving = asyncio.Event()
        self.leaving = False
        self.on_sum: Callable[[Worker], None] = lambda worker: None
        self._line = line
        self._shares = shares
        self._on_end = ended
        self._counted: list[asyncio.Future[None]] = []

    async def set_up(self) -> None:
        """Wait until it is ready. Raises WorkerLost."""
        while self.pid == 0:
            try:
                async with asyncio.timeout(START_S):
                    message = await self._line.receive()
            except TimeoutError:
                message = None
            match message:
                case None:
                    raise WorkerLost("a worker ended before it was ready")
                case (Kind.READY, pid):
                    self.pid = pid

    def abandon(self) -> None:
        """Leave one alone that is not set up: it ends when it finds nobody at the other end."""
        self._line.close()
        self._shares.clear(self.place)

    def go(self) -> None:
        """Let it accept connections."""
        self._line.send(Kind.GO)

    def drain(self) -> None:
        """Let it finish what it has, and end; a second time: end it now."""
        self.leaving = True
        self._signal(signal.SIGTERM)

    def kill(self) -> None:
        """End it at once."""
        self._signal(signal.SIGKILL)

    def send_sum(self, families: list[Any]) -> None:
        """Answer what it asked about all."""
        self._line.send(Kind.SUMMED, families)

    async def count(self, within_s: float) -> Sequence[Family]:
        """Its metrics; where it does not say them in time, as they were last."""
        if not self.ended.is_set():
            counted = asyncio.get_running_loop().create_future()
            self._counted.append(counted)
            self._line.send(Kind.COUNT)
            with suppress(TimeoutError):
                async with asyncio.timeout(within_s):
                    await counted
        return self.metrics

    async def watch(self, timeout_s: float) -> None:
        """Hear what it says until it has ended; where it is silent for too long, it is ended."""
        while (message := await self._next(timeout_s)) is not None:
            match message:
                case (Kind.SERVING, _):
                    self.serving.set()
                case (Kind.COUNTED, families):
                    self.metrics = from_json(families)
                    self._answer_counts()
                case (Kind.SUM, _):
                    self.on_sum(self)
        self._line.close()
        self.kill()  # it is gone, or does not listen
        with suppress(ChildProcessError):
            status = os.waitpid(self.pid, 0)[1]  # noqa: ASYNC222 - it has been killed: this is quick
            self.status = os.waitstatus_to_exitcode(status)
        self._shares.clear(self.place)
        self._answer_counts()
        self.ended.set()
        self._on_end(self)

    @property
    def fate(self) -> str:
        """How it ended."""
        if self.hung:
            return "hung"
        if self.status is not None and self.status < 0:
            return f"was killed by {signal.Signals(-self.status).name}"
        return f"ended with status {self.status}"

    async def _next(self, timeout_s: float) -> tuple[Kind, Any] | None:
        for patience in (timeout_s, 1.0):  # when this process itself was stopped for so long, what it missed is there
            with suppress(TimeoutError):
                async with asyncio.timeout(patience):
                    return await self._line.receive()
        self.hung = True
        return None

    def _answer_counts(self) -> None:
        while self._counted:
            if not (waiting := self._counted.pop()).done():
                waiting.set_result(None)

    def _signal(self, number: signal.Signals) -> None:
        if self.pid and not self.ended.is_set():
            with suppress(ProcessLookupError):
                os.kill(self.pid, number)


def adopt_orphans() -> None:
    """Make grandchildren whose parent has ended children of this process. Raises OSError where the kernel does not."""
    if ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0):
        raise OSError(ctypes.get_errno(), "workers cannot be adopted (PR_SET_CHILD_SUBREAPER)")


def end_children() -> None:
    """End what this process still has of others: templates, and workers that were being set up; none serves anybody."""
    me = os.getpid()
    with suppress(OSError):  # a kernel may not tell
        for pid in map(int, Path(f"/proc/{me}/task/{me}/children").read_text().split()):
            os.kill(pid, signal.SIGKILL)
