"""Calls through either client, with everything that they send answered in this process."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import httpx
import numpy as np
import pytest

from augserve import AsyncClient, Client
from factories import make_pixels

CORRUPT = b"this is no image"

both = pytest.mark.parametrize("kind", [Client, AsyncClient])


def ask(kind: type, handler: Callable[[httpx.Request], httpx.Response], method: str, *args: Any, **options: Any) -> Any:
    """Make a client of ``kind`` and call a method of it; options of the client begin with ``client_``."""
    of_client = {name.removeprefix("client_"): options.pop(name) for name in list(options) if name[:7] == "client_"}
    transport = httpx.MockTransport(handler)
    if kind is Client:
        with Client(transport=transport, **of_client) as client:
            return getattr(client, method)(*args, **options)

    async def call() -> Any:
        async with AsyncClient(transport=transport, **of_client) as client:
            return await getattr(client, method)(*args, **options)

    return asyncio.run(call())


def augment(kind: type, handler: Callable[[httpx.Request], httpx.Response], images: Any, **options: Any) -> Any:
    return ask(kind, handler, "augment", "brighten", images, **options)


def images_of(count: int) -> list[np.ndarray]:
    return [make_pixels(size=(4 + i % 3, 5)) for i in range(count)]
