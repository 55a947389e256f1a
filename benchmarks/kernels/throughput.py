"""Images a second on CUDA, and what share of the speed of a copy the bytes of images go at."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor

__all__ = ["make_batch", "show"]

Work = Callable[[], object]

SHAPE = (256, 3, 224, 224)


def make_batch() -> Tensor:
    """Random bytes on the device.

    Raises:
        SystemExit: there is no CUDA device.
    """
    if not torch.cuda.is_available():
        raise SystemExit("this benchmark needs a CUDA device, and torch sees none")
    return torch.randint(0, 256, SHAPE, dtype=torch.uint8, generator=torch.Generator().manual_seed(0)).cuda()


def show(title: str, batch: Tensor, contenders: Mapping[str, Work], rounds: int = 20) -> None:
    """Print a row for each contender; all of them, and a copy of the batch, run in every round."""
    target = torch.empty_like(batch)
    works = {"a copy": lambda: target.copy_(batch), **contenders}
    times: dict[str, list[float]] = {name: [] for name in works}
    for turn in range(rounds + 1):
        for name, work in works.items():
            passed = seconds(work)
            if turn:  # the first round compiles
                times[name].append(passed)
    table = Table("contender", "images/s", "GB/s", "of a copy", title=f"{title}, {torch.cuda.get_device_name()}")
    copied = median(times["a copy"])
    for name, own in times.items():
        passed = median(own)
        rate = 2 * batch.nbytes / passed / 1e9  # each byte is read once and written once
        table.add_row(name, f"{len(batch) / passed:,.0f}", f"{rate:,.0f}", f"{copied / passed:.1%}")
    Console().print(table)


def seconds(work: Work) -> float:
    """How long the device takes for it, the host's part included where the device waits for that."""
    start, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
    torch.cuda.synchronize()
    start.record()
    work()
    end.record()
    end.synchronize()
    return start.elapsed_time(end) / 1e3


def median(values: list[float]) -> float:
    return sorted(values)[len(values) // 2]
