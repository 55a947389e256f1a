"""Who may call over gRPC, and over an encrypted connection only where HTTP is one."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
import tritonclient.grpc as triton
import trustme
from pydantic import SecretStr
from tritonclient.utils import InferenceServerException

from serving import Live, run_server, shipped_pipelines

READER, CALLER = "reader-0123456789abcdef0123456789abcdef", "caller-0123456789abcdef0123456789abcdef"
TOKENS = f"[{{name: looks, token: {READER}, scopes: [read]}}, {{name: asks, token: {CALLER}, scopes: [read, infer]}}]"


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    folder = tmp_path_factory.mktemp("access")
    pipelines = shipped_pipelines(tmp_path_factory.mktemp("pipelines"), "thumbnail")
    authority = trustme.CA()
    authority.cert_pem.write_to_path(folder / "authority.pem")
    issued = authority.issue_cert("localhost", "127.0.0.1")
    issued.private_key_and_cert_chain_pem.write_to_path(folder / "server.pem")
    settings = {"tls_certificate": folder / "server.pem", "tokens": SecretStr(TOKENS)}
    with run_server(grpc_port=0, pipelines=pipelines, **settings) as live:
        yield live


def client_of(live: Live) -> triton.InferenceServerClient:
    assert live.service.settings.tls_certificate is not None
    roots = live.service.settings.tls_certificate.parent / "authority.pem"
    return triton.InferenceServerClient(live.grpc_url, ssl=True, root_certificates=str(roots))


def bearer(token: str) -> dict[str, str]:
    return {"authorization": f"Bearer {token}"}


def test_health_needs_no_token_and_all_else_does(live: Live) -> None:
    with client_of(live) as client:
        assert client.is_server_live()
        for headers in (None, bearer("x" * 40)):
            with pytest.raises(InferenceServerException) as caught:
                client.get_server_metadata(headers=headers)
            assert caught.value.status() == "StatusCode.UNAUTHENTICATED"
        assert client.get_server_metadata(headers=bearer(READER)).name == "augserve"


def test_a_token_is_good_for_its_scopes_alone(live: Live) -> None:
    image = triton.InferInput("IMAGE_RAW", [1, 3, 8, 8], "UINT8")
    image.set_data_from_numpy(np.zeros((1, 3, 8, 8), np.uint8))
    with client_of(live) as client:
        with pytest.raises(InferenceServerException, match="infer") as caught:
            client.infer("thumbnail", [image], headers=bearer(READER))
        assert caught.value.status() == "StatusCode.PERMISSION_DENIED"
        assert client.infer("thumbnail", [image], headers=bearer(CALLER)).as_numpy("STATUS").tolist() == [0]


def test_without_tls_there_is_no_connection(live: Live) -> None:
    with triton.InferenceServerClient(live.grpc_url) as client, pytest.raises(InferenceServerException):
        client.is_server_live(client_timeout=5)
