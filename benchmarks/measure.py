"""Take turns: every contender runs in every round, so that what else the machine does falls on all alike."""

from __future__ import annotations

import csv
import os
import platform
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from importlib.metadata import version
from pathlib import Path

from rich.console import Console
from rich.table import Table


@dataclass(frozen=True, slots=True)
class Row:
    """One contender's result: images a second, and the median over the rounds of its ratio to the baseline."""

    task: str
    contender: str
    setting: str
    images_per_second: float
    ratio: float
    lowest_ratio: float
    highest_ratio: float


def in_turns(
    task: str, contenders: Mapping[tuple[str, str], Callable[[], float]], rounds: int, baseline: int = 0
) -> list[Row]:
    """Run every contender, a function that returns images a second, in every round, after one round to warm up.

    ``contenders`` are named by contender and setting; ratios are to the one at place ``baseline`` in the same round.
    """
    for run in contenders.values():
        run()
    rates = [[run() for run in contenders.values()] for _ in range(rounds)]
    rows = []
    for place, (contender, setting) in enumerate(contenders):
        ratios = [rate[place] / rate[baseline] for rate in rates]
        rate = statistics.median(rate[place] for rate in rates)
        rows.append(Row(task, contender, setting, rate, statistics.median(ratios), min(ratios), max(ratios)))
    return rows


def rate(work: Callable[[], int], seconds: float) -> float:
    """Images a second of ``work``, which returns how many it did, repeated for at least ``seconds``."""
    start, images = time.perf_counter(), 0
    while (passed := time.perf_counter() - start) < seconds:
        images += work()
    return images / passed if images else 0.0


def machine() -> str:
    """What the figures were measured on, in one line."""
    names = ("torch", "torchvision", "pillow", "simplejpeg", "numpy")
    versions = ", ".join(f"{name} {version(name)}" for name in names)
    return f"{_processor()}, {len(os.sched_getaffinity(0))} cores; Python {platform.python_version()}, {versions}"


def show(rows: Sequence[Row]) -> None:
    """The results as a table on the screen."""
    table = Table(title=machine(), title_justify="left")
    for name in ("task", "contender", "setting"):
        table.add_column(name)
    for name in ("images/s", "ratio", "lowest to highest"):
        table.add_column(name, justify="right")
    for row in rows:
        spread = f"{row.lowest_ratio:.2f} to {row.highest_ratio:.2f}"
        table.add_row(row.task, row.contender, row.setting, f"{row.images_per_second:.0f}", f"{row.ratio:.2f}", spread)
    Console(width=140).print(table)


def save(rows: Sequence[Row], path: Path) -> None:
    """The results as a CSV file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, [field.name for field in fields(Row)])
        writer.writeheader()
        writer.writerows(asdict(row) for row in rows)


def _processor() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()
