"""Pipelines that draw nothing, as programs that need nothing but torch."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from os import PathLike
from typing import IO, Any

import torch
from torch import nn
from torch.export import Dim, ExportedProgram

from augserve_pipelines.errors import InvalidInput, InvalidPipeline, Problem
from augserve_pipelines.pipeline import Pipeline
from augserve_pipelines.scripting import form_of
from augserve_pipelines.scripting.form import Form, Steps
from augserve_pipelines.scripting.values import CastFloats
from augserve_pipelines.transforms.base import Transform
from augserve_pipelines.transforms.containers import Compose, RandomApply

__all__ = ["METADATA", "Exported", "ProgramInput", "described", "export", "module"]

METADATA = "augserve.json"
"""The name of the extra file in which a saved program says what it is and what it takes."""

# An example of an image of any size; its sides are unlike each other, and unlike any that a pipeline is likely to name.
_ANY_HEIGHT, _ANY_WIDTH, _ANY_BATCH = 487, 653, 2


@dataclass(frozen=True, slots=True)
class ProgramInput:
    """What a program takes: ``[batch, channels, height, width]``; None is any."""

    batch: int | None
    channels: int
    height: int | None
    width: int | None
    dtype: torch.dtype = torch.uint8

    def __str__(self) -> str:
        return described(_shape(self.sides, self.dtype))

    @property
    def sides(self) -> tuple[int | None, ...]:
        """The whole shape."""
        return self.batch, self.channels, self.height, self.width

    @property
    def example(self) -> torch.Tensor:
        """Zeros of this shape."""
        sides = self.batch or _ANY_BATCH, self.channels, self.height or _ANY_HEIGHT, self.width or _ANY_WIDTH
        return torch.zeros(sides, dtype=self.dtype)

    @property
    def dynamic_shapes(self) -> tuple[dict[int, Any]]:
        """For ``torch.export``: the dimensions that may be any."""
        sides = {0: self.batch, 2: self.height, 3: self.width}
        return ({dim: Dim.DYNAMIC for dim, side in sides.items() if side is None},)


def module(pipeline: Pipeline | Transform | Sequence[Transform]) -> nn.Module:
    """The pipeline as a module of torch operations alone, for ``torch.export`` and ``torch.compile``.

    It takes one tensor ``[..., C, H, W]`` and gives the bytes that the pipeline gives. Chance has no part in it: a
    transform that may fire must do so always or never, and a range must hold one number.

    Raises:
        InvalidPipeline: some steps draw, or are not made of torch operations; lists all of them.
    """
    if not isinstance(pipeline, Pipeline):
        pipeline = Pipeline([pipeline] if isinstance(pipeline, Transform) else pipeline)
    given = {"parity": pipeline.parity, "inplace": False, "stacked": True}
    problems = list(_problems(pipeline.transforms, given, "transforms"))
    if problems:
        raise InvalidPipeline(problems)
    steps = [settled for step in pipeline.transforms if (settled := _settled(step, given)) is not None]
    return Steps(steps if pipeline._cast is None else [*steps, CastFloats(pipeline._cast)])


@dataclass(frozen=True, slots=True)
class Exported:
    """A program, what it takes, and the pipeline that it was made of."""

    pipeline: Pipeline
    takes: ProgramInput
    program: ExportedProgram

    @property
    def about(self) -> dict[str, Any]:
        """What the program is, takes and gives, as JSON has it; null is a side that may be any."""
        return {
            "pipeline": self.pipeline.name,
            "description": self.pipeline.description,
            "fingerprint": self.pipeline.fingerprint,
            "parity": self.pipeline.parity,
            "torch": str(torch.__version__),
            "input": {**_shape(self.takes.sides, self.takes.dtype), "mode": self.pipeline.input.mode},
            "outputs": [_shape(value.shape, value.dtype) for value in _results(self.program)],
        }

    def save(self, file: str | PathLike[str] | IO[bytes]) -> None:
        """Write a file that ``torch.export.load`` reads; ``about`` is its extra file ``METADATA``."""
        torch.export.save(self.program, file, extra_files={METADATA: json.dumps(self.about, indent=2)})


def export(pipeline: Pipeline, takes: ProgramInput) -> Exported:
    """Export a pipeline as a program for inputs of one shape, or of any.

    Raises:
        InvalidPipeline: some steps draw, or are not made of torch operations; lists all of them.
        InvalidInput: the pipeline cannot run on such inputs, or only on some of them.
    """
    form = module(pipeline)
    try:
        form(takes.example)
        program = torch.export.export(form, (takes.example,), dynamic_shapes=takes.dynamic_shapes)
    except (RuntimeError, ValueError, TypeError) as exc:
        reason = str(exc).strip().partition("\n")[0]
        raise InvalidInput(f"the pipeline cannot be exported for images of {takes}: {reason}") from exc
    program.example_inputs = None  # megabytes of zeros
    for node in program.graph.nodes:
        node.meta.pop("stack_trace", None)  # lines of source files as they lie on this machine
    return Exported(pipeline, takes, program)


def described(shape: Mapping[str, Any]) -> str:
    """A shape of ``Exported.about`` in words: ``any x 3 x 224 x 224 float32``."""
    return f"{' x '.join('any' if side is None else str(side) for side in shape['shape'])} {shape['dtype']}"


def _problems(steps: Sequence[Transform], given: Mapping[str, Any], place: str) -> Iterator[Problem]:
    for index, step in enumerate(steps):
        own = f"{place}[{index}].{type(step).__name__}"
        if _settled(step, given) is None:
            inner = list(_problems(step.steps(), given, f"{own}.transforms")) if _is_sure(step) else []
            yield from inner or [Problem(None, own, _reason(step, given))]


def _is_sure(step: Transform) -> bool:
    """Whether a transform runs its steps always."""
    return isinstance(step, Compose) or (isinstance(step, RandomApply) and step.p == 1)


def _reason(step: Transform, given: Mapping[str, Any]) -> str:
    if form_of(step, **given) is None:
        return "cannot be exported: it draws at random, or is not made of torch operations on one image"
    return "cannot be exported: it draws at random"


def _settled(step: Transform, given: Mapping[str, Any]) -> nn.Module | None:
    form = form_of(step, **given)
    return form.settled() if isinstance(form, Form) else None


def _results(program: ExportedProgram) -> list[torch.Tensor]:
    """The results for the example, with symbols for sides that depend on the input."""
    (output,) = program.graph.find_nodes(op="output")
    return [node.meta["val"] for node in output.args[0]]


def _shape(sides: Iterable[int | torch.SymInt | None], dtype: torch.dtype) -> dict[str, Any]:
    known = [side if isinstance(side, int) else None for side in sides]
    return {"shape": known, "dtype": str(dtype).removeprefix("torch.")}
