"""What kernels reach on CUDA: images a second, and the share of the bytes that a copy moves in the same time."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

SHAPE = (256, 3, 224, 224)
NO_DEVICE = "this measures kernels on CUDA, and torch finds no CUDA device here"


@dataclass(frozen=True, slots=True)
class Row:
    """What one contender reached: the median over the rounds."""

    task: str
    contender: str
    images_per_second: float
    gigabytes_per_second: float
    share_of_copy: float  # of the bytes a second that a copy reads and writes


@dataclass(frozen=True, slots=True)
class Contender:
    """Work that is launched, and what it does: images, and bytes that it must read and write."""

    name: str
    work: Callable[[], object]
    images: int
    bytes: int


def make_batch() -> Tensor:
    """Random bytes on the device, uint8 of shape ``SHAPE``.

    Raises:
        RuntimeError: there is no CUDA device.
    """
    if not torch.cuda.is_available():
        raise RuntimeError(NO_DEVICE)
    return torch.randint(0, 256, SHAPE, dtype=torch.uint8, generator=torch.Generator().manual_seed(0)).cuda()


def over(batch: Tensor, name: str, work: Callable[[], object]) -> Contender:
    """Work that reads each byte of a batch once and writes as many."""
    return Contender(name, work, len(batch), 2 * batch.nbytes)


def copy(size: int = 1 << 30) -> Contender:
    """A copy in the device's memory."""
    source = torch.empty(size, dtype=torch.uint8, device="cuda")
    target = torch.empty_like(source)
    return Contender("a copy of 1 GiB", lambda: target.copy_(source), 0, 2 * size)


def measure(task: str, contenders: Sequence[Contender], rounds: int, seconds: float) -> list[Row]:
    """Measure a copy and every contender in every round, each for about ``seconds`` by the device's clock."""
    everything = [copy(), *contenders]
    for contender in everything:  # compile, and fill the caches of tables
        contender.work()
    rates = [[_rate(contender.work, seconds) for contender in everything] for _ in range(rounds)]
    times = [statistics.median(rate[place] for rate in rates) for place in range(len(everything))]
    copied = everything[0].bytes * times[0]
    return [
        Row(task, each.name, each.images * rate, each.bytes * rate / 1e9, each.bytes * rate / copied)
        for each, rate in zip(everything, times, strict=True)
    ]


def copy_rate() -> float:
    """GB/s, read and written, of a copy in the device's memory."""
    copied = copy()
    copied.work()
    return copied.bytes * _rate(copied.work, 0.1) / 1e9


def _rate(work: Callable[[], object], seconds: float) -> float:
    """How often a second the work is done, by events of the device: the host's part counts where the device waits."""
    count = max(1, int(seconds / _seconds(work, 3) * 3))
    return count / _seconds(work, count)


def _seconds(work: Callable[[], object], count: int) -> float:
    start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    start.record()
    for _ in range(count):
        work()
    end.record()
    end.synchronize()
    return float(start.elapsed_time(end)) / 1000
