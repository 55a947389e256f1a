"""Metrics of several processes as those of one: counters add up and never fall, whoever ended in between."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from operator import add
from typing import Any, Final, TypeAlias

Samples: TypeAlias = dict[tuple[str, tuple[tuple[str, str], ...]], float]
"""Values by the name of the sample and its labels."""


class Across(StrEnum):
    """What a gauge is over several processes."""

    SUM = "sum"
    MAX = "max"
    MIN = "min"


@dataclass(frozen=True, slots=True)
class Family:
    """A metric: its name, type (as Prometheus has it) and meaning, and the value of each of its samples."""

    name: str
    type: str
    about: str
    samples: Samples = field(default_factory=dict)
    across: Across = Across.SUM

    @property
    def lasts(self) -> bool:
        """Whether what was counted by a process that has ended still counts."""
        return self.type in ("counter", "histogram")

    def plus(self, other: Family) -> Family:
        """Both in one."""
        merged = dict(self.samples)
        for key, value in other.samples.items():
            before = merged.get(key)
            if before is None:
                merged[key] = value
            else:
                merged[key] = _TOGETHER[self.across](before, value)
        return Family(self.name, self.type, self.about, merged, self.across)


_TOGETHER: Final[Mapping[Across, Callable[[float, float], float]]] = {
    Across.SUM: add,
    Across.MAX: max,
    Across.MIN: min,
}


def total(parts: Iterable[Sequence[Family]]) -> list[Family]:
    """The metrics of processes, summed."""
    found: dict[str, Family] = {}
    for families in parts:
        for family in families:
            before = found.get(family.name)
            found[family.name] = family if before is None else before.plus(family)
    return list(found.values())


def lasting(families: Iterable[Family]) -> list[Family]:
    """What is left of the metrics of a process that has ended."""
    return [family for family in families if family.lasts]


def since(families: Iterable[Family], before: Iterable[Family]) -> list[Family]:
    """What was counted since ``before``, which came from the process that this one was forked from."""
    negative = [replace(one, samples={key: -value for key, value in one.samples.items()}) for one in before]
    return total([list(families), negative])


def to_json(families: Iterable[Family]) -> list[Any]:
    """As values of a message."""
    return [
        [one.name, one.type, one.about, one.across, [[*key, value] for key, value in one.samples.items()]]
        for one in families
    ]


def from_json(value: Iterable[Any]) -> list[Family]:
    """What ``to_json`` wrote."""
    return [
        Family(
            name,
            kind,
            about,
            {(sample, tuple((key, label) for key, label in labels)): number for sample, labels, number in samples},
            Across(across),
        )
        for name, kind, about, across, samples in value
    ]
