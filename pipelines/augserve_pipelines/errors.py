"""The errors of the engine.

PipelinesError
├── InvalidPipeline     a pipeline file cannot be loaded: every problem of it
├── InvalidParameters   a transform cannot be built from these arguments (also a ValueError)
├── InvalidInput        these images or seeds cannot be run (also a ValueError)
│   ├── WrongKind       inputs of another kind could be (also a TypeError)
│   └── WrongSize       images of another size could be
├── NoFinish            a pipeline ends in more than making floats of bytes (also a ValueError)
└── ShapesDiffer        samples of different shapes have no dense tensor (also a ValueError)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

__all__ = [
    "InvalidInput",
    "InvalidParameters",
    "InvalidPipeline",
    "NoFinish",
    "PipelinesError",
    "Problem",
    "ShapesDiffer",
    "WrongKind",
    "WrongSize",
]


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong in a pipeline or in the arguments of a transform.

    ``place`` is a path such as ``transforms[1].RandomHorizontalFlip.p`` (empty: the whole file). ``file`` and ``line``
    (from 1) are None where the arguments did not come from a file. ``str(problem)`` is one line.
    """

    file: str | None
    place: str
    message: str
    line: int | None = None

    def within(self, place: str, *, file: str | None = None, line: int | None = None) -> Problem:
        """The same problem, told from outside: ``place`` goes before its own."""
        return Problem(file, f"{place}.{self.place}" if place else self.place, self.message, line)

    def __str__(self) -> str:
        file = self.file if self.line is None else f"{self.file}:{self.line}"
        return ": ".join(part for part in (file, self.place, self.message) if part)


class PipelinesError(Exception):
    """Base of every error that augserve_pipelines raises on purpose."""


class _Problematic(PipelinesError):
    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__(self.problems)  # the one argument, so that a pickled error can be rebuilt

    def __str__(self) -> str:
        return "\n".join(str(problem) for problem in self.problems)


class InvalidPipeline(_Problematic):
    """A pipeline file cannot be loaded. ``problems`` lists all that is wrong with it, in the order of the file."""


class InvalidParameters(_Problematic, ValueError):
    """A transform cannot be built from its arguments. ``problems`` lists all that is wrong with them."""


class InvalidInput(PipelinesError, ValueError):
    """The images or the seeds given to a pipeline cannot be run."""


class WrongKind(InvalidInput, TypeError):
    """An input is of a kind that cannot be taken here, or one that is needed is not there."""


class WrongSize(InvalidInput):
    """An image cannot be run because of its size, and one of another size could be."""


class NoFinish(PipelinesError, ValueError):
    """The last steps of a pipeline do more than to make floats of bytes, so they cannot be left to others."""


class ShapesDiffer(PipelinesError, ValueError):
    """The samples of a batch differ in shape, so there is no dense tensor of all of them."""
