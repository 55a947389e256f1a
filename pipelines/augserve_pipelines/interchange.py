"""Pipelines from torchvision's transforms and back, where torchvision is installed."""

from __future__ import annotations

import importlib
from collections.abc import Iterable, Mapping
from types import ModuleType
from typing import Any

from torch import nn

from augserve_pipelines.errors import InvalidPipeline, Problem
from augserve_pipelines.interpolation import InterpolationMode
from augserve_pipelines.registry import known_transforms, parameters
from augserve_pipelines.transforms.base import Transform
from augserve_pipelines.transforms.lambdas import Lambda
from augserve_pipelines.tv_tensors import BoundingBoxFormat, TVTensor

__all__ = ["from_torchvision", "to_torchvision"]

ATTRIBUTES = {("RandomIoUCrop", "sampler_options"): "options"}
"""Parameters that torchvision keeps under another name than the constructor's."""

EXTENSIONS: Mapping[tuple[str, str], Any] = {("MixUp", "mode"): "batch", ("CutMix", "mode"): "batch"}
"""Parameters that torchvision does not have, with the one value that means what it does."""


def from_torchvision(transforms: Any) -> list[Transform]:
    """The same transforms of ours.

    Args:
        transforms: a ``v2.Compose``, an ``nn.Sequential``, a list, or one transform of ``torchvision.transforms.v2``.

    Raises:
        InvalidPipeline: some have no counterpart; lists all of them.
    """
    problems: list[Problem] = []
    made = _all_ours(_steps(transforms), "transforms", problems)
    if problems:
        raise InvalidPipeline(problems)
    return made


def to_torchvision(transforms: Iterable[Transform]) -> Any:
    """The same transforms as a ``torchvision.transforms.v2.Compose``.

    Raises:
        ModuleNotFoundError: torchvision is not installed.
        InvalidPipeline: some have no counterpart; lists all of them.
    """
    v2 = _v2()
    problems: list[Problem] = []
    made = [_theirs(v2, one, f"transforms[{i}]", problems) for i, one in enumerate(transforms)]
    if problems:
        raise InvalidPipeline(problems)
    return v2.Compose(made)


def _v2() -> ModuleType:
    try:
        return importlib.import_module("torchvision.transforms.v2")
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError("'torchvision' is not installed: pip install torchvision", name=error.name) from error


def _steps(transforms: Any) -> list[Any]:
    if type(transforms).__name__ == "Compose":
        return list(transforms.transforms)
    return list(transforms) if isinstance(transforms, nn.Sequential | list | tuple) else [transforms]


def _all_ours(steps: Iterable[Any], place: str, problems: list[Problem]) -> list[Transform]:
    made = [_ours(one, f"{place}[{i}]", problems) for i, one in enumerate(steps)]
    return [one for one in made if one is not None]


def _ours(step: Any, place: str, problems: list[Problem]) -> Transform | None:
    if isinstance(step, Transform):
        return step
    name = type(step).__name__
    kind = known_transforms().get(name)
    if kind is None or not type(step).__module__.startswith("torchvision.transforms.v2"):
        problems.append(Problem(None, place, f"{name} is {_stranger(step, known=kind is not None)}"))
        return None
    before = len(problems)
    given = {one: _argument(step, name, one, f"{place}.{name}", problems) for one in parameters(kind)}
    if len(problems) > before:
        return None
    try:
        if name == "Lambda":
            return kind(step.lambd, *step.types)
        return kind(**{one: value for one, value in given.items() if (name, one) not in EXTENSIONS})
    except (TypeError, ValueError) as error:
        problems.append(Problem(None, f"{place}.{name}", str(error)))
        return None


def _stranger(step: Any, *, known: bool) -> str:
    if known and type(step).__module__.startswith("torchvision.transforms"):
        return f"of torchvision's first version; torchvision.transforms.v2 has {type(step).__name__} too"
    function = callable(step) and not isinstance(step, nn.Module)
    return f"no transform of torchvision.transforms.v2{'; Lambda makes one of a function' if function else ''}"


def _argument(step: Any, name: str, parameter: str, place: str, problems: list[Problem]) -> Any:
    if (name, parameter) in EXTENSIONS:
        return EXTENSIONS[name, parameter]
    if parameter == "transforms":
        return _all_ours(step.transforms, f"{place}.transforms", problems)
    if parameter == "labels_getter":
        return _labels_getter(step)
    if (name, parameter) == ("RandomErasing", "value") and step.value is None:
        return "random"
    value = getattr(step, ATTRIBUTES.get((name, parameter), parameter))
    if (name, parameter) == ("RandomCrop", "padding") and value is not None:
        left, right, top, bottom = value  # torchvision keeps it in another order than it takes it
        return [left, top, right, bottom]
    return InterpolationMode(getattr(value, "value", value)) if parameter == "interpolation" else value


def _labels_getter(step: Any) -> Any:
    if hasattr(step, "labels_getter"):
        return step.labels_getter
    parsed = step._labels_getter  # MixUp and CutMix keep nothing else
    return "default" if getattr(parsed, "__name__", "") == "_find_labels_default_heuristic" else parsed


def _theirs(v2: ModuleType, step: Transform, place: str, problems: list[Problem]) -> Any:
    name = type(step).__name__
    place = f"{place}.{name}"
    if not hasattr(v2, name):
        problems.append(Problem(None, place, "torchvision has no such transform"))
        return None
    given: dict[str, Any] = {}
    for one, value in step.arguments.items():
        if (name, one) not in EXTENSIONS:
            given[one] = _value(v2, value, f"{place}.{one}", problems)
        elif value != EXTENSIONS[name, one]:
            problems.append(Problem(None, f"{place}.{one}", f"{value!r} is nothing that torchvision has"))
    if isinstance(step, Lambda):
        return v2.Lambda(step.lambd, *map(_kind, step.types))
    return getattr(v2, name)(**given)


def _value(v2: ModuleType, value: Any, place: str, problems: list[Problem]) -> Any:
    if isinstance(value, InterpolationMode):
        return v2.InterpolationMode(value.value)
    if isinstance(value, BoundingBoxFormat):
        return value.name
    if isinstance(value, Transform):
        return _theirs(v2, value, place, problems)
    if isinstance(value, Mapping):
        return {_kind(key): _value(v2, item, place, problems) for key, item in value.items()}
    if isinstance(value, tuple) and any(isinstance(item, Transform) for item in value):
        return [_value(v2, item, f"{place}[{i}]", problems) for i, item in enumerate(value)]
    if type(value).__name__ == "AutoAugmentPolicy":
        return v2.AutoAugmentPolicy(value.value)
    return list(value) if isinstance(value, tuple) else value


def _kind(key: Any) -> Any:
    if isinstance(key, type) and issubclass(key, TVTensor):
        return getattr(importlib.import_module("torchvision.tv_tensors"), key.__name__)
    return key
