"""In which order a device copies and computes: on CUDA at once, elsewhere one after another."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Protocol

import torch
from torch import Tensor

__all__ = ["CudaStreams", "NoStreams", "Streams"]


class Streams(Protocol):
    """In which order a device copies and computes."""

    def upload(self, host: Tensor) -> Tensor:
        """A copy on the device: complete for what is computed from here on."""

    def computing(self, after: torch.cuda.Event | None = None) -> AbstractContextManager[object]:
        """Where to compute, once an event has come to pass."""

    def download(self, copies: Sequence[tuple[Tensor, Tensor]]) -> None:
        """Copy what was computed, each to its place in host memory, and wait for it."""

    def settle(self) -> None:
        """Wait for all that was begun."""

    def trim(self) -> None:
        """Give device memory back."""


class NoStreams:
    """Everything in the order in which it is asked for."""

    def __init__(self, device: torch.device) -> None:
        self._device = device

    def upload(self, host: Tensor) -> Tensor:
        return host.to(self._device, copy=True)

    def computing(self, after: torch.cuda.Event | None = None) -> AbstractContextManager[object]:
        return nullcontext()

    def download(self, copies: Sequence[tuple[Tensor, Tensor]]) -> None:
        for data, room in copies:
            room.copy_(data)

    def settle(self) -> None:
        pass

    def trim(self) -> None:
        pass


class CudaStreams:
    """One stream for copies in, one for kernels, one for copies out; each waits for what it needs of the others.

    Device memory is freed only after the last stream that uses it is done, because ``download`` waits and its callers
    hold both ends until then: torch may reuse it at once, and needs to be told of no other stream.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._up, self._compute, self._down = (torch.cuda.Stream(device) for _ in range(3))  # type: ignore[no-untyped-call]  # in torch

    def upload(self, host: Tensor) -> Tensor:
        with torch.cuda.stream(self._up):
            there = torch.empty_like(host, device=self._device)
            there.copy_(host, non_blocking=True)
            self._compute.wait_event(self._up.record_event())
        return there

    def computing(self, after: torch.cuda.Event | None = None) -> AbstractContextManager[object]:
        if after is not None:
            self._compute.wait_event(after)
        return torch.cuda.stream(self._compute)

    def download(self, copies: Sequence[tuple[Tensor, Tensor]]) -> None:
        self._down.wait_event(self._compute.record_event())
        with torch.cuda.stream(self._down):
            for data, room in copies:
                room.copy_(data, non_blocking=True)
            done = torch.cuda.Event(blocking=True)  # type: ignore[no-untyped-call]  # the core has others to decode for
            done.record()
        done.synchronize()

    def settle(self) -> None:
        torch.cuda.synchronize(self._device)

    def trim(self) -> None:
        torch.cuda.empty_cache()
