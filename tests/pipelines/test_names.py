"""Every public name of torchvision's v2 is here, with the same parameters in the same order and the same defaults."""

from __future__ import annotations

import inspect
from enum import Enum
from types import ModuleType
from typing import Any

import pytest

from augserve_pipelines import transforms
from augserve_pipelines.transforms import functional
from oracle import tv_functional, v2

# Parameters that torchvision does not have; they come last.
EXTENSIONS = {"MixUp": ["mode"], "CutMix": ["mode"]}


def names_of(namespace: ModuleType) -> list[str]:
    public = {name: getattr(namespace, name) for name in dir(namespace) if not name.startswith("_")}
    inner = f"{namespace.__name__}."  # modules that torchvision imports for itself
    return [name for name, one in public.items() if not isinstance(one, ModuleType) or one.__name__.startswith(inner)]


FUNCTIONALS, CLASSES = names_of(tv_functional), names_of(v2)


def parameters_of(function: Any) -> list[tuple[str, str, Any]]:
    parameters = inspect.signature(function).parameters.values()
    return [(one.name, one.kind.name, plain(one.default)) for one in parameters]


def plain(default: Any) -> Any:
    if isinstance(default, Enum):
        return default.value
    return tuple(map(plain, default)) if isinstance(default, list | tuple) else default


def test_all_names_are_there() -> None:
    assert len(FUNCTIONALS) == 165
    assert sorted(functional.__all__) == sorted(FUNCTIONALS)
    assert len(CLASSES) == 73
    assert set(CLASSES) <= set(transforms.__all__)
    assert set(transforms.__all__) - set(CLASSES) == {"RandomTransform"}  # the base of those with a probability


@pytest.mark.parametrize("name", [name for name in FUNCTIONALS if name != "InterpolationMode"])
def test_a_functional_has_the_parameters_of_torchvision(name: str) -> None:
    assert parameters_of(getattr(functional, name)) == parameters_of(getattr(tv_functional, name))


@pytest.mark.parametrize("name", [name for name in CLASSES if name not in ("functional", "Transform")])
def test_a_class_or_helper_has_the_parameters_of_torchvision(name: str) -> None:
    ours, theirs = getattr(transforms, name), getattr(v2, name)
    if isinstance(theirs, type) and issubclass(theirs, Enum):
        assert {one.name: one.value for one in ours} == {one.name: one.value for one in theirs}
        return
    found, expected = parameters_of(ours), parameters_of(theirs)
    assert found[: len(expected)] == expected
    assert [own for own, _, _ in found[len(expected) :]] == EXTENSIONS.get(name, [])
    assert all(default is not inspect.Parameter.empty for _, _, default in found[len(expected) :])
