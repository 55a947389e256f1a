"""The open connections of a process: how many there are, and how they end without losing a request."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final, Protocol

GRACE_S: Final = 1.0
"""An idle connection that is to end is kept for so long: its client may be sending on it just now."""


class Connection(Protocol):
    """An open connection."""

    def leave(self) -> None:
        """End it after the next answer, which says so; where none is asked for, after a moment."""


class Connections:
    """Those that are open. ``changed`` is told their number whenever it changes."""

    def __init__(self, changed: Callable[[int], None] = lambda count: None) -> None:
        self.changed = changed
        self.leaving = False
        self.excess = 0
        """So many are to end with their next answer, so that their clients come to another process."""
        self._open: set[Connection] = set()
        self._empty = asyncio.Event()
        self._empty.set()

    def __len__(self) -> int:
        return len(self._open)

    def add(self, connection: Connection) -> None:
        """One has been accepted."""
        self._open.add(connection)
        self._empty.clear()
        self.changed(len(self._open))

    def discard(self, connection: Connection) -> None:
        """One is closed."""
        self._open.discard(connection)
        self.changed(len(self._open))
        if not self._open:
            self._empty.set()

    def ends_with_answer(self) -> bool:
        """Whether the answer to the request that has just come is the last on its connection."""
        if self.leaving:
            return True
        if self.excess <= 0:
            return False
        self.excess -= 1
        return True

    async def leave(self) -> None:
        """End all of them, and return when the last is closed."""
        self.leaving = True
        for connection in list(self._open):
            connection.leave()
        await self._empty.wait()
