"""Mutations of bytes that know nothing of a format: flips, cuts, splices, and numbers where lengths may stand."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import TypeAlias

Mutation: TypeAlias = Callable[[random.Random, bytes], bytes]

INTERESTING = (0, 1, 2, 7, 8, 127, 128, 255, 256, 32767, 32768, 65535, 65536, 2**24, 2**31 - 1, 2**31, 2**32 - 1)
"""Where counters and signs overflow."""


def place(chance: random.Random, data: bytes) -> int:
    """A position, more often near the beginning, where headers are."""
    return chance.randrange(min(len(data), chance.choice((32, 128, 512, 1 << 30)))) if data else 0


def flip_bits(chance: random.Random, data: bytes) -> bytes:
    changed = bytearray(data)
    for _ in range(chance.choice((1, 1, 2, 4, 16)) if data else 0):
        changed[place(chance, data)] ^= 1 << chance.randrange(8)
    return bytes(changed)


def set_bytes(chance: random.Random, data: bytes) -> bytes:
    changed = bytearray(data)
    for _ in range(chance.choice((1, 1, 2, 4, 16)) if data else 0):
        changed[place(chance, data)] = chance.choice((0, 1, 127, 128, 254, 255, chance.randrange(256)))
    return bytes(changed)


def set_number(chance: random.Random, data: bytes) -> bytes:
    """A number of 2, 4 or 8 bytes in either order, set to what overflows, or to about what it was."""
    size, order = chance.choice((2, 4, 4, 8)), chance.choice(("big", "little"))
    at = place(chance, data)
    old = int.from_bytes(data[at : at + size], order)
    new = chance.choice((chance.choice(INTERESTING), old + chance.choice((-1, 1, 2, 16, 256)), old * 2, len(data)))
    return data[:at] + (new % (1 << 8 * size)).to_bytes(size, order) + data[at + size :]


def cut(chance: random.Random, data: bytes) -> bytes:
    return data[: chance.randrange(len(data) + 1)]


def remove(chance: random.Random, data: bytes) -> bytes:
    start = place(chance, data)
    return data[:start] + data[start + chance.choice((1, 2, 4, 16, 64, 256)) :]


def repeat(chance: random.Random, data: bytes) -> bytes:
    start = place(chance, data)
    end = start + chance.choice((1, 4, 16, 64, 256))
    return data[:end] + data[start:end] * chance.choice((1, 1, 2, 50)) + data[end:]


def insert(chance: random.Random, data: bytes) -> bytes:
    at = place(chance, data)
    return data[:at] + chance.choice((chance.randbytes(chance.randrange(1, 65)), bytes(64), b"\xff" * 64)) + data[at:]


def move(chance: random.Random, data: bytes) -> bytes:
    """One piece of the data over another place of it."""
    source, target, size = place(chance, data), place(chance, data), chance.choice((1, 2, 4, 16, 64))
    piece = data[source : source + size]
    return data[:target] + piece + data[target + len(piece) :]


def spliced(others: Sequence[bytes]) -> Mutation:
    """The beginning of the data, then the end of another file."""

    def splice(chance: random.Random, data: bytes) -> bytes:
        other = chance.choice(others)
        return data[: chance.randrange(len(data) + 1)] + other[chance.randrange(len(other) + 1) :]

    return splice


BLIND: tuple[Mutation, ...] = (flip_bits, set_bytes, set_number, cut, remove, repeat, insert, move)
"""Every mutation that needs nothing but the data."""


def mutated(chance: random.Random, data: bytes, mutations: Sequence[Mutation]) -> bytes:
    """The data after a few mutations, most often one."""
    for _ in range(chance.choice((1, 1, 1, 2, 3, 6))):
        data = chance.choice(mutations)(chance, data)
    return data
