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


def fill(keys: NDArray[np.uint32], places: NDArray[np.int64], out: NDArray[np.uint32]) -> None:
    """Write the next words of each stream, ``[N, count]``; ``keys`` ``[N, 624]`` and ``places`` ``[N]`` move on."""
    _fill(keys, places, out)


@compiled
def _seed(keys: Any, seeds: Any) -> None:
    for i in range(len(seeds)):
        word = seeds[i]
        keys[i, 0] = word
        for k in range(1, WORDS):
            word = np.uint32(np.uint32(1812433253) * (word ^ (word >> np.uint32(30))) + np.uint32(k))
            keys[i, k] = word


@compiled
def _fill(keys: Any, places: Any, out: Any) -> None:
    for i in range(len(places)):
        key, place = keys[i], places[i]
        for k in range(out.shape[1]):
            if place == WORDS:
                _twist(key)
                place = 0
            word = key[place]
            word ^= word >> np.uint32(11)
            word ^= (word << np.uint32(7)) & np.uint32(0x9D2C5680)
            word ^= (word << np.uint32(15)) & np.uint32(0xEFC60000)
            out[i, k] = word ^ (word >> np.uint32(18))
            place += 1
        places[i] = place


@compiled
def _twist(key: Any) -> None:
    for j in range(WORDS):
        both = (key[j] & np.uint32(0x80000000)) | (key[(j + 1) % WORDS] & np.uint32(0x7FFFFFFF))
        mixed = key[(j + _AHEAD) % WORDS] ^ (both >> np.uint32(1))
        key[j] = mixed ^ np.uint32(0x9908B0DF) if both & np.uint32(1) else mixed
