"""Augmented batches of a data set: shuffled, sharded, prefetched, and resumed where they were left."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from augserve.errors import InvalidInput
from augserve.torch.ahead import ahead, check_prefetch
from augserve.torch.augmenter import Augmenter, Batch
from augserve.torch.order import Indices, Shard, check_seed, epoch_order, sample_seeds
from augserve.torch.tickets import Pairs, Ticket

ALONE: Final = Shard()


@dataclass(slots=True)
class Cursor:
    """How far an epoch is: ``position`` of its samples, in this shard's order, have been delivered."""

    epoch: int = 0
    position: int = 0
    begun: bool = False


class AugmentedLoader:
    """Batches of a data set, augmented by the service while the ones before them are trained on.

    Each iteration is an epoch. A sample's pixels follow from ``seed``, the epoch and its index in the data set alone
    (see :func:`sample_seeds`): not from the size of batches, their order, retries, the number of processes or where an
    epoch was resumed.

    Args:
        pairs: The data set: ``pairs[i]`` is what ``Client.augment`` takes (a path, best of all) and its label. It is
            read by several threads of this process.
        augmenter: Where and how samples are augmented.
        batch_size: Samples in a batch, at least 1.
        shuffle: Whether each epoch has an order of its own, which follows from ``seed`` and the epoch.
        seed: Of all that is drawn, 0 <= seed < 2**63.
        shard: Which part of every epoch is this process's; all of it by default.
        drop_last: Whether the last batch is left out where it is not full, and what does not divide among shards.
        prefetch: Batches asked for ahead of the one that is used, at least 1.
    """

    def __init__(
        self,
        pairs: Pairs,
        augmenter: Augmenter,
        *,
        batch_size: int = 64,
        shuffle: bool = False,
        seed: int = 0,
        shard: Shard = ALONE,
        drop_last: bool = False,
        prefetch: int = 4,
    ) -> None:
        if batch_size < 1:
            raise InvalidInput(f"batch_size is {batch_size}; it must be at least 1")
        check_seed(seed)
        check_prefetch(prefetch)
        self._pairs = pairs
        self._augmenter = augmenter
        self._batch_size = batch_size
        self._shuffle, self._seed = shuffle, seed
        self._shard, self._drop_last = shard, drop_last
        self._prefetch = prefetch
        self._cursor = Cursor()

    @property
    def epoch(self) -> int:
        """The epoch that is under way, or comes next."""
        return self._cursor.epoch

    def set_epoch(self, epoch: int) -> None:
        """Make the next iteration this epoch, from its start. Without it, epochs are counted from 0."""
        self._cursor = Cursor(epoch)

    def __len__(self) -> int:
        """Batches in a whole epoch."""
        samples = len(self._order(0))
        return samples // self._batch_size if self._drop_last else -(-samples // self._batch_size)

    def __iter__(self) -> Iterator[Batch]:
        """The batches of the next epoch; the first time after ``load_state_dict``, those that were not delivered yet.

        Raises:
            SampleFailed, PipelineChanged, AugserveError: As ``Augmenter.augment`` does, in the place of the batch.
        """
        cursor = self._cursor = self._next()
        for taken, batch in ahead(self._work(cursor.epoch), self._parts(cursor), self._prefetch):
            cursor.position += taken
            if batch is not None:
                yield batch
        cursor.epoch, cursor.position, cursor.begun = cursor.epoch + 1, 0, False

    def state_dict(self) -> dict[str, Any]:
        """Where the loader is, for a checkpoint: after the batch that was delivered last. It is plain JSON."""
        cursor = self._cursor
        return {
            **self._identity(),
            "epoch": cursor.epoch,
            "position": cursor.position,
            "fingerprint": self._augmenter.fingerprint,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on after the batch that was delivered last when ``state`` was taken; batches may be of another size.

        The state of one shard is that of all of them.

        Raises:
            InvalidInput: It is of another data set, seed or kind of order.
            PipelineChanged: It is of another pipeline than the fallback.
        """
        wrong = {name: state.get(name) for name, value in self._identity().items() if state.get(name) != value}
        if wrong:
            ours = {name: self._identity()[name] for name in wrong}
            raise InvalidInput(f"the state is of a loader with {wrong}; this one has {ours}")
        self._augmenter.expect(state["fingerprint"])
        self._cursor = Cursor(int(state["epoch"]), int(state["position"]))

    def _identity(self) -> dict[str, Any]:
        """What decides which samples an epoch has, and in which order."""
        return {
            "length": len(self._pairs),
            "seed": self._seed,
            "shuffle": self._shuffle,
            "world_size": self._shard.world_size,
            "drop_last": self._drop_last,
        }

    def _next(self) -> Cursor:
        """Where the next iteration begins: an epoch that was left is not gone back to."""
        return Cursor(
            self._cursor.epoch + self._cursor.begun, 0 if self._cursor.begun else self._cursor.position, begun=True
        )

    def _order(self, epoch: int) -> Indices:
        order = epoch_order(len(self._pairs), self._seed, epoch, shuffle=self._shuffle)
        return self._shard.of(order, drop_last=self._drop_last)

    def _parts(self, cursor: Cursor) -> Iterator[Indices]:
        """The indices of each batch that is left of an epoch."""
        order = self._order(cursor.epoch)[cursor.position :]
        for start in range(0, len(order), self._batch_size):
            part = order[start : start + self._batch_size]
            if len(part) == self._batch_size or not self._drop_last:
                yield part

    def _work(self, epoch: int) -> Any:
        def augmented(indices: np.ndarray[Any, np.dtype[np.int64]]) -> tuple[int, Batch | None]:
            tickets = [Ticket(index, *self._pairs[index]) for index in indices.tolist()]
            return len(tickets), self._augmenter.augment(tickets, sample_seeds(self._seed, epoch, indices))

        return augmented
