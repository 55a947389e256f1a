"""Runs fuzzed cases in a child process, and says which one it was where the child does not live through them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
MOST_GROWTH = 64 << 20
"""Bytes that a process may grow by after its first cases: allocators keep some of what they had."""


@dataclass(frozen=True, slots=True)
class Report:
    """What became of the cases: how many ended how, the slowest in seconds, and what the process grew by."""

    outcomes: Mapping[str, int]
    slowest_s: float
    slowest: int
    bytes_grown: int
    files_grown: int

    @property
    def cases(self) -> int:
        return sum(self.outcomes.values())


def run_cases(target: str, first: int, count: int) -> Report:
    """Run the cases of these numbers. Raises AssertionError where one is not answered as it should be."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "current")
        file.write_bytes(first.to_bytes(8, "little"))
        arguments = [target, str(first), str(count), str(file)]
        child = subprocess.run(
            [sys.executable, "-m", "fuzz.child", *arguments], env=environment(), capture_output=True, text=True
        )
        index = int.from_bytes(file.read_bytes(), "little")
    if child.returncode:
        raise AssertionError(_failure(target, index, child))
    found = json.loads(child.stdout.splitlines()[-1])
    grown = {what: found["after"][what] - found["before"][what] for what in ("bytes", "files")}
    return Report(found["outcomes"], *found["slowest"], grown["bytes"], grown["files"])


def check(report: Report) -> None:
    """Raise AssertionError where memory or open files have grown."""
    assert report.bytes_grown < MOST_GROWTH, report
    assert report.files_grown <= 0, report


def environment() -> dict[str, str]:
    path = [str(ROOT / "tests"), *filter(None, [os.environ.get("PYTHONPATH")])]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(path)}


def _failure(target: str, index: int, child: subprocess.CompletedProcess[str]) -> str:
    how = f"ended with {child.returncode}"
    if child.returncode < 0:
        how = f"died of {signal.Signals(-child.returncode).name}"
        if child.returncode == -signal.SIGPROF:
            how = "took more than 2 s of processor time"
    again = f"python -m scripts.fuzz {target} --first {index} --cases 1"
    return f"case {index} of {target} {how}; again: {again}\n{child.stderr[-6000:]}"
