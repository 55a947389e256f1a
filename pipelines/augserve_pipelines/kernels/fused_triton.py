"""Steps of arithmetic that torch's loops on the CPU take too, for kernels that give their bytes."""

from __future__ import annotations

import triton
import triton.language as tl

__all__ = ["as_bytes", "fused", "nearest_integer"]


@triton.jit
def fused(a, b, c, INTERPRETED: tl.constexpr):
    """``a * b + c``, rounded once.

    Triton's interpreter would round twice, so there it is computed in float64: which is the same but where a sum lies
    within 2**-29 of its own size of the middle between two floats.
    """
    if INTERPRETED:
        return (a.to(tl.float64) * b + c).to(tl.float32)
    return tl.fma(a, b, c)


@triton.jit
def nearest_integer(x):
    """Rounded half to even: from 2**23 on floats are whole numbers."""
    size = tl.abs(x)
    whole = (size + 8388608.0) - 8388608.0
    return tl.where(size < 8388608.0, tl.where(x < 0.0, -whole, whole), x)


@triton.jit
def as_bytes(values):
    """Rounded half to even and cut to the lowest eight bits, as torch does by way of int32; what is not finite is 0."""
    whole = nearest_integer(values)
    return tl.where(tl.abs(whole) < 2147483648.0, whole, 0.0).to(tl.int32).to(tl.uint8)
