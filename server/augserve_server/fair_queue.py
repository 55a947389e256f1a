"""Samples that wait, in the order in which it is fair to take them: clients share, and bulk work gives way."""

from __future__ import annotations

import heapq
import math
from collections import OrderedDict
from collections.abc import Callable
from itertools import count
from typing import Final, Generic, NamedTuple, Protocol, TypeVar

from augserve_server.admission import Priority
from augserve_server.costs import Size

MOST_REMEMBERED: Final = 1024
"""Clients whose samples have all gone, and who have had more than others: they may not start anew at once."""
MOST_LEFT: Final = 64


class Claim(NamedTuple):
    """Who wants a result, how urgently and until when, and what it costs."""

    client: str = ""
    priority: Priority = Priority.INTERACTIVE
    deadline: float = math.inf  # seconds of perf_counter
    seconds: float = 1e-3  # of this machine's work
    size: Size = Size()


class Waiting(Protocol):
    """What is queued."""

    @property
    def claim(self) -> Claim: ...

    @property
    def pixels(self) -> int: ...

    @property
    def submitted(self) -> float: ...


Item = TypeVar("Item", bound=Waiting)


class Shares:
    """How much work each client has had, as start-time fair queueing counts it.

    A client's account grows by the cost of what is taken for it, and the one with the lowest goes next. Nobody's is
    lower than what was served last: who was away, or had to wait as bulk, has saved up nothing.
    """

    def __init__(self) -> None:
        self._served = 0.0
        self._accounts: OrderedDict[str, float] = OrderedDict()

    def account(self, client: str) -> float:
        """Where a client stands: lower is sooner."""
        return max(self._accounts.get(client, 0.0), self._served)

    def charge(self, client: str, seconds: float) -> None:
        """So much is taken for a client, who was next."""
        accounts = self._accounts
        self._served = start = max(accounts.get(client, 0.0), self._served)
        accounts[client] = start + seconds
        accounts.move_to_end(client)
        while accounts and (len(accounts) > MOST_REMEMBERED or accounts[next(iter(accounts))] <= start):
            accounts.popitem(last=False)


class FairQueue(Generic[Item]):
    """The samples of one work and one class of priority; of each client, the earliest deadline first."""

    def __init__(self, shares: Shares) -> None:
        self._shares = shares
        self._samples: OrderedDict[int, Item] = OrderedDict()  # by number, in the order in which they came
        self._clients: dict[str, list[tuple[float, int]]] = {}  # heaps of deadline and number; some have left
        self._pixels = 0
        self._numbers = count()

    def __len__(self) -> int:
        return len(self._samples)

    @property
    def pixels(self) -> int:
        """Of all samples."""
        return self._pixels

    @property
    def oldest(self) -> float:
        """When the sample came that has waited longest."""
        return next(iter(self._samples.values())).submitted

    @property
    def account(self) -> float:
        """Where that client stands who is next here."""
        return min(self._shares.account(client) for client in self._clients)

    def add(self, sample: Item) -> int:
        """Queue a sample; the number to drop it by."""
        number = next(self._numbers)
        self._samples[number] = sample
        self._pixels += sample.pixels
        heapq.heappush(self._clients.setdefault(sample.claim.client, []), (sample.claim.deadline, number))
        return number

    def drop(self, number: int) -> Item | None:
        """Take a sample out, if it still waits."""
        sample = self._samples.pop(number, None)
        if sample is not None:
            self._pixels -= sample.pixels
            self._tidy(sample.claim.client)
        return sample

    def take(self, fits: Callable[[Item], bool]) -> list[Item]:
        """Samples in the order in which it is fair to take them, as long as the next one fits."""
        taken: list[Item] = []
        ranks = [self._rank(client) for client in self._clients]
        heapq.heapify(ranks)
        while ranks:
            client, number = ranks[0][2], ranks[0][1]
            sample = self._samples[number]
            if not fits(sample):
                break
            taken.append(sample)
            self._shares.charge(client, sample.claim.seconds)
            self.drop(number)
            if client in self._clients:
                heapq.heapreplace(ranks, self._rank(client))
            else:
                heapq.heappop(ranks)
        return taken

    def _rank(self, client: str) -> tuple[float, int, str]:
        return self._shares.account(client), self._clients[client][0][1], client

    def _tidy(self, client: str) -> None:
        """Forget those that have left from the front of a client's heap, and a client that has none."""
        heap = self._clients[client]
        if len(heap) > MOST_LEFT and len(heap) > 2 * len(self._samples):  # one at the front outstays many behind it
            heap[:] = [entry for entry in heap if entry[1] in self._samples]
            heapq.heapify(heap)
        while heap and heap[0][1] not in self._samples:
            heapq.heappop(heap)
        if not heap:
            del self._clients[client]
