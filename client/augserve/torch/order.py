"""The order of an epoch and the seed of each sample: pure functions of a few numbers, the same everywhere and for ever.

Both come from one hash of 64-bit words, a chain of SplitMix64's finalisers::

    mix(x) = z ^ (z >> 31), where y = x + 0x9E3779B97F4A7C15,
             z = (y ^ (y >> 30)) * 0xBF58476D1CE4E5B9, z = (z ^ (z >> 27)) * 0x94D049BB133111EB, modulo 2**64
    key(seed, epoch, purpose, index) = mix(mix(mix(mix(seed) ^ epoch) ^ purpose) ^ index)

Source: Steele, Lea, Flood, "Fast Splittable Pseudorandom Number Generators", OOPSLA 2014.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from augserve.errors import InvalidInput
from augserve.wire import SEED_LIMIT

Words: TypeAlias = NDArray[np.uint64]
Indices: TypeAlias = NDArray[np.int64]

_TO_AUGMENT, _TO_SHUFFLE = 0, 1


@dataclass(frozen=True, slots=True)
class Shard:
    """One process's part of an epoch: every ``world_size``-th sample from ``rank`` on, as with DistributedSampler."""

    rank: int = 0
    world_size: int = 1

    def __post_init__(self) -> None:
        if self.world_size < 1 or not 0 <= self.rank < self.world_size:
            raise InvalidInput(f"rank {self.rank} of {self.world_size}: ranks are 0..world_size - 1")

    def of(self, order: Indices, *, drop_last: bool) -> Indices:
        """This shard's samples; all shards get as many, by leaving the last out or by taking the first again."""
        length = len(order) // self.world_size if drop_last else -(-len(order) // self.world_size)
        return np.resize(order, length * self.world_size)[self.rank :: self.world_size]


def sample_seeds(seed: int, epoch: int, indices: Sequence[int] | Indices) -> list[int]:
    """The seeds, 0..2**63 - 1, that samples are drawn with in an epoch: ``key(seed, epoch, 0, index) >> 1``.

    Nothing else goes into them: not the order, the size of batches, the number of processes or what came before.
    """
    seeds: list[int] = (_keys(seed, epoch, _TO_AUGMENT, indices) >> np.uint64(1)).tolist()
    return seeds


def epoch_order(length: int, seed: int, epoch: int, *, shuffle: bool) -> Indices:
    """The indices of a data set as an epoch has them: sorted by ``key(seed, epoch, 1, index)`` if it is shuffled."""
    indices = np.arange(length)
    return np.argsort(_keys(seed, epoch, _TO_SHUFFLE, indices), kind="stable") if shuffle else indices


def check_seed(seed: int) -> None:
    """Raise InvalidInput for what is no seed."""
    if not 0 <= seed < SEED_LIMIT:
        raise InvalidInput(f"seed is {seed}; it is 0..{SEED_LIMIT - 1}")


def _keys(seed: int, epoch: int, purpose: int, indices: Any) -> Words:
    words = np.asarray(indices).astype(np.uint64)
    found = np.zeros(1, np.uint64)
    for word in (np.uint64(seed), np.uint64(epoch), np.uint64(purpose), words):
        found = _mixed(found ^ word)
    return found


def _mixed(words: Words) -> Words:
    words = words + np.uint64(0x9E3779B97F4A7C15)
    words = (words ^ (words >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    words = (words ^ (words >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return words ^ (words >> np.uint64(31))
