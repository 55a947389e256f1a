"""A batch of samples of any shapes: those of one shape lie together in one dense block."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from torch import Tensor

from augserve_pipelines.errors import ShapesDiffer
from augserve_pipelines.frames import IntArray

if TYPE_CHECKING:
    from augserve_pipelines.records import Record


@dataclass(frozen=True, slots=True)
class Block:
    """Samples of one shape and dtype: ``data[k]`` is sample ``rows[k]`` of the batch."""

    rows: IntArray  # [n]
    data: Tensor  # [n, C, H, W]


class Batch(Sequence[Tensor]):
    """N samples; ``batch[i]`` is sample ``i``, ``[C, h, w]``, a view of the block that holds it.

    ``seeds`` are the seeds the samples were drawn with, ``records`` what was done to each, where that was asked for.
    """

    def __init__(self, blocks: Sequence[Block], seeds: Sequence[int] = ()) -> None:
        self.seeds = list(seeds)
        self.records: Sequence[Record] = ()
        self._blocks: tuple[Block, ...] | None = tuple(blocks)
        self._views: list[Tensor] | None = None
        self._length = sum(len(block.rows) for block in blocks)

    @classmethod
    def of(cls, images: Sequence[Tensor]) -> Batch:
        """A batch over images ``[C, H, W]`` as they lie, each a block of its own: nothing is copied."""
        batch = cls([])
        batch._blocks, batch._views, batch._length = None, list(images), len(images)
        return batch

    @property
    def blocks(self) -> tuple[Block, ...]:
        """The dense blocks that the samples lie in."""
        if self._blocks is None:
            self._blocks = tuple(Block(np.array([i]), image.unsqueeze(0)) for i, image in enumerate(self._samples()))
        return self._blocks

    def __len__(self) -> int:
        return self._length

    def __getitem__(self, index: int) -> Tensor:  # type: ignore[override]  # slices would need a second shape of answer
        if not -self._length <= index < self._length:
            raise IndexError(f"sample {index} of a batch of {self._length}")
        return self._samples()[index % self._length]

    def __iter__(self) -> Iterator[Tensor]:
        return iter(self._samples())

    def stack(self) -> Tensor:
        """All samples as one dense tensor ``[N, C, h, w]``, without a copy where they lie so already.

        Raises:
            ShapesDiffer: the samples have more than one shape or dtype; the message names them.
        """
        if len(self.blocks) != 1:
            kinds = sorted({f"{[*block.data.shape[1:]]} {block.data.dtype}" for block in self.blocks})
            raise ShapesDiffer(f"{self._length} samples have {len(kinds)} shapes and cannot be stacked: {kinds}")
        block = self.blocks[0]
        if np.array_equal(block.rows, np.arange(len(block.rows))):
            return block.data
        return block.data[np.argsort(block.rows)]

    def _samples(self) -> list[Tensor]:
        if self._views is None:
            places = [row for block in self.blocks for row in block.rows.tolist()]
            views = dict(zip(places, (view for block in self.blocks for view in block.data.unbind()), strict=True))
            self._views = [views[row] for row in range(self._length)]
        return self._views
