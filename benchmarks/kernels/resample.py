"""``python -m benchmarks.kernels.resample``: the kernel for ragged batches against a copy in the device's memory."""

from __future__ import annotations

import argparse
import statistics
import sys
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from augserve_pipelines import Frames, Pipeline
from augserve_pipelines import transforms as T
from augserve_pipelines.batch import Batch
from augserve_pipelines.transforms.resample import Resample

NO_DEVICE = "this measures a kernel on CUDA, and torch finds no CUDA device here"
BATCH = 1024  # images of half a megabyte each: ten times the second-level cache of an H100
SIZES = ((375, 500), (500, 375), (333, 500), (500, 500), (400, 300), (600, 450), (240, 320), (480, 640))
FINISH = (T.ToDtype(torch.float32, scale=True), T.Normalize((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))


@dataclass(frozen=True, slots=True)
class Row:
    """What one contender reached: the median over the rounds."""

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


def run(rounds: int, seconds: float) -> list[Row]:
    """Measure every contender in every round, each for about ``seconds`` by the device's clock.

    Raises:
        RuntimeError: there is no CUDA device.
    """
    if not torch.cuda.is_available():
        raise RuntimeError(NO_DEVICE)
    images = _images()
    crops = [each for name, steps in _tails().items() for each in _crops(name, images, steps)]
    contenders = [_copy(), *crops]
    for contender in contenders:  # compile, and fill the caches of tables
        contender.work()
    rates = [[_rate(contender.work, seconds) for contender in contenders] for _ in range(rounds)]
    times = [statistics.median(rate[place] for rate in rates) for place in range(len(contenders))]
    copied = contenders[0].bytes * times[0]
    return [
        Row(each.name, each.images * rate, each.bytes * rate / 1e9, each.bytes * rate / copied)
        for each, rate in zip(contenders, times, strict=True)
    ]


def _tails() -> dict[str, list[T.Transform]]:
    return {"uint8": [], "float16": [*FINISH, T.ToDtype(torch.float16)]}


def _images() -> list[Tensor]:
    """Noise of the sizes that ImageNet has, pixel by pixel as decoders leave it."""
    generator = torch.Generator("cuda").manual_seed(0)
    sizes = np.random.default_rng(0).permutation(np.resize(np.array(SIZES), (BATCH, 2))).tolist()
    options = {"dtype": torch.uint8, "device": "cuda", "generator": generator}
    return [torch.randint(0, 256, (height, width, 3), **options).permute(2, 0, 1) for height, width in sizes]


def _copy() -> Contender:
    source = torch.empty(1 << 30, dtype=torch.uint8, device="cuda")
    target = torch.empty_like(source)
    return Contender("copy of 1 GiB", lambda: target.copy_(source), 0, 2 * source.numel())


def _crops(name: str, images: list[Tensor], tail: list[T.Transform]) -> list[Contender]:
    """The one op that the pipeline becomes: the kernel alone, and with what the CPU prepares for it."""
    from augserve_pipelines.kernels.resample_triton import launcher

    pipeline = Pipeline([T.RandomResizedCrop(224), T.RandomHorizontalFlip(), *tail])
    (op,) = pipeline.plan(Frames.of(images), range(len(images))).ops
    assert isinstance(op, Resample)
    batch = Batch.of(images)
    out = op.run(batch).stack()
    tables = None if op.tail is None else op.tail.tables(3)
    size = 3 * int(op.source[:, 2:].prod(axis=1).sum()) + out.nbytes
    alone, prepared = launcher(images, op.windows(), out, tables), f"{name}, prepared each time"
    return [
        Contender(name, alone, len(images), size),
        Contender(prepared, lambda: op.run_into(batch, out), len(images), size),
    ]


def _rate(work: Callable[[], object], seconds: float) -> float:
    """How often a second the work is done, by events of the device."""
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


def main() -> None:
    """Measure, and print one table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.kernels.resample", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, help="rounds; in each, every contender runs")
    parser.add_argument("--seconds", type=float, default=1.0, help="how long a contender runs in a round")
    options = parser.parse_args()
    if not torch.cuda.is_available():
        sys.exit(f"{parser.prog}: {NO_DEVICE}")
    rows = run(options.rounds, options.seconds)
    print(f"{torch.cuda.get_device_name()}, torch {torch.__version__}: RandomResizedCrop 224 and flip to")
    print(f"{'contender':<36}{'images/s':>12}{'GB/s':>9}{'of a copy':>11}")
    for row in rows:
        print(
            f"{row.contender:<36}{row.images_per_second:>12.0f}{row.gigabytes_per_second:>9.0f}{row.share_of_copy:>11.2f}"
        )


if __name__ == "__main__":
    main()
