"""Random streams: one per sample, each exactly torch's CPU generator under that sample's seed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from augserve_pipelines import mersenne
from augserve_pipelines.kernels.compiled import compiled
from augserve_pipelines.kernels.uniform import uniform_of

T = TypeVar("T")

Rows = NDArray[np.bool_] | NDArray[np.int64]

# Words drawn ahead: enough for most chains, as ten attempts of a crop take 20 and a colour jitter 7.
_AHEAD = 64

# torch draws 64 bits for an integer range from here on.
_WIDE_RANGE = 1 << 28

_BITS_24, _SCALE_24 = np.uint32(0xFFFFFF), np.float32(2.0**-24)

# Offsets in torch's serialised CPU generator: left, next, and the 624 words of the key.
_LEFT, _NEXT, _KEY = slice(8, 12), slice(16, 24), slice(24, 24 + 624 * 8)


@dataclass(frozen=True, slots=True)
class Stream:
    """A place in a lane, for what is too large to draw before it is needed: ``state`` is that of torch's generator."""

    state: torch.Tensor  # bytes

    def generator(self) -> torch.Generator:
        """A generator that stands there."""
        generator = torch.Generator()
        generator.set_state(self.state)
        return generator


class Lanes:
    """N random streams that advance together.

    Lane ``i`` gives what ``torch.manual_seed(seeds[i])`` and torch's own calls give: the words of MT19937, mapped to
    values as ATen maps them. ``lanes[rows]`` is a view: what is drawn from it advances those lanes, and no others.

    Args:
        seeds: one for each lane.
        probing: whether ``streams`` leaves the lanes where they are: for those who only want to know what would come
            out of a pipeline.
    """

    def __init__(self, seeds: Sequence[int], *, probing: bool = False) -> None:
        self._streams = _Streams(seeds)
        self._rows = np.arange(len(seeds))
        self.probing = probing

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, rows: Rows) -> Lanes:
        view = Lanes.__new__(Lanes)
        view._streams = self._streams
        view._rows = self._rows[rows]
        view.probing = self.probing
        return view

    def rand(self) -> NDArray[np.float32]:
        """``torch.rand(1)`` of every lane, float32 in [0, 1)."""
        return _unit(self._word())

    def uniform(self, low: ArrayLike, high: ArrayLike) -> NDArray[np.float32]:
        """``torch.empty(1).uniform_(low, high)`` of every lane; ``low`` and ``high`` may be ``[N]`` arrays."""
        return uniform_of(self._word(), low, high)

    def integers(self, low: ArrayLike, high: ArrayLike) -> NDArray[np.int64]:
        """``torch.randint(low, high, (1,))`` of every lane, ``high`` excluded; both may be ``[N]`` arrays."""
        low, span = np.asarray(low, np.int64), np.asarray(high, np.int64) - np.asarray(low, np.int64)
        if not len(self):
            return np.empty(0, np.int64)
        if span.min() <= 0:
            raise ValueError(f"an empty range of integers, {low} to {low + span}")
        if span.max() >= _WIDE_RANGE:
            return self._wide_integers(*np.broadcast_arrays(low, span, np.empty(len(self)))[:2])
        drawn: NDArray[np.int64] = low + self._word() % span
        return drawn

    def permutation(self, count: int) -> NDArray[np.int64]:
        """``torch.randperm(count)`` of every lane, ``[N, count]``."""
        order = np.tile(np.arange(count), (len(self), 1))
        if count < 2:
            return order
        words = self._words(count - 1)
        lanes = np.arange(len(self))
        for place in range(count - 1):
            other = place + (words[:, place] % np.uint32(count - place)).astype(np.int64)
            order[lanes, place], order[lanes, other] = order[lanes, other], order[lanes, place]
        return order

    def normal(self, *shape: int) -> list[torch.Tensor]:
        """``torch.empty(shape).normal_()`` of every lane, float32."""
        return self.each(lambda generator, _: torch.empty(shape).normal_(generator=generator))

    def each(self, draw: Callable[[torch.Generator, int], T]) -> list[T]:
        """``draw(generator, i)`` for every lane ``i``, with a torch generator that stands where the lane stands.

        For the draws that are not words mapped one by one: normals, ``multinomial``, Dirichlet. The lane goes on from
        where the generator ends.
        """
        results = []
        for i, row in enumerate(self._rows.tolist()):
            generator = self._streams.generator(row)
            results.append(draw(generator, i))
            self._streams.resume(row, generator)
        return results

    def streams(self, draw: Callable[[torch.Generator, int], Any]) -> NDArray[np.object_]:
        """Where each lane stands, ``[N]`` of Stream; then lane ``i`` goes on past what ``draw(generator, i)`` takes.

        For noise as large as an image: it is drawn again where it is needed, and not held for a whole batch.
        """
        if self.probing:
            return _column([Stream(torch.Generator().get_state())] * len(self))

        def fork(generator: torch.Generator, i: int) -> Stream:
            stream = Stream(generator.get_state())
            draw(generator, i)
            return stream

        return _column(self.each(fork))

    def peek(self, count: int) -> NDArray[np.uint32]:
        """The next ``count`` words of every lane, ``[N, count]``, which are drawn again unless they are skipped."""
        return self._streams.ahead(self._rows, count)

    def skip(self, counts: NDArray[np.int64]) -> None:
        """Go on by so many words, ``[N]``."""
        self._streams.skip(self._rows, counts)

    def _wide_integers(self, low: NDArray[np.int64], span: NDArray[np.int64]) -> NDArray[np.int64]:
        values = np.empty(len(self), np.uint64)
        wide = span >= _WIDE_RANGE
        values[~wide] = self[~wide]._word()
        pairs = self[wide]._words(2).astype(np.uint64)
        values[wide] = pairs[:, 0] << np.uint64(32) | pairs[:, 1]
        drawn: NDArray[np.int64] = low + (values % span.astype(np.uint64)).astype(np.int64)
        return drawn

    def _word(self) -> NDArray[np.uint32]:
        return self._words(1)[:, 0]  # [N]

    def _words(self, count: int) -> NDArray[np.uint32]:
        return self._streams.take(self._rows, count)  # [N, count]


class GlobalLane(Lanes):
    """The one lane of eager use: draws come from torch's global CPU generator."""

    def __init__(self) -> None:
        super().__init__([0])

    def __getitem__(self, rows: Rows) -> Lanes:
        return self if len(self._rows[rows]) else Lanes([])

    def rand(self) -> NDArray[np.float32]:
        return torch.rand(1).numpy()

    def uniform(self, low: ArrayLike, high: ArrayLike) -> NDArray[np.float32]:
        return torch.empty(1).uniform_(_first(low), _first(high)).numpy()

    def integers(self, low: ArrayLike, high: ArrayLike) -> NDArray[np.int64]:
        return torch.randint(int(_first(low)), int(_first(high)), (1,)).numpy()

    def permutation(self, count: int) -> NDArray[np.int64]:
        return torch.randperm(count).numpy()[None]

    def each(self, draw: Callable[[torch.Generator, int], T]) -> list[T]:
        return [draw(torch.default_generator, 0)]

    def peek(self, count: int) -> NDArray[np.uint32]:
        streams = _Streams([0])
        streams.resume(0, torch.default_generator)
        return streams.ahead(self._rows, count)

    def skip(self, counts: NDArray[np.int64]) -> None:
        torch.rand(int(counts[0]))  # one word each


class _Streams:
    """The words of N streams, drawn ahead in blocks, and how many of each stream are used."""

    def __init__(self, seeds: Sequence[int]) -> None:
        self._seeds = np.array([seed & 0xFFFFFFFF for seed in seeds], np.uint32)
        self._states: dict[int, torch.Tensor] = {}  # of the torch generators that lanes went on from
        self._before = np.zeros(len(seeds), np.int64)  # words used since then, or since the seed, and dropped
        self._keys = np.empty((len(seeds), mersenne.WORDS), np.uint32)
        self._places = np.full(len(seeds), mersenne.WORDS)
        self._twisted = self._places.copy()
        self._ahead = np.empty((len(seeds), _AHEAD), np.uint32)
        self._used = np.zeros(len(seeds), np.int64)  # of the words drawn ahead
        self._most_used = 0  # an upper bound of it
        mersenne.seed(self._keys, self._seeds)
        self._fill(slice(None), self._ahead)

    def take(self, rows: NDArray[np.int64], count: int) -> NDArray[np.uint32]:
        taken = self.ahead(rows, count)
        self._most_used += count
        self._used[rows] += count
        return taken

    def ahead(self, rows: NDArray[np.int64], count: int) -> NDArray[np.uint32]:
        if self._most_used + count > self._ahead.shape[1]:
            self._draw_ahead(count)
        following = np.empty((len(rows), count), np.uint32)
        _copy_following(self._ahead, rows, self._used, following)
        return following

    def skip(self, rows: NDArray[np.int64], counts: NDArray[np.int64]) -> None:
        self._most_used += int(counts.max(initial=0))
        self._used[rows] += counts

    def generator(self, row: int) -> torch.Generator:
        generator = torch.Generator()
        if row in self._states:
            generator.set_state(self._states[row])
        else:
            generator.manual_seed(int(self._seeds[row]))
        torch.rand(int(self._before[row] + self._used[row]), generator=generator)  # one word each
        return generator

    def resume(self, row: int, generator: torch.Generator) -> None:
        self._states[row] = generator.get_state()
        self._keys[row], self._places[row] = _key_and_place(self._states[row])
        self._twisted[row] = mersenne.WORDS
        self._before[row] = self._used[row] = 0
        self._fill(slice(row, row + 1), self._ahead[row : row + 1])

    def _fill(self, rows: slice, out: NDArray[np.uint32]) -> None:
        mersenne.fill(self._keys[rows], self._places[rows], self._twisted[rows], out)

    def _draw_ahead(self, count: int) -> None:
        """Drop the words that every stream has used, and draw at least ``count`` more where some stream needs them."""
        dropped = int(self._used.min(initial=self._ahead.shape[1]))
        kept = self._ahead[:, dropped:]
        fresh = np.empty((len(kept), max(count, _AHEAD)), np.uint32)
        self._fill(slice(None), fresh)
        self._ahead = np.concatenate([kept, fresh], axis=1)
        self._used -= dropped
        self._before += dropped
        self._most_used = int(self._used.max(initial=0))


@compiled
def _copy_following(ahead: Any, rows: Any, used: Any, out: Any) -> None:
    """The words of these rows from the first unused one on: by numpy's indices 3 us for 8 streams, so 1."""
    for i in range(len(rows)):
        for k in range(out.shape[1]):
            out[i, k] = ahead[rows[i], used[rows[i]] + k]


def _column(values: Sequence[object]) -> NDArray[np.object_]:
    return np.fromiter(values, object, len(values))


def _key_and_place(state: torch.Tensor) -> tuple[NDArray[np.uint32], int]:
    raw = state.numpy().tobytes()
    left, following = int.from_bytes(raw[_LEFT], "little"), int.from_bytes(raw[_NEXT], "little")
    key = np.frombuffer(raw[_KEY], np.uint64).astype(np.uint32)
    return key, mersenne.WORDS if left == 1 else following


def _unit(words: NDArray[np.uint32]) -> NDArray[np.float32]:
    return (words & _BITS_24).astype(np.float32) * _SCALE_24


def _first(value: ArrayLike) -> float:
    return float(np.ravel(value)[0])
