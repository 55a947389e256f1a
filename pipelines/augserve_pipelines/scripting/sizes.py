"""Integers that may be symbols while a program is being exported.

What is computed here is computed without asking which of two values is greater, so that the exported program holds for
all sizes and not only for those on the same side of a comparison as the example.
"""

import torch
from torch.fx.experimental.symbolic_shapes import statically_known_true

# Functions that TorchScript compiles cannot hold comments for mypy.
# mypy: disable-error-code="attr-defined, no-untyped-call"

__all__ = ["decomposes", "greatest", "half_to_even", "holds", "least", "nearest"]


def least(a: int, b: int) -> int:
    """The lesser."""
    if torch.jit.is_scripting():
        return min(a, b)
    lesser: int = torch.sym_min(a, b)
    return lesser


def greatest(a: int, b: int) -> int:
    """The greater."""
    if torch.jit.is_scripting():
        return max(a, b)
    more: int = torch.sym_max(a, b)
    return more


def half_to_even(value: int) -> int:
    """``round(value / 2)`` in integers."""
    half = value // 2
    return half + (value % 2) * (half % 2)


def nearest(value: float) -> int:
    """The nearest integer, half to even."""
    return int(round(value))  # noqa: RUF046  # TorchScript's round gives a float


def holds(condition: bool) -> bool:
    """Whether a condition on sizes holds; False where that is unknown, as the sizes are symbols."""
    if torch.jit.is_scripting():
        return condition
    return statically_known_true(condition)


def decomposes() -> bool:
    """Whether torch may run other operations for one: while ``torch.compile`` traces, but not while exporting."""
    if torch.jit.is_scripting():
        return False
    return torch.compiler.is_compiling() and not torch.compiler.is_exporting()
