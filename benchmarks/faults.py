"""``python -m benchmarks.faults``: workers killed, restarted and stopped under load; what is lost, and for how long."""

from __future__ import annotations

import os
import random
import re
import signal
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.client import HTTPConnection
from itertools import count

import numpy as np

from augserve import AugserveError, Client
from benchmarks import machine
from benchmarks.measure import Target
from benchmarks.photographs import decoded, jpegs
from benchmarks.results import Section
from benchmarks.server import PIPELINE
from benchmarks.serving import Running, serving
from benchmarks.shipped import shipped

FILES = 64
CLIENTS = 8
WITHIN_S = 2.0

ABOUT = (
    "Clients send single JPEG files, one after another, to augserve serve with a worker for each core. Killed: the "
    "client library, with its retries, while a worker picked at random is killed (SIGKILL) every few seconds; each "
    "answer is compared with what the engine gives in another process under the same seed, byte for byte. Restarted "
    "(SIGHUP) and stopped (SIGTERM): plain HTTP/1.1 without retries; where a new connection is refused after the stop, "
    "nothing is lost."
)


@dataclass(slots=True)
class Outcome:
    """What came of all requests of a run."""

    task: str
    requests: int = 0
    answered: int = 0
    wrong: int = 0
    failed: int = 0
    deaths: int = 0
    longest_replacement_s: float | None = None
    longest_answer_s: float = 0.0


@dataclass(slots=True)
class Log:
    """What the supervisor said, and when."""

    lines: list[tuple[float, str]] = field(default_factory=list)

    def hear(self, line: str) -> None:
        """Keep a line of the supervisor's."""
        if "supervisor" in line:
            self.lines.append((time.perf_counter(), line))

    def workers(self) -> list[int]:
        """Those that serve, as far as was said."""
        serve = self._numbers(r"worker (\d+) serves")
        gone = self._numbers(r"worker (\d+) (?:was|ended|hung)")
        return [pid for pid in serve if pid not in gone]

    def served_since(self, moment: float) -> float | None:
        """When the first worker after a moment began to serve."""
        return next(
            (at for at, line in list(self.lines) if at > moment and re.search(r"worker \d+ serves", line)), None
        )

    def said(self, text: str) -> bool:
        """Whether it said so."""
        return any(text in line for _, line in list(self.lines))

    def _numbers(self, pattern: str) -> list[int]:
        return [int(found[1]) for _, line in list(self.lines) if (found := re.search(pattern, line))]


def run(minutes: float = 2.0, every: float = 5.0) -> list[Section]:
    """Kill workers for so many minutes, one ``every`` so many seconds; then restart all, and stop them."""
    task = f"{PIPELINE}, {machine.cores()} workers, {CLIENTS} clients"
    outcomes = [_killed(f"{task}, killed", minutes * 60, every), *_restarted_and_stopped(task)]
    slowest = outcomes[0].longest_replacement_s or 0.0
    lost = [outcome.wrong + outcome.failed + outcome.requests - outcome.answered for outcome in outcomes]
    targets = [
        Target.of(task, "longest time to replace a worker, s", [slowest], "<=", WITHIN_S),
        *(Target.of(one.task, "requests lost or wrong", [n], "<=", 0) for one, n in zip(outcomes, lost, strict=True)),
    ]
    return [Section.of("faults", ABOUT, outcomes), Section.of("faults, targets", "Of the same run.", targets)]


def _killed(task: str, seconds: float, every: float) -> Outcome:
    """Kill workers while the client library asks."""
    files = jpegs(FILES)
    expected = expected_pixels(files)
    outcome, log, turns, lock = Outcome(task), Log(), count(), threading.Lock()
    with serving(workers=machine.cores(), hear=log.hear) as server, Client(server.url) as client:
        end = time.perf_counter() + seconds

        def ask() -> None:
            while time.perf_counter() < end:
                turn = next(turns)
                started, right, failed = time.perf_counter(), False, False
                try:
                    pixels = client.augment(PIPELINE, files[turn % FILES], seed=turn % FILES)
                    right = np.array_equal(pixels, expected[turn % FILES])
                except AugserveError as error:
                    print(f"failed: {error!r} {getattr(error, '__notes__', '')}")
                    failed = True
                with lock:
                    outcome.requests += 1
                    outcome.answered += not failed
                    outcome.failed += failed
                    outcome.wrong += not (right or failed)
                    outcome.longest_answer_s = max(outcome.longest_answer_s, time.perf_counter() - started)

        with ThreadPoolExecutor(CLIENTS) as threads:
            asking = [threads.submit(ask) for _ in range(CLIENTS)]
            replacements = list(_kill_at_random(log, end, every))
            for one in asking:
                one.result()
    outcome.deaths = len(replacements)
    outcome.longest_replacement_s = max(replacements, default=None)
    return outcome


def _kill_at_random(log: Log, end: float, every: float) -> Iterator[float]:
    """Kill a worker every so many seconds; how long it took each time until another served."""
    choose = random.Random(0)
    while time.perf_counter() + every < end:
        time.sleep(every)
        killed = time.perf_counter()
        os.kill(choose.choice(log.workers()), signal.SIGKILL)
        while (served := log.served_since(killed)) is None:
            if time.perf_counter() > killed + 30:
                raise RuntimeError("a worker was not replaced within 30 s")
            time.sleep(0.01)
        yield served - killed


def _restarted_and_stopped(task: str) -> list[Outcome]:
    restarted, stopped, log = Outcome(f"{task}, restarted"), Outcome(f"{task}, stopped"), Log()
    with serving(workers=machine.cores(), hear=log.hear) as server:
        with _asking(server, restarted):
            os.kill(server.pid, signal.SIGHUP)
            _wait_until(log, "all workers are replaced")
        with _asking(server, stopped):
            time.sleep(1)
            os.kill(server.pid, signal.SIGTERM)
            _wait_until_gone(server)
    return [restarted, stopped]


@contextmanager
def _asking(server: Running, outcome: Outcome) -> Iterator[None]:
    """Plain clients that keep asking, each on a connection of its own, until the way out."""
    files, lock, enough = jpegs(FILES), threading.Lock(), threading.Event()

    def ask(place: int) -> None:
        connection = HTTPConnection(server.url.removeprefix("http://"), timeout=60)
        for turn in count(place):
            if enough.is_set():
                break
            try:
                if connection.sock is None:
                    connection.connect()
            except ConnectionRefusedError:
                return
            started, status = time.perf_counter(), 0
            try:
                connection.request("POST", f"/v1/augment/{PIPELINE}?seed={turn}", files[turn % FILES])
                with connection.getresponse() as response:
                    response.read()
                    status = response.status
            except OSError as error:
                print(f"failed: {error!r}")
                connection.close()
            with lock:
                outcome.requests += 1
                outcome.answered += status == 200
                outcome.failed += status != 200
                outcome.longest_answer_s = max(outcome.longest_answer_s, time.perf_counter() - started)
        connection.close()

    with ThreadPoolExecutor(CLIENTS) as threads:
        asking = [threads.submit(ask, place) for place in range(CLIENTS)]
        try:
            yield
        finally:
            enough.set()
            for one in asking:
                one.result()


def expected_pixels(files: Sequence[bytes]) -> list[np.ndarray]:
    """What the engine makes of these files, file i under the seed i."""
    import torch

    from augserve_pipelines import Pipeline

    images = [torch.from_numpy(np.array(picture)).permute(2, 0, 1) for picture in decoded(list(files))]
    results = Pipeline.load(shipped(PIPELINE))(images, range(len(files)))
    return [results[place].numpy() for place in range(len(files))]


def _wait_until(log: Log, text: str, seconds: float = 120.0) -> None:
    end = time.perf_counter() + seconds
    while not log.said(text):
        if time.perf_counter() > end:
            raise RuntimeError(f"the supervisor did not say {text!r} within {seconds:g} s")
        time.sleep(0.05)


def _wait_until_gone(server: Running, seconds: float = 60.0) -> None:
    end = time.perf_counter() + seconds
    while os.path.exists(f"/proc/{server.pid}") and _state(server.pid) != "Z":
        if time.perf_counter() > end:
            raise RuntimeError(f"the server did not stop within {seconds:g} s")
        time.sleep(0.05)


def _state(pid: int) -> str:
    with open(f"/proc/{pid}/stat") as stat:
        return stat.read().rpartition(")")[2].split()[0]


if __name__ == "__main__":
    from benchmarks.__main__ import main

    main(["--only", "faults", *sys.argv[1:]], "python -m benchmarks.faults")
