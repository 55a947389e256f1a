"""torchvision, and a pipeline of ours as one of its own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import Tensor

from augserve_pipelines import Pipeline, transforms
from benchmarks.torchvision_v2 import v2

__all__ = ["compose", "v2"]


def compose(pipeline: Pipeline) -> Callable[[Tensor], Tensor]:
    """torchvision's transforms with the arguments of ours."""
    made: Callable[[Tensor], Tensor] = v2.Compose([_theirs(transform) for transform in pipeline.transforms])
    return made


def _theirs(value: Any) -> Any:
    if isinstance(value, transforms.Transform):
        arguments = {name: _theirs(argument) for name, argument in value.arguments.items()}
        return getattr(v2, type(value).__name__)(**arguments)
    if isinstance(value, transforms.InterpolationMode):
        return value.value
    if isinstance(value, tuple | list):
        return [_theirs(item) for item in value]
    return value
