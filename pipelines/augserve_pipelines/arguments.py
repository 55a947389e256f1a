"""Checks the arguments of a transform against the types of its parameters, and words what is wrong with them."""

from __future__ import annotations

import difflib
import functools
import inspect
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import UnionType
from typing import Annotated, Any, Concatenate, Literal, ParamSpec, TypeVar, Union, get_args, get_origin, get_type_hints

import numpy as np
from pydantic import ConfigDict, TypeAdapter, ValidationError
from pydantic_core import ErrorDetails

from augserve_pipelines.errors import InvalidParameters, Problem

__all__ = ["Parameter", "Words", "nearest", "own_words", "parameter", "parameters_of", "shown", "validated", "words_of"]

P = ParamSpec("P")
S = TypeVar("S")

STRICT = ConfigDict(strict=True, allow_inf_nan=False, arbitrary_types_allowed=True)
VARIADIC = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
DEFAULT_WORDS = {float: "a number", int: "an integer", bool: "true or false", str: "a string"}
ITEM_WORDS = {
    "float_type": "a number",
    "int_type": "an integer",
    "bool_type": "true or false",
    "string_type": "a string",
}
UNSUITABLE = "unsuitable"  # the error type of our own validators for a value that is not even of the right type
MAX_LISTED = 12
BOUNDS = {
    "greater_than": ("not greater than", "gt"),
    "greater_than_equal": ("less than", "ge"),
    "less_than": ("not less than", "lt"),
    "less_than_equal": ("greater than", "le"),
}


@dataclass(frozen=True, slots=True)
class Words:
    """What a type takes, in words that follow "is not ...", for error messages and for the documentation.

    The example is a value as YAML has it, for documenting parameters that are required or absent by default.
    """

    text: str
    example: object = None


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter of a transform: its name, its type and its default (``required`` where it has none)."""

    name: str
    annotation: Any
    default: object
    required: bool
    adapter: TypeAdapter[Any]

    def check(self, value: object) -> object:
        """The value as the constructor gets it.

        Raises:
            InvalidParameters: the value is not of the parameter's type. Places start with the parameter's name.
        """
        try:
            return self.adapter.validate_python(value.item() if isinstance(value, np.generic) else value)
        except ValidationError as error:
            complaints = _complaints(error, self.annotation)
        raise InvalidParameters([Problem(None, self.name + where, message) for where, message in complaints])


@functools.cache
def parameters_of(init: Callable[..., None]) -> Mapping[str, Parameter]:
    """The parameters of an ``__init__``, in order, without ``self``. A parameter without annotation takes anything."""
    declared = list(inspect.signature(init).parameters.values())[1:]
    hints = get_type_hints(init, include_extras=True)
    return {
        parameter.name: _parameter(parameter, hints.get(parameter.name, Any))
        for parameter in declared
        if parameter.kind not in VARIADIC
    }


def _parameter(declared: inspect.Parameter, annotation: Any) -> Parameter:
    required = declared.default is inspect.Parameter.empty
    return parameter(declared.name, annotation, None if required else declared.default, required)


def parameter(name: str, annotation: Any, default: object, required: bool = False) -> Parameter:
    """A parameter that checks its values against an annotation."""
    return Parameter(name, annotation, default, required, TypeAdapter(annotation, config=STRICT))


def validated(init: Callable[Concatenate[S, P], None]) -> Callable[Concatenate[S, P], None]:
    """Wrap the ``__init__`` of a transform so that its arguments are checked and kept.

    The wrapped one passes on coerced values (a list becomes a tuple, ``"float32"`` a torch.dtype) and sets
    ``self.arguments``: every argument by name, defaults spelled out. Where a subclass calls the ``__init__`` of its
    base, both calls are checked and the arguments kept are those of the subclass.

    Raises:
        InvalidParameters: an argument is not of its parameter's type; lists all that are not.
        TypeError: an argument is missing, or names no parameter, as in any Python call.
    """
    if hasattr(init, "__validated__"):
        return init
    signature = inspect.signature(init)

    @functools.wraps(init)
    def checked(self: S, /, *args: P.args, **kwargs: P.kwargs) -> None:
        try:
            bound = signature.bind(self, *args, **kwargs)
        except TypeError as error:
            names = [name for name in signature.parameters if name != "self"]
            unknown = (nearest(name, names) for name in kwargs if name not in names)
            raise TypeError(f"{type(self).__name__}: {error}{next(unknown, '')}") from None
        bound.apply_defaults()
        arguments = _checked(parameters_of(init), bound.arguments, type(self).__name__)
        bound.arguments.update(arguments)
        if "arguments" not in vars(self):
            # Past nn.Module.__setattr__, which refuses modules before nn.Module.__init__ has run.
            object.__setattr__(self, "arguments", arguments)
        init(*bound.args, **bound.kwargs)

    checked.__validated__ = True  # type: ignore[attr-defined]  # a mark on a function
    return checked


def _checked(parameters: Mapping[str, Parameter], given: Mapping[str, object], owner: str) -> dict[str, object]:
    problems: list[Problem] = []
    arguments: dict[str, object] = {}
    for name, parameter in parameters.items():
        try:
            arguments[name] = parameter.check(given[name])
        except InvalidParameters as error:
            problems += (problem.within(owner) for problem in error.problems)
    if problems:
        raise InvalidParameters(problems)
    return arguments


def _complaints(error: ValidationError, annotation: Any) -> list[tuple[str, str]]:
    details = error.errors(include_url=False)
    if all(detail["loc"] for detail in details) and _is_union(annotation):
        details = _of_the_meant_member(details)
    words = words_of(annotation)
    if not details:
        return [("", f"{shown(_input_of(error))} is not {words}")]
    return [(_place(detail["loc"]), _message(detail, words)) for detail in details]


def _place(location: Sequence[int | str]) -> str:
    """A location as an index, such as ``[1]``. A complaint about a key of a mapping, not its value, ends in "[key]"."""
    parts = (str(part).removeprefix("<class '").removesuffix("'>") for part in location if part != "[key]")
    return "".join(f"[{part}]" for part in parts)


def _of_the_meant_member(details: Sequence[ErrorDetails]) -> list[ErrorDetails]:
    """The complaints of the one member of a union that the value is meant for; none where it fits no member.

    pydantic tries each member and starts every location with the member's name. The value is not meant for a member
    that refuses its very type, or its length.
    """
    members: dict[int | str, list[ErrorDetails]] = {}
    for detail in details:
        members.setdefault(detail["loc"][0], []).append(detail)
    for complaints in members.values():
        if not any(len(detail["loc"]) == 1 and not _is_about_value(detail) for detail in complaints):
            return [{**detail, "loc": detail["loc"][1:]} for detail in complaints]
    return []


def _is_about_value(detail: ErrorDetails) -> bool:
    return detail["type"] in {*BOUNDS, "value_error", "finite_number"}


def _message(detail: ErrorDetails, words: str) -> str:
    kind, value = detail["type"], shown(detail["input"])
    if kind in BOUNDS:
        relation, bound = BOUNDS[kind]
        return f"{value} is {relation} {shown(detail['ctx'][bound])}"
    if kind == "value_error":
        return str(detail["ctx"]["error"])
    if kind == UNSUITABLE:
        return f"{value} is not {detail['ctx']['words']}"
    if kind == "finite_number":
        return f"{value} is not a finite number"
    return f"{value} is not {ITEM_WORDS.get(kind, words) if detail['loc'] else words}"


def _input_of(error: ValidationError) -> object:
    detail = min(error.errors(include_url=False), key=lambda detail: len(detail["loc"]))
    return detail["input"]


def own_words(annotation: Any) -> Words | None:
    """The ``Words`` of a type, if it has any; the outermost ones."""
    own = [item for item in getattr(annotation, "__metadata__", ()) if isinstance(item, Words)]
    return own[-1] if own else None


def words_of(annotation: Any) -> str:
    """What a type takes, in words: its own, else made of what it is."""
    if words := own_words(annotation):
        return words.text
    if get_origin(annotation) is Annotated:
        return words_of(get_args(annotation)[0])
    if _is_union(annotation):
        return " or ".join(words_of(member) for member in get_args(annotation))
    if get_origin(annotation) is Literal:
        return f"one of {', '.join(map(str, get_args(annotation)))}"
    if annotation is type(None):
        return "null"
    return DEFAULT_WORDS.get(annotation) or f"a {getattr(annotation, '__name__', annotation)}"


def _is_union(annotation: Any) -> bool:
    while get_origin(annotation) is Annotated:
        annotation = get_args(annotation)[0]
    return get_origin(annotation) in (Union, UnionType)


def shown(value: object) -> str:
    """A value as it is written in YAML, cut to a length that fits a message."""
    text = _written(value)
    return text if len(text) <= 80 else f"{text[:77]}..."


def _written(value: object) -> str:
    if isinstance(value, list | tuple):
        return f"[{', '.join(_written(item) for item in value[:20])}{', ...' if len(value) > 20 else ''}]"
    if isinstance(value, dict):
        pairs = [f"{key}: {_written(item)}" for key, item in list(value.items())[:20]]
        return f"{{{', '.join(pairs)}}}"
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e16:
        return str(int(value))
    if value is None or isinstance(value, bool):
        return json.dumps(value)
    return repr(value)


def nearest(name: object, allowed: Iterable[str]) -> str:
    """What could have been meant by an unknown name: the nearest one if one is near, and what there is.

    A long list is left out where a near name is found.
    """
    names = sorted(allowed)
    lower = {one.lower(): one for one in names}
    near = difflib.get_close_matches(str(name), names, n=1) or difflib.get_close_matches(str(name).lower(), lower, n=1)
    meant = f"; did you mean {lower.get(near[0], near[0])!r}?" if near else ""
    if near and len(names) > MAX_LISTED:
        return meant
    return f"{meant or ';'} allowed: {', '.join(names) or 'nothing'}"
