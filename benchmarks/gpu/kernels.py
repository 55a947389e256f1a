"""The rows of every module in ``benchmarks/kernels``, each beside what a plain copy reaches in the same rounds."""

from __future__ import annotations

from importlib import import_module

import torch

from benchmarks.kernels.throughput import Row
from benchmarks.results import Section

MODULES = ("resample", "color", "blur", "warp")
"""Of ``benchmarks/kernels``, each with ``run``."""

ABOUT = (
    "Kernels on {device}, from its memory to its memory, by its own clock. GB/s counts the bytes that the task cannot "
    "avoid, each read or written once; the share is of the bytes that a copy on the device moves in the same rounds."
)


def run(rounds: int, seconds: float) -> list[Section]:
    """Run every module's ``run``."""
    rows: list[Row] = []
    for module in MODULES:
        rows += import_module(f"benchmarks.kernels.{module}").run(rounds, seconds)
    return [Section.of("kernels on CUDA", ABOUT.format(device=torch.cuda.get_device_name()), rows)]
