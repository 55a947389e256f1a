"""How many connections there may be, how many of one address, and which are beyond the limit."""

from __future__ import annotations

import logging
import resource
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

Close = Callable[[], None]

OTHER_FILES: Final = 256
"""Open files that a process needs besides its connections."""

logger = logging.getLogger(__name__)


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


def raise_file_limit(connections: int) -> None:
    """Allow the process as many open files as its connections may need, as far as the system lets it."""
    wanted = connections + OTHER_FILES
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    allowed = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    if soft != resource.RLIM_INFINITY and soft < allowed:
        resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, hard))
    if allowed < wanted:
        logger.warning("%d open files are allowed; max_connections needs %d (ulimit -n)", allowed, wanted)
