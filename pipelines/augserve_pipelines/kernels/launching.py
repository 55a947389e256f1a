"""Where kernels of our own run: on CUDA where Triton is installed, and in its interpreter where that was asked for."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache
from importlib.util import find_spec

import torch

__all__ = ["interpreted", "interpreting", "launches"]

_interpreting: ContextVar[bool] = ContextVar("interpreting", default=False)


def launches(device: torch.device) -> bool:
    """Whether images that lie on a device are given to the kernels of ``*_triton.py``."""
    return (device.type == "cuda" and _has_triton()) or (device.type == "cpu" and _interpreting.get())


def interpreting() -> bool:
    """Whether images on the CPU go the way of CUDA, through Triton's interpreter."""
    return _interpreting.get()


@contextmanager
def interpreted() -> Iterator[None]:
    """Send images on the CPU the way of CUDA: thousands of times slower, with the same bytes.

    For tests. ``TRITON_INTERPRET=1`` must be in the environment before the kernels are imported.
    """
    token = _interpreting.set(True)
    try:
        yield
    finally:
        _interpreting.reset(token)


@cache
def _has_triton() -> bool:
    return find_spec("triton") is not None
