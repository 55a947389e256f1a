"""Everything that needs a CUDA device, in one command: ``python -m benchmarks.gpu``."""

from __future__ import annotations

import torch

PARTS = ("gpu.equality", "gpu.kernels", "gpu.engine", "gpu.server")
"""Modules, each with ``run``."""

NO_DEVICE = "no CUDA device: torch.cuda.is_available() is False, so nothing was measured"


def require_device() -> None:
    """Exit with status 1 where there is no CUDA device."""
    if not torch.cuda.is_available():
        raise SystemExit(NO_DEVICE)
