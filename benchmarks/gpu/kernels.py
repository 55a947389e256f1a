"""The rows of every module in ``benchmarks/kernels``, beside what a plain copy reaches in the same run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, is_dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import torch

from benchmarks.measure import call
from benchmarks.results import Section

FOLDER = Path(__file__).parents[1] / "kernels"

ABOUT = "Bytes read and written by copying 1 GiB on the device: what memory allows."
KERNEL_ABOUT = "The kernel against its reference. Where a row has GB/s, its share of the copy above stands beside it."


@dataclass(frozen=True, slots=True)
class Copy:
    """What a copy reaches."""

    device: str
    gigabytes_per_second: float


def run(rounds: int, seconds: float) -> list[Section]:
    """Measure a copy, then run every module's ``run``."""
    copied = copy_rate()
    row = Copy(torch.cuda.get_device_name(), copied)
    sections = [Section.of("GPU memory", ABOUT, [row])]
    for module in modules():
        given = {"rounds": rounds, "seconds": seconds, "device": "cuda", "copy_gigabytes_per_second": copied}
        rows: Sequence[Any] = call(import_module(module).run, given)
        title = f"kernels, {module.rpartition('.')[2]}"
        sections.append(Section(title, KERNEL_ABOUT, [with_share(record(row), copied) for row in rows]))
    return sections


def modules() -> list[str]:
    """The modules of ``benchmarks/kernels``."""
    return [f"benchmarks.kernels.{path.stem}" for path in sorted(FOLDER.glob("[a-z]*.py"))]


def record(row: Any) -> dict[str, Any]:
    """A row as a dictionary, whatever it is made of."""
    return asdict(row) if is_dataclass(row) and not isinstance(row, type) else dict(row)


def with_share(row: dict[str, Any], copied: float) -> dict[str, Any]:
    """A row with its share of a copy, if it says how many GB/s it moved."""
    moved = row.get("gigabytes_per_second")
    return row if moved is None or "share_of_copy" in row else {**row, "share_of_copy": moved / copied}


def copy_rate(size: int = 1 << 30, times: int = 20) -> float:
    """GB/s, reading and writing, of copies on the device."""
    source = torch.zeros(size, dtype=torch.uint8, device="cuda")
    target = torch.empty_like(source)
    target.copy_(source)
    start, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
    start.record()
    for _ in range(times):
        target.copy_(source)
    end.record()
    torch.cuda.synchronize()
    return 2 * size * times / (start.elapsed_time(end) / 1000) / 1e9
