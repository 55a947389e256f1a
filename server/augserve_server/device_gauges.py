"""What is running and where, for Prometheus: versions, the state of the device, and its memory."""

from __future__ import annotations

from collections.abc import Callable
from importlib.metadata import version
from typing import Final

import torch

from augserve_server.executor import Executor
from augserve_server.metrics import Metrics
from augserve_server.workers.totals import Across

MEMORY: Final[dict[str, Callable[[torch.device], int]]] = {
    "allocated": lambda device: int(torch.cuda.memory_allocated(device)),
    "reserved": lambda device: int(torch.cuda.memory_reserved(device)),
    "free": lambda device: int(torch.cuda.mem_get_info(device)[0]),
    "total": lambda device: int(torch.cuda.mem_get_info(device)[1]),
}


def watch_device(metrics: Metrics, executor: Executor) -> None:
    """Gauges of a device and of what runs there."""
    device = executor.device
    about = {"version": version("augserve"), "torch": torch.__version__, "device": str(device)}
    metrics.tell("build_info", "Always 1: what is running, and where", **about)
    metrics.watch("device_failed", "1 once the device computes no more, else 0", lambda: executor.failed, Across.MAX)
    kinds = MEMORY if device.type == "cuda" else {}
    memory = {kind: _while_it_works(executor, read) for kind, read in kinds.items()}
    metrics.watch_each("device_memory_bytes", "Memory of a CUDA device: this process's, and all of it", "kind", memory)


def _while_it_works(executor: Executor, read: Callable[[torch.device], int]) -> Callable[[], float]:
    def value() -> float:
        try:
            return float("nan") if executor.failed else read(executor.device)
        except RuntimeError:  # it has just failed, which its next batch will find out
            return float("nan")

    return value
