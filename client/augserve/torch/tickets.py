"""What stands for a sample until its pixels are wanted: its place in the data set, its image's path, its label."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

from augserve.samples import Item


class Pairs(Protocol):
    """A data set: what is augmented and its label, by number. A list of pairs is one, as is ``ImageFolder.samples``."""

    def __len__(self) -> int: ...
    def __getitem__(self, index: int, /) -> tuple[Item, Any]: ...


@dataclass(frozen=True, slots=True, eq=False)
class Ticket:
    """A sample before it is augmented: small enough to go through pipes between processes."""

    index: int
    """Its place in the data set, which its seed follows from."""
    item: Item
    """A path, the bytes of a file, or anything else that ``Client.augment`` takes."""
    label: Any


class Tickets:
    """A data set for ``torch.utils.data.DataLoader`` that hands out tickets: with it, give ``collate_fn=hand_over``."""

    def __init__(self, pairs: Pairs) -> None:
        self._pairs = pairs

    def __len__(self) -> int:
        return len(self._pairs)

    def __getitem__(self, index: int) -> Ticket:
        item, label = self._pairs[index]
        return Ticket(index, item, label)


def hand_over(tickets: list[Ticket]) -> list[Ticket]:
    """A ``collate_fn`` that leaves tickets as they are."""
    return tickets
