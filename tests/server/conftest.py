"""A server for each module, and a client of it; modules whose server is another one have a ``live`` of their own."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest

from serving import Live, run_server


@pytest.fixture(scope="module")
def live() -> Iterator[Live]:
    with run_server() as server:
        yield server


@pytest.fixture
def client(live: Live) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=live.url, timeout=60) as made:
        yield made
