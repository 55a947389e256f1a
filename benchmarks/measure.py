"""Take turns: every contender runs in every round, so that what else the machine does falls on all alike."""

from __future__ import annotations

import inspect
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

Name = tuple[str, str]
"""A contender and its setting."""


@dataclass(frozen=True, slots=True)
class Row:
    """One contender's result: images a second, and the median over the rounds of its ratio to the baseline."""

    task: str
    contender: str
    setting: str
    images_per_second: float
    ratio: float
    lowest_ratio: float
    highest_ratio: float


@dataclass(frozen=True, slots=True)
class Target:
    """A figure that the project set itself, beside what was measured: the median over the rounds, and its range."""

    task: str
    what: str
    measured: float
    lowest: float
    highest: float
    target: str
    met: bool

    @classmethod
    def of(cls, task: str, what: str, values: Sequence[float], bound: Literal[">=", "<="], limit: float) -> Target:
        """The median of ``values`` against a limit."""
        middle = statistics.median(values)
        met = middle >= limit if bound == ">=" else middle <= limit
        return cls(task, what, middle, min(values), max(values), f"{bound} {limit:g}", met)


@dataclass(frozen=True, slots=True)
class Rounds:
    """Images a second of every contender in every round."""

    rates: Mapping[Name, Sequence[float]]

    def ratios(self, name: Name, baseline: Name) -> list[float]:
        """One contender over another, round by round."""
        return [one / other for one, other in zip(self.rates[name], self.rates[baseline], strict=True)]

    def rows(self, task: str, baseline: Name | None = None) -> list[Row]:
        """A row for each contender; ratios are to ``baseline``, or else to the first, in the same round."""
        first = baseline or next(iter(self.rates))
        rows = []
        for (contender, setting), rates in self.rates.items():
            ratios = self.ratios((contender, setting), first)
            middle, low, high = statistics.median(ratios), min(ratios), max(ratios)
            rows.append(Row(task, contender, setting, statistics.median(rates), middle, low, high))
        return rows


def in_turns(contenders: Mapping[Name, Callable[[], float]], rounds: int) -> Rounds:
    """Run every contender, a function that returns images a second, in every round, after one round to warm up."""
    for run in contenders.values():
        run()
    rates = [[run() for run in contenders.values()] for _ in range(rounds)]
    return Rounds({name: [rate[place] for rate in rates] for place, name in enumerate(contenders)})


def call(function: Callable[..., Any], given: Mapping[str, Any]) -> Any:
    """Call a function with those of the given arguments that it names."""
    taken = inspect.signature(function).parameters
    return function(**{name: value for name, value in given.items() if name in taken})


def rate(work: Callable[[], int], seconds: float) -> float:
    """Images a second of ``work``, which returns how many it did, repeated for at least ``seconds``."""
    start, images = time.perf_counter(), 0
    while (passed := time.perf_counter() - start) < seconds:
        images += work()
    return images / passed if images else 0.0


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest value that ``share`` of all values do not exceed; not a number where there are none."""
    if not values:
        return float("nan")
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, max(0, -(-round(share * len(ordered) * 1e6) // 1_000_000) - 1))]
