"""Rows as tables: which columns there are, and how values read."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

Record = Mapping[str, Any]

_HEADINGS = {
    "images_per_second": "images/s",
    "lowest_ratio": "lowest",
    "highest_ratio": "highest",
    "offered_per_second": "offered/s",
    "p50_ms": "p50 ms",
    "p99_ms": "p99 ms",
    "sent_bytes": "bytes in / image",
    "received_bytes": "bytes out / image",
    "server_cores": "server, cores",
    "client_cores": "client, cores",
    "machine_busy": "machine busy",
    "gpu_busy": "GPU busy",
    "gigabytes_per_second": "GB/s",
    "share_of_copy": "of a copy",
}
_PERCENT = {"machine_busy", "gpu_busy", "share_of_copy", "spread"}


@dataclass(frozen=True, slots=True)
class Heading:
    """The top of a column."""

    text: str
    numeric: bool


def by_task(rows: Sequence[Record]) -> Iterator[tuple[str, list[Record]]]:
    """Neighbouring rows of one task, and the task's name; empty where rows have none."""
    for task, group in groupby(rows, lambda row: str(row.get("task", ""))):
        yield task, list(group)


def headings(rows: Sequence[Record]) -> list[Heading]:
    """The columns of rows of one kind, but for the task and for those that are empty everywhere."""
    return [
        Heading(_HEADINGS.get(name, name.replace("_", " ")), isinstance(rows[0][name], int | float))
        for name in _columns(rows)
    ]


def cells(rows: Sequence[Record]) -> list[list[str]]:
    """The values under :func:`headings`, as text."""
    return [[_text(name, row.get(name)) for name in _columns(rows)] for row in rows]


def _columns(rows: Sequence[Record]) -> list[str]:
    names = dict.fromkeys(name for row in rows for name in row if name != "task")
    return [name for name in names if any(row.get(name) not in (None, "") for row in rows)]


def _text(name: str, value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if not isinstance(value, int | float):
        return str(value)
    if name in _PERCENT:
        return f"{value:.1%}" if value < 0.1 else f"{value:.0%}"
    return f"{value:,.0f}" if abs(value) >= 100 or value == int(value) else f"{value:.2f}"
