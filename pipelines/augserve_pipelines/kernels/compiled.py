"""Compile loops over pixels: IEEE arithmetic as written, without the GIL, kept on disk between processes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numba
from numba.core import types
from numba.extending import intrinsic

Loop = TypeVar("Loop", bound=Callable[..., Any])


def compiled(loop: Loop) -> Loop:
    """``loop``, compiled at its first call for the types it is given (seconds), or loaded from disk (milliseconds).

    Floats are added and multiplied as written: nothing is reordered, and only :func:`fma` fuses. A division by zero is
    an infinity or a NaN.
    """
    try:
        return _njit(loop, cache=True)
    except RuntimeError:  # numba found no folder that it may write to
        return _njit(loop, cache=False)


def _njit(loop: Loop, cache: bool) -> Loop:
    return cast(Loop, numba.njit(nogil=True, error_model="numpy", cache=cache)(loop))


def _fma(context: Any, a: Any, b: Any, c: Any) -> Any:
    """``a * b + c`` of float32 with one rounding: what ``torch.add(c, a, alpha=b)`` computes on the CPU."""
    return types.float32(types.float32, types.float32, types.float32), _emit("fma")


def _select(context: Any, condition: Any, a: Any, b: Any) -> Any:
    """``a if condition else b`` of float32 without a branch, so that the loop around it becomes vector instructions."""
    return types.float32(types.boolean, types.float32, types.float32), _emit("select")


def _emit(instruction: str) -> Callable[[Any, Any, Any, Any], Any]:
    return lambda context, builder, signature, operands: getattr(builder, instruction)(*operands)


# What the two above describe to the compiler, for loops to call.
fma: Callable[[Any, Any, Any], Any] = cast(Any, intrinsic(_fma))
select: Callable[[Any, Any, Any], Any] = cast(Any, intrinsic(_select))
