"""How many connections there may be, how many of one address, and which are beyond the limit."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

Close = Callable[[], None]


@dataclass
class ConnectionLimits:
    """The count of open connections.

    Those beyond ``most`` are for health and metrics. There are ``reserved`` of them: one more closes the oldest, so
    that whoever holds on to them keeps nobody out.
    """

    most: int
    reserved: int
    most_of_peer: int | None = None
    _within: set[object] = field(default_factory=set)
    _beyond: dict[object, Close] = field(default_factory=dict)  # the oldest first
    _of_peer: Counter[str] = field(default_factory=Counter)

    def open(self, connection: object, peer: str, close: Close) -> bool:
        """A connection has come; whether it is within the limit. ``close`` ends it, now or to make room."""
        self._of_peer[peer] += 1
        if self.most_of_peer is not None and self._of_peer[peer] > self.most_of_peer:
            close()
            return False
        if len(self._within) < self.most:
            self._within.add(connection)
            return True
        if len(self._beyond) >= self.reserved:
            self._beyond.pop(next(iter(self._beyond)))()
        self._beyond[connection] = close
        return False

    def closed(self, connection: object, peer: str) -> None:
        """A connection has gone."""
        self._within.discard(connection)
        self._beyond.pop(connection, None)
        self._of_peer[peer] -= 1
        if not self._of_peer[peer]:
            del self._of_peer[peer]
