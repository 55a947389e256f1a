"""The bound on messages that are arriving.

gRPC tells the size of a message when all of it is here: until then, each one may be of the largest size.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final
from weakref import WeakValueDictionary

CLIENTS_SHARE: Final = 4
"""One client has at most this part of the places, so that one that is slow does not keep the others waiting."""


class Arrivals:
    """As many messages arrive at a time as there are places; further ones wait in their connections' windows."""

    def __init__(self, places: int) -> None:
        self._all = asyncio.Semaphore(places)
        self._each = max(places // CLIENTS_SHARE, 1)
        self._clients: WeakValueDictionary[str, asyncio.Semaphore] = WeakValueDictionary()

    @asynccontextmanager
    async def one_of(self, client: str) -> AsyncIterator[None]:
        """A place for a message of a client, once there is one."""
        own = self._clients.setdefault(client, asyncio.Semaphore(self._each))
        async with own, self._all:
            yield
