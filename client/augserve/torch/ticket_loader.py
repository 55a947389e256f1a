"""Augmented batches behind a DataLoader of one's own."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from augserve.torch.ahead import ahead, check_prefetch
from augserve.torch.augmenter import Augmenter, Batch
from augserve.torch.order import check_seed, sample_seeds
from augserve.torch.tickets import Ticket


class TicketLoader:
    """Augmented batches in the order of a DataLoader of tickets, with its samplers and its workers.

    Workers prepare tickets, and no pixels go through their pipes: this process asks the service for each batch, several
    at a time. Seeds are those of :class:`AugmentedLoader`: of ``seed``, the epoch and a ticket's index.

    Args:
        loader: Gives lists of tickets: ``DataLoader(Tickets(pairs), collate_fn=hand_over, ...)``.
        augmenter: Where and how they are augmented.
        seed: Of all that is drawn, 0 <= seed < 2**63.
        prefetch: Batches asked for ahead of the one that is wanted, at least 1.
    """

    def __init__(
        self, loader: Iterable[Sequence[Ticket]], augmenter: Augmenter, *, seed: int = 0, prefetch: int = 4
    ) -> None:
        check_seed(seed)
        check_prefetch(prefetch)
        self._loader = loader
        self._augmenter = augmenter
        self._seed = seed
        self._prefetch = prefetch
        self._epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Say which epoch the next iteration is: seeds follow from it. It is not counted here."""
        self._epoch = epoch

    def __iter__(self) -> Iterator[Batch]:
        epoch = self._epoch

        def augmented(tickets: Sequence[Ticket]) -> Batch | None:
            seeds = sample_seeds(self._seed, epoch, [ticket.index for ticket in tickets])
            return self._augmenter.augment(tickets, seeds)

        for batch in ahead(augmented, self._loader, self._prefetch):
            if batch is not None:
                yield batch
