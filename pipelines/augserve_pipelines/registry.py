"""The transforms that a pipeline file can name."""

from __future__ import annotations

import functools
from collections.abc import Mapping

from augserve_pipelines import transforms
from augserve_pipelines.arguments import Parameter, own_words, parameters_of
from augserve_pipelines.transforms import base

__all__ = ["in_yaml", "known_transforms", "name_of", "parameters"]


@functools.cache
def known_transforms() -> Mapping[str, type[base.Transform]]:
    """The classes of ``augserve_pipelines.transforms`` by name, without the bases that only subclasses can run."""
    exported = {name: getattr(transforms, name) for name in transforms.__all__}
    return {
        name: kind
        for name, kind in exported.items()
        if isinstance(kind, type) and issubclass(kind, base.Transform) and kind.__module__ != base.__name__
    }


def parameters(kind: type[base.Transform]) -> Mapping[str, Parameter]:
    """The parameters of a transform's constructor by name, in order."""
    return parameters_of(kind.__init__)


def in_yaml(kind: type[base.Transform]) -> bool:
    """Whether a file can have the transform: a function that one of its parameters needs has no form in YAML."""
    required = (own_words(one.annotation) for one in parameters(kind).values() if one.required)
    return all(words is not None and words.example is not None for words in required)


def name_of(kind: type) -> str:
    """The name of a transform class in YAML; for a class of your own, which YAML does not know, module and name."""
    known = known_transforms().get(kind.__name__) is kind
    return kind.__name__ if known else f"{kind.__module__}.{kind.__qualname__}"
