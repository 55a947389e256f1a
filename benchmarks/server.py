"""The server against the same pipeline in-process: JPEG files in, float16 tensors out, on all cores."""

from __future__ import annotations

import multiprocessing
import os
import re
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import contextmanager
from io import BytesIO
from typing import Any

import torch
from PIL import Image
from torch.utils.data import DataLoader, Dataset

from augserve import Client
from augserve_pipelines import Pipeline
from benchmarks.measure import Row, in_turns
from benchmarks.photographs import jpegs
from benchmarks.shipped import shipped

PIPELINE = "imagenet_train"
FILES = 256
# Requests in flight: enough that the server always has work.
IN_FLIGHT = {32: 4, 1: 32}

Rate = Callable[[], float]


def run(rounds: int, seconds: float) -> list[Row]:
    """Compare the server, called from a process of its own, with worker processes that do all of it themselves."""
    cores = len(os.sched_getaffinity(0))
    files = jpegs(FILES)
    with _serving() as url, _processes(cores, _prepare_baseline) as workers, _processes(1) as client:
        contenders: dict[tuple[str, str], Rate] = {
            ("Pillow + torchvision v2", f"{cores} worker processes, kept there"): lambda: _baseline(
                workers, cores, files, seconds
            ),
            ("Pillow + torchvision v2", f"DataLoader, {cores} workers, batches of 32"): lambda: _loader(
                cores, files, seconds
            ),
            **{
                ("augserve serve", f"{size} images a request, {IN_FLIGHT[size]} in flight"): _client_rate(
                    client, url, files, size, seconds
                )
                for size in IN_FLIGHT
            },
        }
        return in_turns(f"server, {PIPELINE}, {cores} cores", contenders, rounds)


def _client_rate(client: ProcessPoolExecutor, url: str, files: Sequence[bytes], size: int, seconds: float) -> Rate:
    return lambda: client.submit(_drive, url, files, size, seconds).result()


def _drive(url: str, files: Sequence[bytes], size: int, seconds: float) -> float:
    """Images a second that a client gets, in its own process."""
    requests = [files[start : start + size] for start in range(0, len(files), size)]
    end = time.perf_counter() + seconds
    with Client(url, timeout=60) as client, ThreadPoolExecutor(IN_FLIGHT[size]) as threads:

        def ask(first: int) -> int:
            done = 0
            while time.perf_counter() < end:
                images = requests[first % len(requests)]
                done += len(client.augment(PIPELINE, images, seed=first, dtype="float16").stack())
                first += IN_FLIGHT[size]
            return done

        start = time.perf_counter()
        images = sum(threads.map(ask, range(IN_FLIGHT[size])))
        return images / (time.perf_counter() - start)


def _baseline(workers: ProcessPoolExecutor, cores: int, files: Sequence[bytes], seconds: float) -> float:
    return sum(workers.map(_decode_and_transform, [files] * cores, [seconds] * cores))


def _prepare_baseline() -> None:
    torch.set_num_threads(1)
    _theirs()


_composed: list[Callable[[Any], torch.Tensor]] = []


def _theirs() -> Callable[[Any], torch.Tensor]:
    if not _composed:
        from benchmarks.oracle import compose, v2

        steps = compose(Pipeline.load(shipped(PIPELINE)))
        _composed.append(lambda picture: steps(v2.ToImage()(picture)).half())
    return _composed[0]


def _decode_and_transform(files: Sequence[bytes], seconds: float) -> float:
    transform, done, start = _theirs(), 0, time.perf_counter()
    while (passed := time.perf_counter() - start) < seconds:
        transform(Image.open(BytesIO(files[done % len(files)])).convert("RGB"))
        done += 1
    return done / passed


class _Files(Dataset[torch.Tensor]):
    def __init__(self, files: Sequence[bytes]) -> None:
        self.files = files

    def __len__(self) -> int:
        return 1 << 30

    def __getitem__(self, index: int) -> torch.Tensor:
        return _theirs()(Image.open(BytesIO(self.files[index % len(self.files)])).convert("RGB"))


def _loader(cores: int, files: Sequence[bytes], seconds: float) -> float:
    loader = DataLoader(_Files(files), batch_size=32, num_workers=cores, multiprocessing_context="fork")
    batches, done = iter(loader), 0
    next(batches)  # the workers are up
    start = time.perf_counter()
    while (passed := time.perf_counter() - start) < seconds:
        done += len(next(batches))
    del batches
    return done / passed


@contextmanager
def _processes(count: int, prepare: Callable[[], None] | None = None) -> Iterator[ProcessPoolExecutor]:
    with ProcessPoolExecutor(count, multiprocessing.get_context("spawn"), prepare) as processes:
        list(processes.map(abs, range(count)))
        yield processes


@contextmanager
def _serving() -> Iterator[str]:
    """``augserve serve`` on a free port, in a process of its own, and its address."""
    command = [sys.executable, "-m", "augserve_server", "serve", "--port", "0", "--device", "cpu"]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        assert server.stdout is not None
        lines = iter(server.stdout)
        found = next((address for line in lines if (address := re.search(r"http://[\d.]+:\d+", line))), None)
        if found is None:
            raise SystemExit("augserve serve did not start")
        with ThreadPoolExecutor(1) as reader:
            reader.submit(deque, lines, 0)  # so that its pipe never fills
            yield found.group()
            server.terminate()
    finally:
        server.terminate()
        server.wait(30)
