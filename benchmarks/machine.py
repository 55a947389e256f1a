"""What figures were measured on: the machine, the versions, the date and the command."""

from __future__ import annotations

import os
import platform
import sys
import sysconfig
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import torch

_PACKAGES = (
    "augserve",
    "torch",
    "torchvision",
    "numpy",
    "numba",
    "pillow",
    "simplejpeg",
    "triton",
    "uvicorn",
    "nvidia-nvimgcodec-cu13",
    "nvidia-dali-cuda130",
    "cvcuda-cu13",
    "kornia",
    "albumentationsx",
    "opencv-python-headless",
)


def describe() -> str:
    """Processor, cores, memory and devices, in one line."""
    devices = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
    parts = [processor(), f"{cores()} cores", f"{_memory_gib():.0f} GiB of memory", *(devices or ["no CUDA device"])]
    return ", ".join(parts)


def cores() -> int:
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0))


def versions() -> dict[str, str]:
    """Python and every package that takes part, as installed."""
    found = {"Python": _python()}
    for name in _PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    if torch.version.cuda:
        found["CUDA"] = torch.version.cuda
    return found


def _python() -> str:
    """The version, and whether it was built by profile, which makes the interpreter 1.2 to 1.5 times as fast.

    A distribution's own is, though the arguments that it was configured with do not say so.
    """
    optimized = sys.base_prefix == "/usr" or "--enable-optimizations" in str(sysconfig.get_config_var("CONFIG_ARGS"))
    return f"{platform.python_version()} ({'' if optimized else 'not '}built by profile)"


def today() -> str:
    """The date, UTC."""
    return datetime.now(UTC).date().isoformat()


def processor() -> str:
    """The name of the processor's model."""
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def _memory_gib() -> float:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / (1 << 30)


def halves() -> tuple[set[int], set[int]]:
    """The cores of this process in two halves; where there is one core, twice that."""
    mine = sorted(os.sched_getaffinity(0))
    middle = len(mine) // 2
    return set(mine[:middle] or mine), set(mine[middle:])


@contextmanager
def on_cores(chosen: set[int]) -> Iterator[None]:
    """What begins within runs on these cores, as this process does meanwhile."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, chosen)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)
