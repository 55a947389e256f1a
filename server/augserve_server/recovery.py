"""Computing batches at a place that may fail: which sample is to blame, or the size of the batch, or the device."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from math import ceil
from typing import Any, Final, Literal, TypeAlias

import torch

from augserve_pipelines import InvalidInput
from augserve_server.decoding import Unwanted, pixels_of
from augserve_server.errors import DeviceFailed, DeviceMemoryFull, ImageUnsuitable, InternalError, ServiceError
from augserve_server.metrics import MEGA, Metrics
from augserve_server.origins import Origin
from augserve_server.place import Place
from augserve_server.work import Result, Work

Failover: TypeAlias = Literal["none", "cpu"]

GROWTH: Final = 1.1
"""By so much the bound of a batch grows with each one that fits: after seven it has doubled."""

logger = logging.getLogger(__name__)


class Fault(StrEnum):
    """What a failed batch failed for."""

    SAMPLE = "sample"  # one of its samples
    MEMORY = "memory"  # it is too large for what the device has left
    DEVICE = "device"  # which computes no more


@dataclass(frozen=True, slots=True)
class Batch:
    """Samples of one work, the seed of each, and the request of each where that is known."""

    work: Work
    items: Sequence[Any]
    seeds: Sequence[int]
    origins: Sequence[Origin] = ()

    def __len__(self) -> int:
        return len(self.items)

    @property
    def pixels(self) -> int:
        """Of all its source images."""
        return sum(map(pixels_of, self.items))

    @property
    def requests(self) -> list[str]:
        """The ids of the requests that its samples are of."""
        return list(dict.fromkeys(one.request_id for one in self.origins if one.request_id))

    def cut(self, size: int) -> list[Batch]:
        """Its samples in batches of ``size``, the last one smaller where they do not come out even."""
        return [self._part(slice(start, start + size)) for start in range(0, len(self), size)]

    def _part(self, rows: slice) -> Batch:
        return Batch(self.work, self.items[rows], self.seeds[rows], self.origins[rows])


class Bound:
    """How many pixels a batch may have: halved by one that did not fit, and raised again by those that do."""

    def __init__(self) -> None:
        self.pixels = float("inf")

    def lower(self, pixels: int) -> None:
        """More than so many did not fit."""
        self.pixels = min(self.pixels, max(pixels, 1))

    def passed(self, pixels: int) -> None:
        """One did."""
        if pixels > self.pixels / 2:
            self.pixels *= GROWTH

    def parts(self, batch: Batch) -> list[Batch]:
        """The batch, in equal parts where it is larger."""
        pixels = batch.pixels
        if pixels <= self.pixels:
            return [batch]
        count = min(len(batch), ceil(pixels / self.pixels))
        return batch.cut(ceil(len(batch) / count))


class Recovery:
    """A place, and what happens when a batch fails there. For several threads.

    A sample that fails is found by running each alone. A batch for which the device has too little memory runs in
    halves. A device that computes no more is never asked again: its work goes to the CPU, where ``failover`` says so.
    """

    def __init__(self, place: Place, failover: Failover, metrics: Metrics) -> None:
        self.failed = False
        self._place = place
        self._device = place.device
        self._failover = failover
        self._metrics = metrics
        self._bound = Bound()
        self._lock = threading.Lock()

    @property
    def place(self) -> Place:
        """Where batches run now."""
        return self._place

    @property
    def stopped(self) -> bool:
        """Whether nothing can be computed any more."""
        return self.failed and self._failover == "none"

    def failure(self) -> DeviceFailed:
        """What each sample is answered with then."""
        return DeviceFailed(str(self._device))

    def run(self, batch: Batch, nearly_done: Callable[[], None]) -> list[Result | ServiceError]:
        """The result of each sample, in host memory, or why it has none."""
        *parts, last = [batch] if self._place.direct else self._bound.parts(batch)
        results = [result for part in parts for result in self._run(part, nobody)]
        return results + self._run(last, nearly_done)

    def _run(self, batch: Batch, nearly_done: Callable[[], None]) -> list[Result | ServiceError]:
        if self.stopped:
            return [self.failure() for _ in batch.items]
        place = self._place
        found = self._try(place, batch, nearly_done)  # whose errors are gone here, and the tensors in their frames
        if isinstance(found, list):
            return found
        if found is Fault.DEVICE:
            self._leave(place)
            return self._run(batch, nearly_done)
        if found is Fault.MEMORY:
            return self._in_halves(place, batch)
        if len(batch) == 1:
            return [found]
        return [result for one in batch.cut(1) for result in self._run(one, nobody)]

    def _try(
        self, place: Place, batch: Batch, nearly_done: Callable[[], None]
    ) -> list[Result | ServiceError] | Literal[Fault.MEMORY, Fault.DEVICE] | ServiceError:
        """The results; or why there are none, an error where it is a sample's."""
        try:
            results = list(self._results(place, batch, nearly_done))
        except InvalidInput as exc:
            return ImageUnsuitable(str(exc))
        except Exception as exc:  # noqa: BLE001  # the other samples, and the thread, survive whatever one sample does
            fault = fault_of(exc, place)
            _log(fault, exc, batch)
            return InternalError() if fault is Fault.SAMPLE else fault
        if not place.direct:
            self._bound.passed(batch.pixels)
        return results

    def _results(self, place: Place, batch: Batch, nearly_done: Callable[[], None]) -> Iterator[Result | ServiceError]:
        for result in batch.work.run(batch.items, batch.seeds, place, nearly_done):
            yield _as_ours(batch, result)

    def _in_halves(self, place: Place, batch: Batch) -> list[Result | ServiceError]:
        self._metrics.out_of_memory()
        place.make_room()
        if len(batch) > 1:
            halves = batch.cut(ceil(len(batch) / 2))
            self._bound.lower(max(half.pixels for half in halves))
            return [result for half in halves for result in self.run(half, nobody)]
        if self._failover == "none":
            return [DeviceMemoryFull(str(self._device), batch.pixels / MEGA)]
        found = self._try(Place(torch.device("cpu")), batch, nobody)
        return found if isinstance(found, list) else [found if isinstance(found, ServiceError) else InternalError()]

    def _leave(self, place: Place) -> None:
        with self._lock:
            if place is not self._place or self.failed:
                return
            self.failed = True
            place.abandon()
            if self._failover == "cpu":
                self._place = Place(torch.device("cpu"))
        then = "its work goes on on the CPU" if self._failover == "cpu" else "restart the process"
        logger.critical("device %s has failed: %s", self._device, then)


def fault_of(error: Exception, place: Place) -> Fault:
    """What a batch failed for at a place, which is asked whether it computes at all."""
    if isinstance(error, torch.OutOfMemoryError):
        return Fault.MEMORY
    if place.direct or place.responds():
        ours = not place.direct and isinstance(error, RuntimeError) and "out of memory" in str(error)
        return Fault.MEMORY if ours else Fault.SAMPLE  # a driver's own allocations fail by other classes
    return Fault.DEVICE


def _log(fault: Fault, error: Exception, batch: Batch) -> None:
    about = {"pipeline": batch.work.name, "samples": len(batch), "fault": fault.value, "requests": batch.requests}
    level = logging.WARNING if fault is Fault.MEMORY else logging.ERROR
    trace = None if fault is Fault.MEMORY else error
    message = "pipeline %s failed on %d samples, for the %s; requests %s"
    words = batch.work.name, len(batch), fault, ", ".join(batch.requests) or "unknown"
    logger.log(level, message, *words, exc_info=trace, extra={"about": about})


def _as_ours(batch: Batch, result: Result | Exception) -> Result | ServiceError:
    """A result, or the error of a sample that could not be decoded, in our words."""
    match result:
        case ServiceError():
            return result.alone()
        case InvalidInput():
            return ImageUnsuitable(str(result))
        case Unwanted():
            return InternalError()  # which nobody reads
        case Exception():
            requests = ", ".join(batch.requests) or "unknown"
            logger.error(
                "pipeline %s could not decode a sample; requests %s", batch.work.name, requests, exc_info=result
            )
            return InternalError()
    return result


def nobody() -> None:
    """There is nobody to tell."""
