"""Sixteen values at a time, as LLVM's vectors, for compiled loops that the compiler makes no vectors of by itself.

Addresses are integers, and nothing checks them. Loads take more bytes than are used, as each function says. On CPUs
with AVX-512 or AVX2 one instruction sums pairs of 16-bit products; elsewhere LLVM takes what there is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Final

import llvmlite.binding
from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic, models, register_model

__all__ = ["across", "clipped", "copy", "down", "planes", "splat", "standardized", "store", "store_half", "store_rows"]

_BYTE, _WORD, _INT, _FLOAT = ir.IntType(8), ir.IntType(16), ir.IntType(32), ir.FloatType()
_SUMS: Final = ir.VectorType(_INT, 16)
_FLOATS: Final = ir.VectorType(_FLOAT, 16)

# Of four pixels in 16 bytes, channel by channel, the first two and the last two; two of eight places are for nothing.
_FIRST_TWO: Final = (0, 3, 1, 4, 2, 5, 12, 13)
_LAST_TWO: Final = (6, 9, 7, 10, 8, 11, 14, 15)


class _Sixteen(types.Type):
    """Sixteen values of an LLVM type, as numba's variables hold them."""

    def __init__(self, of: Any) -> None:
        super().__init__(f"Sixteen({of})")
        self.vector = ir.VectorType(of, 16)


class _SixteenModel(models.PrimitiveModel):  # type: ignore[misc]  # numba has no types
    def __init__(self, manager: Any, of: Any) -> None:
        super().__init__(manager, of, of.vector)


register_model(_Sixteen)(_SixteenModel)
_sums, _bytes, _floats = _Sixteen(_INT), _Sixteen(_BYTE), _Sixteen(_FLOAT)
_address, _int32, _float32 = types.intp, types.int32, types.float32


def _splat(context: Any, value: Any) -> Any:
    """Sixteen times the same int32."""
    return _sums(_int32), _emit(lambda builder, value: _all(builder, value, 16))


def _across(context: Any, sums: Any, row0: Any, row1: Any, row2: Any, row3: Any, weights: Any) -> Any:
    """Add four neighbouring pixels of four rows, weighted: to red, green, blue and nothing of each row.

    ``row0`` to ``row3`` are the addresses of the first of four pixels of three bytes; 16 bytes are read of each.
    ``weights`` is the address of four int16.
    """

    def emit(builder: Any, sums: Any, *operands: Any) -> Any:
        *rows, weights = operands
        loaded = [_load(builder, row, _BYTE, 16) for row in rows]
        pixels = _joined(builder, *(_joined(builder, *pair) for pair in (loaded[:2], loaded[2:])))
        for place, order in enumerate((_FIRST_TWO, _LAST_TWO)):
            picked = _shuffled(builder, pixels, pixels, (16 * row + i for row in range(4) for i in order))
            sums = _add_products(builder, sums, picked, builder.add(weights, ir.Constant(weights.type, 4 * place)))
        return sums

    return _sums(_sums, _address, _address, _address, _address, _address), _emit(emit)


def _down(context: Any, sums: Any, row0: Any, row1: Any, weights: Any) -> Any:
    """Add 16 bytes of two rows, weighted; ``weights`` is the address of two int16."""

    def emit(builder: Any, sums: Any, row0: Any, row1: Any, weights: Any) -> Any:
        rows = _load(builder, row0, _BYTE, 16), _load(builder, row1, _BYTE, 16)
        pairs = _shuffled(builder, *rows, (i + 16 * row for i in range(16) for row in range(2)))
        return _add_products(builder, sums, pairs, weights)

    return _sums(_sums, _address, _address, _address), _emit(emit)


def _clipped(context: Any, sums: Any, bits: Any) -> Any:
    """The sums without their lowest bits, as bytes from 0 to 255."""

    def emit(builder: Any, sums: Any, bits: Any) -> Any:
        values = builder.ashr(sums, _all(builder, bits, 16))
        least, most = (ir.Constant(_SUMS, [bound] * 16) for bound in (0, 255))
        values = builder.select(builder.icmp_signed(">", values, least), values, least)
        values = builder.select(builder.icmp_signed("<", values, most), values, most)
        return builder.trunc(values, ir.VectorType(_BYTE, 16))

    return _bytes(_sums, _int32), _emit(emit)


def _store_rows(context: Any, values: Any, row0: Any, row1: Any, row2: Any, row3: Any) -> Any:
    """Write four bytes to each of four rows."""

    def emit(builder: Any, values: Any, *rows: Any) -> None:
        pixels = builder.bitcast(values, ir.VectorType(_INT, 4))
        for place, row in enumerate(rows):
            _write(builder, builder.extract_element(pixels, ir.Constant(_INT, place)), row)

    return types.none(_bytes, _address, _address, _address, _address), _emit(emit)


def _store(context: Any, values: Any, address: Any) -> Any:
    """Write sixteen values."""
    return types.none(values, _address), _emit(_write)


def _store_half(context: Any, values: Any, address: Any) -> Any:
    """Write sixteen float32 as float16, rounded to the nearest."""

    def emit(builder: Any, values: Any, address: Any) -> None:
        _write(builder, builder.fptrunc(values, ir.VectorType(ir.HalfType(), 16)), address)

    return types.none(_floats, _address), _emit(emit)


def _copy(context: Any, target: Any, source: Any, count: Any) -> Any:
    """Copy bytes from one address to another."""

    def emit(builder: Any, target: Any, source: Any, count: Any) -> None:
        ends = (builder.inttoptr(address, _BYTE.as_pointer()) for address in (target, source))
        cgutils.raw_memcpy(builder, *ends, count, 1)

    return types.none(_address, _address, _address), _emit(emit)


def _planes(context: Any, address: Any, channel: Any, mirrored: Any) -> Any:
    """The bytes of one channel of 16 pixels of three bytes, of which 48 are read; or from the last pixel to the first.

    ``channel`` and ``mirrored`` are literals.
    """
    step = -1 if mirrored.literal_value else 1
    places = [3 * pixel + channel.literal_value for pixel in range(16)][::step]

    def emit(builder: Any, address: Any, *_: Any) -> Any:
        first, last = (_load(builder, builder.add(address, ir.Constant(address.type, at)), _BYTE, 32) for at in (0, 16))
        return _shuffled(builder, first, last, (at if at < 32 else at + 16 for at in places))

    return _bytes(_address, channel, mirrored), _emit(emit)


def _standardized(context: Any, values: Any, scale: Any, mean: Any, deviation: Any, inverse: Any) -> Any:
    """``(value * scale - mean) / deviation`` of bytes, each step rounded to float32.

    ``inverse`` is ``1 / deviation``, rounded. The quotient is P. Markstein's ("Computation of elementary functions on
    the IBM RISC System/6000 processor", 1990): exact where no step leaves the range of normal numbers.
    """

    def emit(builder: Any, values: Any, *operands: Any) -> Any:
        scale, mean, deviation, inverse = (_all(builder, operand, 16) for operand in operands)
        floats = builder.uitofp(values, _FLOATS)
        shifted = builder.fsub(builder.fmul(floats, scale), mean)
        quotient = builder.fmul(shifted, inverse)
        rest = _call(builder, "llvm.fma.v16f32", _FLOATS, builder.fneg(quotient), deviation, shifted)
        return _call(builder, "llvm.fma.v16f32", _FLOATS, rest, inverse, quotient)

    return _floats(_bytes, _float32, _float32, _float32, _float32), _emit(emit)


def _add_products(builder: Any, sums: Any, values: Any, weights: Any) -> Any:
    """``sums[i] + values[2i] * weights[0] + values[2i + 1] * weights[1]`` of 32 bytes and two int16 at an address."""
    words = builder.zext(values, ir.VectorType(_WORD, 32))
    both = _all(builder, builder.load(builder.inttoptr(weights, _INT.as_pointer()), align=2), 16)
    return builder.add(sums, _sums_of_pairs(builder, words, builder.bitcast(both, ir.VectorType(_WORD, 32))))


def _sums_of_pairs(builder: Any, a: Any, b: Any) -> Any:
    features = llvmlite.binding.get_host_cpu_features()
    if features.get("avx512bw"):
        return _call(builder, "llvm.x86.avx512.pmaddw.d.512", _SUMS, a, b)
    if features.get("avx2"):
        eight = ir.VectorType(_INT, 8)
        halves = [[_shuffled(builder, x, x, part) for x in (a, b)] for part in (range(16), range(16, 32))]
        return _joined(builder, *(_call(builder, "llvm.x86.avx2.pmadd.wd", eight, *half) for half in halves))
    even, odd = (
        builder.mul(*(builder.sext(_shuffled(builder, x, x, range(first, 32, 2)), _SUMS) for x in (a, b)))
        for first in (0, 1)
    )
    return builder.add(even, odd)


def _call(builder: Any, name: str, result: Any, *operands: Any) -> Any:
    kind = ir.FunctionType(result, [operand.type for operand in operands])
    return builder.call(cgutils.get_or_insert_function(builder.module, kind, name), operands)


def _load(builder: Any, address: Any, of: Any, count: int) -> Any:
    return builder.load(builder.inttoptr(address, ir.VectorType(of, count).as_pointer()), align=1)


def _write(builder: Any, values: Any, address: Any) -> None:
    builder.store(values, builder.inttoptr(address, values.type.as_pointer()), align=1)


def _all(builder: Any, value: Any, count: int) -> Any:
    nothing = ir.Constant(ir.VectorType(value.type, count), ir.Undefined)
    first = builder.insert_element(nothing, value, ir.Constant(_INT, 0))
    return _shuffled(builder, first, nothing, [0] * count)


def _joined(builder: Any, first: Any, second: Any) -> Any:
    return _shuffled(builder, first, second, range(2 * first.type.count))


def _shuffled(builder: Any, first: Any, second: Any, places: Iterable[int]) -> Any:
    order = list(places)
    return builder.shuffle_vector(first, second, ir.Constant(ir.VectorType(_INT, len(order)), order))


def _emit(instructions: Callable[..., Any]) -> Callable[..., Any]:
    def generate(context: Any, builder: Any, signature: Any, operands: Any) -> Any:
        made = instructions(builder, *operands)
        return context.get_dummy_value() if made is None else made

    return generate


# What the functions above describe to the compiler, for loops to call.
splat: Any = intrinsic(_splat)
across: Any = intrinsic(_across)
down: Any = intrinsic(_down)
clipped: Any = intrinsic(_clipped)
store_rows: Any = intrinsic(_store_rows)
store: Any = intrinsic(_store)
copy: Any = intrinsic(_copy)
store_half: Any = intrinsic(_store_half)
planes: Any = intrinsic(prefer_literal=True)(_planes)
standardized: Any = intrinsic(_standardized)
