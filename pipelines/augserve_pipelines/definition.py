"""Loads pipeline files: a YAML text becomes a Definition, or every problem of it is reported at once."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from os import PathLike
from pathlib import Path
from typing import Annotated, Any

from augserve_pipelines import arguments
from augserve_pipelines.arguments import Parameter, Words, nearest, shown, words_of
from augserve_pipelines.canonical import canonical, fingerprint, to_yaml
from augserve_pipelines.constraints import is_steps
from augserve_pipelines.decode_rule import DecodeRule
from augserve_pipelines.document import MAX_BYTES, DocumentError, Node, read
from augserve_pipelines.errors import InvalidParameters, InvalidPipeline, Problem
from augserve_pipelines.input_rule import InputRule
from augserve_pipelines.kernels.resample import Parity
from augserve_pipelines.probing import impossible
from augserve_pipelines.registry import known_transforms, parameters
from augserve_pipelines.transforms.base import Transform

__all__ = ["MAX_STEPS", "Definition", "canonical", "fingerprint", "load", "loads", "to_yaml"]

MAX_STEPS = 128  # with those inside others; each is drawn a dozen times to see what comes out of it

NAME = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,127}")
TOP: Mapping[str, Parameter] = {
    "description": arguments.parameter("description", str, ""),
    "parity": arguments.parameter("parity", Parity, "torchvision"),
    "input": arguments.parameter("input", Annotated[Any, Words("a mapping")], {}),
    "decode": arguments.parameter("decode", Annotated[Any, Words("a mapping")], {}),
    "transforms": arguments.parameter("transforms", Annotated[Any, Words("a list of transforms")], None, required=True),
}
INPUT: Mapping[str, Parameter] = {
    name: arguments.parameter(name, info.annotation, info.default) for name, info in InputRule.model_fields.items()
}
DECODE: Mapping[str, Parameter] = {
    name: arguments.parameter(name, info.annotation, info.default) for name, info in DecodeRule.model_fields.items()
}


@dataclass(frozen=True, slots=True)
class Definition:
    """What a pipeline file says: its name, and all that its results depend on."""

    name: str
    description: str
    parity: Parity
    input: InputRule
    transforms: tuple[Transform, ...]
    decode: DecodeRule


def load(path: str | PathLike[str]) -> Definition:
    """Load a pipeline file. The stem of the file is the name of the pipeline.

    Raises:
        InvalidPipeline: the file cannot be read or is wrong; lists every problem.
    """
    path = Path(path)
    try:
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise _invalid(path.name, f"cannot be read: {error.strerror or error}") from error
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        if len(content) <= MAX_BYTES:  # a longer one may be cut inside a character
            line = content.count(b"\n", 0, error.start) + 1
            raise _invalid(path.name, f"is not UTF-8: byte 0x{content[error.start]:02x}", line) from error
        text = content.decode("utf-8-sig", errors="replace")
    return _load(text, path.stem, path.name)


def loads(text: str, name: str) -> Definition:
    """Load the text of a pipeline file; ``name`` is the pipeline's, and stands for the file in problems.

    Raises:
        InvalidPipeline: lists every problem.
    """
    return _load(text, name, name)


def _load(text: str, name: str, file: str) -> Definition:
    if not NAME.fullmatch(name):
        allowed = "letters, digits, '.', '_', '-', at most 128 of them, no dot in front"
        raise _invalid(file, f"{shown(name)} cannot name a pipeline; allowed: {allowed}")
    if len(text.encode(errors="surrogatepass")) > MAX_BYTES:
        raise _invalid(file, f"is larger than {MAX_BYTES // 1024} KiB")
    try:
        document = read(text)
    except DocumentError as error:
        raise _invalid(file, error.message, error.line) from error
    if document is None:
        raise _invalid(file, "is empty; a pipeline has at least the key 'transforms'")
    reader = _Reader(file)
    definition = reader.definition(document, name)
    if reader.problems or definition is None:
        raise InvalidPipeline(sorted(reader.problems, key=lambda problem: problem.line or 0))
    return definition


def _invalid(file: str, message: str, line: int | None = None) -> InvalidPipeline:
    return InvalidPipeline([Problem(file, "", message, line)])


@dataclass(slots=True)
class _Reader:
    """Walks the nodes of a document, and notes a problem where another would stop."""

    file: str
    problems: list[Problem] = field(default_factory=list)
    count: int = 0

    def definition(self, node: Node, name: str) -> Definition | None:
        values = self.values(node, TOP, "", "a pipeline")
        steps = self.steps(values["transforms"], "transforms") if "transforms" in values else []
        input, decode = (self.rule(values, key, known) for key, known in (("input", INPUT), ("decode", DECODE)))
        plain: dict[str, Any] = {
            key: self.checked(TOP[key], values[key], "") for key in ("description", "parity") if key in values
        }
        if self.problems:
            return None
        plain = {"description": "", "parity": "torchvision", **plain}
        own = InputRule(**input)
        self.problems += (Problem(self.file, *found) for found in impossible(steps, own.channels))
        return Definition(name, input=own, transforms=tuple(steps), decode=DecodeRule(**decode), **plain)

    def rule(self, values: Mapping[str, Node], key: str, allowed: Mapping[str, Parameter]) -> dict[str, Any]:
        """What a mapping of plain values says, where it is there."""
        given = self.values(values[key], allowed, key, key) if key in values else {}
        return {name: self.checked(allowed[name], child, key) for name, child in given.items()}

    def steps(self, node: Node, place: str) -> list[Transform]:
        if not isinstance(node.value, list):
            self.note(node, place, f"{node} is not a list of transforms")
            return []
        if not node.value:
            self.note(node, place, "the list is empty; at least one transform is needed")
        self.count += len(node.value)
        if self.count > MAX_STEPS:
            self.note(node, place, f"with these there are {self.count} transforms; at most {MAX_STEPS} are allowed")
            return []
        steps = (self.step(child, f"{place}[{index}]") for index, child in enumerate(node.value))
        return [step for step in steps if step is not None]

    def step(self, node: Node, place: str) -> Transform | None:
        if isinstance(node.value, str):
            return self.transform(node.value, Node({}, node.line), node.line, place)
        if not isinstance(node.value, dict):
            self.note(node, place, f"{node} is not a transform: write its name, or {{name: parameters}}")
            return None
        self.note_duplicates(node, place)
        if len(node.value) != 1:
            hint = "; are the parameters indented under the name?" if node.value else ""
            self.note(node, place, f"a step is one transform, this has the keys {shown([*node.value])}{hint}")
            return None
        ((name, values),) = node.value.items()
        given = Node({}, values.line) if values.value is None else values
        return self.transform(name, given, node.line, place)

    def transform(self, name: str, node: Node, line: int, place: str) -> Transform | None:
        kind = known_transforms().get(name)
        if kind is None:
            self.note(node, place, f"no transform is named {shown(name)}{nearest(name, known_transforms())}")
            return None
        place = f"{place}.{name}"
        before = len(self.problems)
        values = self.values(node, parameters(kind), place, name)
        given = {key: self.argument(parameters(kind)[key], child, place) for key, child in values.items()}
        if len(self.problems) > before:
            return None
        try:
            return kind(**given)
        except InvalidParameters as error:
            self.problems += (problem.within(place, file=self.file, line=line) for problem in error.problems)
        except (TypeError, ValueError) as error:
            self.note(node, place, " ".join(str(error).split()))
        return None

    def argument(self, parameter: Parameter, node: Node, place: str) -> object:
        if is_steps(parameter.annotation):
            return self.steps(node, f"{place}.{parameter.name}")
        return self.checked(parameter, node, place)

    def checked(self, parameter: Parameter, node: Node, place: str) -> Any:
        try:
            return parameter.check(node.plain())
        except InvalidParameters as error:
            self.problems += (problem.within(place, file=self.file, line=node.line) for problem in error.problems)
            return None

    def values(self, node: Node, allowed: Mapping[str, Parameter], place: str, owner: str) -> dict[str, Node]:
        """The values of a mapping by key; unknown, repeated and missing keys are noted."""
        if not isinstance(node.value, dict):
            self.note(node, place, f"{node} is not a mapping of {_listed(allowed)}")
            return {}
        self.note_duplicates(node, place)
        for key, child in node.value.items():
            if key not in allowed:
                self.note(child, _join(place, key), f"{owner} has no {shown(key)}{nearest(key, allowed)}")
        for key, parameter in allowed.items():
            if parameter.required and key not in node.value:
                self.note(node, _join(place, key), f"is missing; it takes {words_of(parameter.annotation)}")
        return {key: child for key, child in node.value.items() if key in allowed}

    def note_duplicates(self, node: Node, place: str) -> None:
        for key, line in node.duplicates:
            assert isinstance(node.value, dict)
            first = node.value[key].line
            self.problems.append(Problem(self.file, _join(place, key), f"stands twice, first on line {first}", line))

    def note(self, node: Node, place: str, message: str) -> None:
        self.problems.append(Problem(self.file, place, message, node.line))


def _join(place: str, key: str) -> str:
    name = key if key.isidentifier() and len(key) <= 80 else shown(key)  # what a text has for a key may be anything
    return f"{place}.{name}" if place else name


def _listed(names: Iterable[str]) -> str:
    return ", ".join(names) or "no parameters"
