"""What a server, its client and the machine spend while they work, and what that says about the limit."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

BUSY = 0.9
"""From this share on, something counts as busy all the time."""


@dataclass(frozen=True, slots=True)
class Usage:
    """Shares of time over one run."""

    cores: int
    machine: float  # of all cores, whatever ran on them
    server: float  # cores that the server's process used
    loop: float  # of one core that its main thread, the event loop, used; of several workers, the busiest
    client: float  # cores that the clients' processes used
    gpu: float | None  # of the time with a kernel running; None without a GPU
    clients: int = 1  # processes

    def bottleneck(self) -> str:
        """What is busy for :data:`BUSY` of the time: the GPU, all cores, the event loop or the client; or nothing."""
        parts = f"server {self.server:.1f}, client {self.client:.1f} of {self.cores} cores"
        if self.gpu is not None and self.gpu >= BUSY:
            return f"GPU ({self.gpu:.0%} busy)"
        if self.machine >= BUSY:
            others = max(0.0, self.machine * self.cores - self.server - self.client)
            return f"CPU ({parts}" + (f", others {others:.1f})" if others > 0.2 else ")")
        if self.loop >= BUSY:
            return f"the server's event loop ({self.loop:.0%} of a core)"
        if self.client >= BUSY * self.clients:
            return f"the client ({self.client:.1f} cores)"
        return f"nothing is busy all the time ({parts})"


@dataclass(frozen=True, slots=True)
class Spent:
    """Processor time so far, in seconds."""

    server: float
    loop: float
    busy: float
    idle: float

    @classmethod
    def now(cls, pid: int) -> Spent:
        """Of a server and of the machine."""
        busy, idle = _machine_s()
        family = _family(pid)
        loop = max(_seconds(Path(f"/proc/{one}/task/{one}/stat")) for one in family)
        return cls(sum(map(_process_s, family)), loop, busy, idle)


def between(before: Spent, after: Spent, seconds: float, client_s: float, gpu: Sequence[float], clients: int) -> Usage:
    """The shares over a run of so many seconds; ``gpu`` are samples of the GPU's."""
    busy, idle = after.busy - before.busy, after.idle - before.idle
    return Usage(
        cores=len(os.sched_getaffinity(0)),
        machine=busy / max(busy + idle, 1e-9),
        server=(after.server - before.server) / seconds,
        loop=(after.loop - before.loop) / seconds,
        client=client_s / seconds,
        gpu=sum(gpu) / len(gpu) if gpu else None,
        clients=clients,
    )


def resident_mib(pid: int) -> float:
    """Memory of a process and its children that is in RAM, in MiB."""
    return sum(_resident_kib(one) for one in _family(pid)) / 1024


@contextmanager
def gpu_samples(every_s: float = 0.05) -> Iterator[list[float]]:
    """Samples of the first GPU's utilisation, 0 to 1, added until the way out; none without NVIDIA's library."""
    samples: list[float] = []
    try:
        import pynvml

        pynvml.nvmlInit()
        handle = pynvml.nvmlDeviceGetHandleByIndex(0)
    except Exception:  # noqa: BLE001 - its errors share no base where the library is absent: no GPU to sample
        yield samples
        return
    ended = threading.Event()

    def sample() -> None:
        while not ended.wait(every_s):
            samples.append(pynvml.nvmlDeviceGetUtilizationRates(handle).gpu / 100)

    thread = threading.Thread(target=sample)
    thread.start()
    try:
        yield samples
    finally:
        ended.set()
        thread.join()


def _family(pid: int) -> list[int]:
    children = Path(f"/proc/{pid}/task/{pid}/children")
    found = children.read_text().split() if children.exists() else []
    return [pid, *(one for child in found for one in _family(int(child)))]


def _process_s(pid: int) -> float:
    return _seconds(Path(f"/proc/{pid}/stat"))


def _seconds(stat: Path) -> float:
    fields = stat.read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _machine_s() -> tuple[float, float]:
    user, nice, system, idle, waiting, *rest = map(int, Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9])
    tick = os.sysconf("SC_CLK_TCK")
    return (user + nice + system + sum(rest)) / tick, (idle + waiting) / tick


def _resident_kib(pid: int) -> int:
    rows = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(row.split()[1]) for row in rows if row.startswith("VmRSS:"))
