"""How a worker takes connections from a socket that it shares: one at a time, and not before those that have fewer."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Callable
from typing import Final

from augserve_server.workers.shares import Share

PATIENCE_S: Final = 0.005
"""How long a worker leaves a connection to others that have fewer; they may be busy, or hang."""
OVERDUE: Final = 16
"""Connections to take at once when nobody else did."""
TROUBLE_S: Final = 0.1
"""Pause after a connection could not be accepted, as when there are too many open files."""

logger = logging.getLogger(__name__)


class Acceptor:
    """Accepts from a listening socket for an event loop. ``connect`` is given each connection."""

    def __init__(self, listener: socket.socket, share: Share, connect: Callable[[socket.socket], None]) -> None:
        self._listener = listener
        self._share = share
        self._connect = connect
        self._loop = asyncio.get_running_loop()
        self._pause: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Accept from now on."""
        self._share.begin()
        self._loop.add_reader(self._listener, self._come)

    def finish(self) -> None:
        """Take those that wait already, and no more."""
        while self._take():
            pass
        self._loop.remove_reader(self._listener)
        if self._pause is not None:
            self._pause.cancel()
        self._share.end()
        self._listener.close()

    def _come(self) -> None:
        # Level-triggered: where more wait, the loop calls again in its next turn, after what else is due in this one. A
        # worker that is busy turns slower, and so takes fewer.
        if self._share.is_ahead():
            self._wait(PATIENCE_S)
        else:
            self._take()

    def _wait(self, seconds: float) -> None:
        self._loop.remove_reader(self._listener)
        self._pause = self._loop.call_later(seconds, self._resume)

    def _resume(self) -> None:
        self._pause = None
        self._loop.add_reader(self._listener, self._come)
        for _ in range(OVERDUE):
            if self._pause is not None or not self._take():
                return

    def _take(self) -> bool:
        try:
            connection, _ = self._listener.accept()
        except (BlockingIOError, InterruptedError, ConnectionAbortedError):
            return False
        except OSError as exc:
            logger.error("a connection cannot be accepted: %s", exc)
            self._wait(TROUBLE_S)
            return False
        connection.setblocking(False)
        self._connect(connection)
        return True
