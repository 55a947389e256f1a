"""torchvision, and a pipeline of ours as one of its own."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from augserve_pipelines import Pipeline, transforms

# torchvision's import looks two operators up that its compiled library defines. That library needs torch's CUDA build.
_torchvision = find_spec("torchvision")
assert _torchvision is not None
assert _torchvision.origin is not None
try:
    torch.ops.load_library(Path(_torchvision.origin).with_name("_C.so"))
except OSError:
    _library = torch.library.Library("torchvision", "DEF")
    _library.define("nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    _library.define("qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # that its image extension did not load: it is not needed here
    from torchvision.transforms import v2

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
