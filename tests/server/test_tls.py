"""TLS over real sockets, with a certificate authority of the test's own."""

from __future__ import annotations

import logging
import socket
import ssl
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc
import httpx
import pytest
import trustme
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)
from pydantic import SecretStr

from augserve_server.app import create_app, warn_of_exposure
from augserve_server.errors import InvalidSettings
from augserve_server.settings import Settings
from augserve_server.tls import grpc_credentials, tls_context
from serving import run_server
from wires import ended


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def files(authority: trustme.CA, tmp_path: Path) -> dict[str, Path]:
    """Where a certificate for 127.0.0.1, its key, and both in one file lie."""
    certificate = authority.issue_cert("127.0.0.1")
    paths = {name: tmp_path / f"{name}.pem" for name in ("chain", "key", "both", "root", "other_key")}
    certificate.cert_chain_pems[0].write_to_path(paths["chain"])
    certificate.private_key_pem.write_to_path(paths["key"])
    certificate.private_key_and_cert_chain_pem.write_to_path(paths["both"])
    authority.cert_pem.write_to_path(paths["root"])
    authority.issue_cert("127.0.0.1").private_key_pem.write_to_path(paths["other_key"])
    return paths


def trusting(authority: trustme.CA) -> ssl.SSLContext:
    context = ssl.create_default_context()
    authority.configure_trust(context)
    return context


def test_it_speaks_tls_and_says_so(authority: trustme.CA, files: dict[str, Path]) -> None:
    with run_server(tls_certificate=files["chain"], tls_key=files["key"], head_timeout_s=0.3) as live:
        assert live.url.startswith("https://127.0.0.1:")
        context = trusting(authority)
        assert httpx.get(f"{live.url}/healthz", verify=context).status_code == 200
        with pytest.raises(httpx.ConnectError, match="certificate verify failed"):
            httpx.get(f"{live.url}/healthz")
        with pytest.raises(httpx.TransportError):
            httpx.get(f"{live.url.replace('https', 'http')}/healthz")
        with socket.create_connection(live.address, timeout=10) as silent:
            assert ended(silent)  # a handshake has as long as a head
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.maximum_version = ssl.TLSVersion.TLSv1_2
        assert httpx.get(f"{live.url}/healthz", verify=context).status_code == 200


def test_tls_before_1_2_is_not_spoken(files: dict[str, Path]) -> None:
    context = tls_context(Settings(tls_certificate=files["both"]))
    assert context is not None
    assert context.minimum_version is ssl.TLSVersion.TLSv1_2


def test_clients_without_a_certificate_are_refused_where_one_is_asked_for(
    authority: trustme.CA, files: dict[str, Path]
) -> None:
    with run_server(tls_certificate=files["both"], tls_client_ca=files["root"]) as live:
        context = trusting(authority)
        with pytest.raises(httpx.TransportError):
            httpx.get(f"{live.url}/healthz", verify=context)
        trustme.CA().issue_cert("stranger").configure_cert(context)
        with pytest.raises(httpx.TransportError):
            httpx.get(f"{live.url}/healthz", verify=context)
        context = trusting(authority)
        authority.issue_cert("client.test").configure_cert(context)
        assert httpx.get(f"{live.url}/healthz", verify=context).status_code == 200


def test_grpc_takes_the_same_files(authority: trustme.CA, files: dict[str, Path]) -> None:
    root, key, chain = (files[name].read_bytes() for name in ("root", "key", "chain"))

    def reachable(settings: Settings, credentials: grpc.ChannelCredentials) -> bool:
        with ThreadPoolExecutor(1) as threads:
            server = grpc.server(threads)
            port = server.add_secure_port("127.0.0.1:0", grpc_credentials(settings))
            server.start()
            with grpc.secure_channel(f"127.0.0.1:{port}", credentials) as channel:
                try:
                    grpc.channel_ready_future(channel).result(0.7)
                except grpc.FutureTimeoutError:
                    return False
                finally:
                    server.stop(None).wait()
            return True

    plain = Settings(tls_certificate=files["chain"], tls_key=files["key"])
    mutual = Settings(tls_certificate=files["both"], tls_client_ca=files["root"])
    assert grpc_credentials(Settings()) is None
    assert reachable(plain, grpc.ssl_channel_credentials(root))
    assert reachable(mutual, grpc.ssl_channel_credentials(root, key, chain))
    assert not reachable(mutual, grpc.ssl_channel_credentials(root))


def test_files_that_do_not_do_are_start_errors(files: dict[str, Path], tmp_path: Path) -> None:
    def refusal(**settings: Path) -> str:
        with pytest.raises(InvalidSettings) as caught:
            tls_context(Settings(**settings))  # type: ignore[arg-type]  # fields by name
        return str(caught.value)

    chain, key = files["chain"], files["key"]
    (tmp_path / "text.pem").write_text("no certificate")
    secret = load_pem_private_key(key.read_bytes(), None)
    locked = secret.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, BestAvailableEncryption(b"x"))
    (tmp_path / "locked.pem").write_bytes(locked)
    assert "tls_key is set, and tls_certificate is not" in refusal(tls_key=key)
    assert "tls_client_ca is set, and tls_certificate is not" in refusal(tls_client_ca=chain)
    assert "none.pem': No such file or directory" in refusal(tls_certificate=tmp_path / "none.pem")
    assert "none.pem': No such file or directory" in refusal(tls_certificate=chain, tls_key=tmp_path / "none.pem")
    assert "the key is not that of the certificate" in refusal(tls_certificate=chain, tls_key=files["other_key"])
    assert "is no PEM file of that" in refusal(tls_certificate=chain)
    assert "is no PEM file of that" in refusal(tls_certificate=tmp_path / "text.pem", tls_key=key)
    assert "the key is encrypted" in refusal(tls_certificate=chain, tls_key=tmp_path / "locked.pem")
    assert "tls_client_ca" in refusal(tls_certificate=files["both"], tls_client_ca=tmp_path / "text.pem")


def test_whoever_listens_to_everyone_is_warned(files: dict[str, Path], caplog: pytest.LogCaptureFixture) -> None:
    token = SecretStr(f"[{{name: a, token: {'x' * 32}, scopes: [infer]}}]")

    def warning(**settings: object) -> str:
        caplog.clear()
        warn_of_exposure(Settings(**settings))  # type: ignore[arg-type]  # fields by name
        return caplog.text

    with caplog.at_level(logging.WARNING):
        assert "ANYONE WHO REACHES 0.0.0.0 MAY USE THIS SERVER" in warning(host="0.0.0.0")
        assert "ANYONE WHO REACHES" in warning(host="0.0.0.0", tls_certificate=files["both"])
        assert "tokens come over plain HTTP to ::" in warning(host="::", tokens=token)
        assert warning(host="0.0.0.0", tokens=token, tls_certificate=files["both"]) == ""
        assert warning(host="127.0.0.1") == warning(host="::1") == warning(host="localhost") == ""


def test_no_origin_is_given_leave_by_any_answer() -> None:
    origin = {"Origin": "https://example.com"}
    preflight = {**origin, "Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization"}
    with run_server() as live, httpx.Client(base_url=live.url) as client:
        answers = [client.get(path, headers=origin) for path in ("/healthz", "/v1/pipelines", "/nowhere", "/docs")]
        refused = [
            client.options(path, headers=preflight) for path in ("/v1/augment/thumbnail", "/v1/pipelines", "/v2")
        ]
    assert [answer.status_code for answer in refused[:2]] == [405, 405]
    assert all(answer.status_code >= 400 for answer in refused)
    for answer in (*answers, *refused):
        assert not [name for name in answer.headers if name.lower().startswith("access-control")]


def test_an_app_whose_tokens_cannot_be_had_is_not_made(tmp_path: Path) -> None:
    with pytest.raises(InvalidSettings, match="tokens_file"):
        create_app(Settings(device="cpu", tokens_file=tmp_path / "none.yaml"))
