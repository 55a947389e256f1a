"""What transforms do while ``torch.compile`` or ``torch.export`` traces them."""

from typing import Any

import torch
from torch import Tensor

from augserve_pipelines.scripting.form import Form
from augserve_pipelines.scripting.table import form_of
from augserve_pipelines.tv_tensors import TVTensor

__all__ = ["compiled"]


def compiled(transform: Any, inputs: tuple[Any, ...]) -> Any:
    """What a transform makes of its inputs, for a compiler that follows every step.

    One tensor goes through the form of the transform, as far as it has one that draws nothing. Anything else is done
    eagerly, by a break of the graph, since a compiler can follow neither draws nor structures to the same bytes.

    Raises:
        RuntimeError: a program that is being exported cannot be broken.
    """
    if len(inputs) == 1 and _is_pure(inputs[0]):
        form = form_of(transform)
        settled = form.settled() if isinstance(form, Form) else None
        if settled is not None:
            return settled(inputs[0])
    if torch.compiler.is_exporting():
        raise RuntimeError(f"{type(transform).__name__} cannot be exported: it draws, or is not of tensors alone")
    return _run(transform, inputs)


def _is_pure(leaf: Any) -> bool:
    """Whether this is a tensor that is marked as nothing; exporters pass tensors of classes of their own."""
    return type(leaf) is Tensor or (
        torch.compiler.is_exporting() and isinstance(leaf, Tensor) and not isinstance(leaf, TVTensor)
    )


def _run_eagerly(transform: Any, inputs: tuple[Any, ...]) -> Any:
    return transform.eagerly(*inputs)


_run = torch.compiler.disable(_run_eagerly, reason="it draws, or takes more than one tensor")  # type: ignore[no-untyped-call]  # of torch
