"""One server for each module, with small pipelines, and a stock client of it."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest
import tritonclient.http as triton

from serving import Live, run_server
from tritons import write_pipelines


@pytest.fixture(scope="module")
def live(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    """A server, with the settings that the module has in SETTINGS."""
    settings = getattr(request.module, "SETTINGS", {})
    with run_server(pipelines=write_pipelines(tmp_path_factory.mktemp("pipelines")), **settings) as server:
        yield server


@pytest.fixture(scope="module")
def client(live: Live) -> Iterator[triton.InferenceServerClient]:
    """tritonclient, unmodified."""
    with triton.InferenceServerClient(live.url.removeprefix("http://")) as made:
        yield made


@pytest.fixture(scope="module")
def http(live: Live) -> Iterator[httpx.Client]:
    """For what a stock client would not send."""
    with httpx.Client(base_url=live.url, timeout=30) as made:
        yield made
