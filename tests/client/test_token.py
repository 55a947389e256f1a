"""The client's token: sent to its server, and shown to nobody."""

from __future__ import annotations

import asyncio

import httpx
import pytest
from pydantic import SecretStr

from augserve import AsyncClient, Client, ConnectionFailed, InvalidInput, RequestRejected
from serving import run_server

TOKEN = "client-0123456789abcdef0123456789abcdef"
YAML = f"[{{name: trainer, token: {TOKEN}, scopes: [read]}}]"


def test_both_clients_send_the_token_that_they_are_given_or_find(monkeypatch: pytest.MonkeyPatch) -> None:
    async def names(url: str) -> int:
        async with AsyncClient(url, token=TOKEN) as client:
            return len(await client.pipelines())

    with run_server(tokens=SecretStr(YAML)) as live:
        with Client(live.url, token=TOKEN) as client:
            assert len(client.pipelines()) == asyncio.run(names(live.url)) > 0
        with Client(live.url) as client, pytest.raises(RequestRejected, match="a bearer token is needed") as missing:
            client.pipelines()
        assert missing.value.status == 401
        with Client(live.url, token=TOKEN) as client, pytest.raises(RequestRejected, match="scope 'infer'") as lacking:
            client.augment("thumbnail", b"\xff\xd8\xff")
        assert lacking.value.status == 403
        monkeypatch.setenv("AUGSERVE_TOKEN", TOKEN)
        with Client(live.url) as client:
            assert client.pipelines()
        with Client(live.url, token="x" * 40) as client, pytest.raises(RequestRejected, match="is not known"):
            client.pipelines()
        with Client(live.url, headers={"authorization": "Bearer mine"}) as client, pytest.raises(RequestRejected):
            client.pipelines()


def test_a_redirect_takes_the_token_nowhere() -> None:
    seen: list[httpx.URL] = []

    def away(request: httpx.Request) -> httpx.Response:
        seen.append(request.url)
        assert request.headers["authorization"] == f"Bearer {TOKEN}"
        return httpx.Response(307, headers={"Location": "http://elsewhere.test/v1/pipelines"})

    with (
        Client("http://here.test", token=TOKEN, transport=httpx.MockTransport(away)) as client,
        pytest.raises(RequestRejected),
    ):
        client.describe("http://elsewhere.test/x")
    assert [url.host for url in seen] == ["here.test"]


@pytest.mark.parametrize("token", ["", "two words", "line\nbreak", "umlaut-ä", "colon:semi;"])
def test_what_cannot_be_a_token_is_refused_and_not_repeated(token: str) -> None:
    with pytest.raises(InvalidInput, match="the token is empty, or has characters") as caught:
        Client(token=token)
    assert token == "" or token not in str(caught.value)


def test_neither_a_client_nor_its_errors_show_the_token() -> None:
    with (
        Client("http://127.0.0.1:1", token=TOKEN, timeout=0.2) as client,
        pytest.raises(ConnectionFailed) as caught,
    ):
        client.pipelines()
    shown = f"{client!r} {vars(client)!r} {client._http.headers!r} {caught.value!r} {caught.value}"
    assert TOKEN not in shown
