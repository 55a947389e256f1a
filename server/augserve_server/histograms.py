"""Histograms for Prometheus that are cheap to tell: values are kept as they come, and put into buckets many at once."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterator, Sequence
from threading import Lock
from typing import Final

import numpy as np
from prometheus_client import CollectorRegistry
from prometheus_client.core import HistogramMetricFamily
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString

MOST_KEPT: Final = 4096
"""Values that are kept until they are sorted, if nobody asks before."""


class Histogram(Collector):
    """A histogram with labels. For any thread.

    The one of prometheus_client takes a lock twice and walks the buckets for each value: 1.5 us, and a request has
    eight of them.
    """

    def __init__(
        self, name: str, about: str, labels: Sequence[str], buckets: Sequence[float], registry: CollectorRegistry
    ) -> None:
        """``buckets``: their upper bounds, inclusive, in ascending order; one for all that is larger is added."""
        self._name, self._about, self._names = name, about, labels
        self._bounds = np.array([*buckets, math.inf])
        self._parts: dict[tuple[str, ...], Part] = {}
        self._making = Lock()
        if not labels:
            self.labels()
        registry.register(self)

    def labels(self, *values: str) -> Part:
        """The part of it that has these labels."""
        with self._making:
            return self._parts.setdefault(values, Part(self._bounds))

    def observe(self, value: float) -> None:
        """Count a value; for a histogram without labels."""
        self._parts[()].observe(value)

    def collect(self) -> Iterator[HistogramMetricFamily]:
        """What /metrics says of it."""
        family = HistogramMetricFamily(self._name, self._about, labels=self._names)
        bounds = [floatToGoString(bound) for bound in self._bounds]  # type: ignore[no-untyped-call]
        for values, part in [*self._parts.items()]:
            counts, total = part.read()
            family.add_metric(values, [*zip(bounds, counts, strict=True)], total)
        yield family

    def describe(self) -> Iterator[HistogramMetricFamily]:
        """Its name, which the registry asks for."""
        yield HistogramMetricFamily(self._name, self._about, labels=self._names)


class Part:
    """The values of one set of labels. For any thread."""

    __slots__ = ("_bounds", "_counts", "_kept", "_sorting", "_sum")

    def __init__(self, bounds: np.ndarray[tuple[int], np.dtype[np.float64]]) -> None:
        self._bounds = bounds
        self._counts = np.zeros(len(bounds))
        self._sum = 0.0
        self._kept: deque[float] = deque()  # which threads may fill and empty at the same time
        self._sorting = Lock()

    def observe(self, value: float) -> None:
        """Count a value."""
        self._kept.append(value)
        if len(self._kept) >= MOST_KEPT:
            self._sort()

    def observe_all(self, values: Sequence[float]) -> None:
        """Count some values."""
        self._kept.extend(values)
        if len(self._kept) >= MOST_KEPT:
            self._sort()

    def read(self) -> tuple[list[float], float]:
        """How many values are at most each bound, and the sum of all."""
        self._sort()
        with self._sorting:
            return np.cumsum(self._counts).tolist(), self._sum

    def _sort(self) -> None:
        with self._sorting:
            values = np.array([self._kept.popleft() for _ in range(len(self._kept))])
            places = np.searchsorted(self._bounds, values)  # the first bound that is not lower
            self._counts += np.bincount(places, minlength=len(self._bounds))
            self._sum += float(values.sum())
