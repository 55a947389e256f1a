"""``augserve serve`` in a process of its own, and what it counts about itself."""

from __future__ import annotations

import re
import subprocess
import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
from prometheus_client.parser import text_string_to_metric_families

Counts = Mapping[tuple[str, str], float]
"""Values by metric and by what sets them apart: a reason for closing, a stage, or nothing."""


@dataclass(frozen=True, slots=True)
class Running:
    """A server that is up."""

    url: str
    pid: int

    def counts(self) -> Counts:
        """What /metrics says now, summed over the pipelines."""
        found: dict[tuple[str, str], float] = {}
        for family in text_string_to_metric_families(httpx.get(f"{self.url}/metrics", timeout=30).text):
            for sample in family.samples:
                key = (
                    sample.name,
                    next((sample.labels[one] for one in ("close", "stage", "cause") if one in sample.labels), ""),
                )
                found[key] = found.get(key, 0.0) + sample.value
        return found


def unheard(line: str) -> None:
    """Let a line of the log pass."""


@contextmanager
def serving(
    device: str = "cpu",
    workers: int | None = None,
    hear: Callable[[str], None] = unheard,
    pipelines: Path | None = None,
) -> Iterator[Running]:
    """A server on a free port, stopped on the way out; ``hear`` is told each line that it prints.

    Raises:
        RuntimeError: it did not start; the message has what it printed.
    """
    command = [sys.executable, "-m", "augserve_server", "serve", "--port", "0", "--device", device]
    command += [] if workers is None else ["--workers", str(workers)]
    command += [] if pipelines is None else ["--pipelines", str(pipelines)]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        assert server.stdout is not None
        lines = _heard(server.stdout, hear)
        said: list[str] = []
        found = next((address for line in lines if (address := _address(line, said))), None)
        if found is None:
            raise RuntimeError(f"{' '.join(command)} did not start:\n{''.join(said)}")
        with ThreadPoolExecutor(1) as reader:
            reader.submit(deque, lines, 0)  # so that its pipe never fills
            yield Running(found, server.pid)
            server.terminate()
    finally:
        server.terminate()
        server.wait(30)


def _address(line: str, said: list[str]) -> str | None:
    """The address that a line names; the line is noted too."""
    said.append(line)
    found = re.search(r"http://[\d.]+:\d+", line)
    return found.group() if found else None


def _heard(lines: Iterable[str], hear: Callable[[str], None]) -> Iterator[str]:
    for line in lines:
        hear(line)
        yield line
