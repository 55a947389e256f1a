"""Compile loops over pixels: IEEE arithmetic as written, without the GIL, kept on disk between processes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import numba
from llvmlite.ir import IRBuilder
from numba.core import types
from numba.extending import intrinsic

Loop = TypeVar("Loop", bound=Callable[..., Any])


def compiled(loop: Loop) -> Loop:
    """``loop``, compiled at its first call for the types it is given (seconds), or loaded from disk (milliseconds).

    Floats are added and multiplied as written: nothing is reordered, and only :func:`fma` fuses. A division by zero is
    an infinity or a NaN.
    """
    options = {"nogil": True, "error_model": "numpy"}
    try:
        function: Loop = numba.njit(cache=True, **options)(loop)
    except RuntimeError:  # numba found no folder that it may write to
        function = numba.njit(**options)(loop)
    return function


@intrinsic  # type: ignore[misc]  # numba has no types
def fma(context: Any, a: Any, b: Any, c: Any) -> Any:
    """``a * b + c`` of float32 with one rounding: what ``torch.add(c, a, alpha=b)`` computes on the CPU."""
    signature = types.float32(types.float32, types.float32, types.float32)
    return signature, _emit("fma")


@intrinsic  # type: ignore[misc]  # numba has no types
def select(context: Any, condition: Any, a: Any, b: Any) -> Any:
    """``a if condition else b`` of float32 without a branch, so that the loop around it becomes vector instructions."""
    signature = types.float32(types.boolean, types.float32, types.float32)
    return signature, _emit("select")


def _emit(instruction: str) -> Callable[[Any, IRBuilder, Any, Any], Any]:
    return lambda context, builder, signature, operands: getattr(builder, instruction)(*operands)
