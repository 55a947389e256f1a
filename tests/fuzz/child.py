"""A process of its own for the cases of one target: what crashes, hangs or grows, does it here.

``python -m fuzz.child TARGET FIRST COUNT FILE``: the number of the case that runs is kept in FILE, where it outlives a
crash; a report comes out as JSON. A case that takes more than 2 s of processor time ends the process by a signal.
"""

from __future__ import annotations

import faulthandler
import gc
import json
import mmap
import os
import resource
import signal
import sys
import warnings
from collections import Counter
from pathlib import Path
from time import process_time
from typing import Any

import torch

from fuzz.targets import PROBES, TARGETS

LIMIT_S = 2.0
STUCK_S = 120.0  # by the clock on the wall, for a hundred cases: what waits does not work
MOST_MEMORY = 2 << 30
"""Bytes of address space above what the process has at first: the decoders' own, for 50 megapixels at most."""


def main(name: str, first: int, count: int, file: str) -> None:
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    target = {**TARGETS, **PROBES}[name]
    faulthandler.enable()
    faulthandler.register(signal.SIGPROF, chain=True)
    with open(file, "r+b") as opened, mmap.mmap(opened.fileno(), 8) as current, target.opened() as run:
        allow_memory(MOST_MEMORY)
        outcomes: Counter[str] = Counter()
        slowest, before = (0.0, first), resources()
        for index in range(first, first + count):
            if index % 100 == 0:
                faulthandler.dump_traceback_later(STUCK_S, exit=True)
            current[:] = index.to_bytes(8, "little")
            case = target.make(index)
            began = process_time()
            with limited():
                outcomes[run(case)] += 1
            slowest = max(slowest, (process_time() - began, index))
            if index == first + count // 5:  # caches have filled
                before = resources()
    after = resources()
    print(json.dumps({"outcomes": outcomes, "slowest": slowest, "before": before, "after": after}))


class limited:  # noqa: N801  # reads as a word
    """Processor time for one case: over it, SIGPROF ends the process after a traceback."""

    def __enter__(self) -> None:
        signal.setitimer(signal.ITIMER_PROF, LIMIT_S)

    def __exit__(self, *_: object) -> None:
        signal.setitimer(signal.ITIMER_PROF, 0)


def allow_memory(size: int) -> None:
    """So many bytes more than the process has now; beyond them, MemoryError."""
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    limit = pages * mmap.PAGESIZE + size
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))


def resources() -> dict[str, Any]:
    """Resident bytes and open files."""
    gc.collect()
    resident = int(Path("/proc/self/statm").read_text().split()[1]) * mmap.PAGESIZE
    return {"bytes": resident, "files": len(os.listdir("/proc/self/fd"))}


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4])
