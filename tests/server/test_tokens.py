"""Bearer tokens: what is written down, who comes in, and that no token is ever told to anybody."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path

import httpx
import pytest
from pydantic import SecretStr
from typer.testing import CliRunner

from augserve_server.app import create_app
from augserve_server.auth import Auth
from augserve_server.cli import app
from augserve_server.errors import Forbidden, InvalidSettings, Unauthenticated
from augserve_server.scopes import scope_of_request, scope_of_rpc
from augserve_server.settings import Settings, load_settings
from augserve_server.token_store import TokenStore
from augserve_server.tokens import Scope, Tokens, new_token
from factories import make_file
from serving import Live, run_server

INFER, READ, ADMIN, OLD = (f"{name}-{'0123456789abcdef' * 2}" for name in ("infer", "read", "admin", "old"))
YAML = f"""
- {{name: trainer, token: {INFER}, scopes: [infer]}}
- {{name: dashboard, token: "sha256:{sha256(READ.encode()).hexdigest()}", scopes: [read]}}
- {{name: operator, token: {ADMIN}, scopes: [infer, read, admin, shm], expires: 2999-01-01T00:00:00Z}}
- {{name: gone, token: {OLD}, scopes: [infer, read, admin, shm], expires: 2020-01-01T00:00:00Z}}
"""


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


@pytest.fixture(scope="module")
def live() -> Iterator[Live]:
    with run_server(tokens=SecretStr(YAML)) as server:
        yield server


# Over a socket.


def test_a_token_comes_in_for_what_it_is_good_for(client: httpx.Client) -> None:
    picture = make_file()
    assert client.post("/v1/augment/thumbnail", content=picture, headers=bearer(INFER)).status_code == 200
    assert client.get("/v1/pipelines", headers=bearer(READ)).status_code == 200
    assert client.get("/metrics", headers=bearer(READ)).status_code == 200
    assert client.get("/openapi.json", headers=bearer(ADMIN)).status_code == 200
    assert client.get("/v1/pipelines", headers={"authorization": f"bearer  {READ}"}).status_code == 200


def test_health_needs_no_token_and_everything_else_does(client: httpx.Client) -> None:
    for path in ("/healthz", "/readyz"):
        assert client.get(path).status_code == 200
    for path in ("/metrics", "/docs", "/openapi.json", "/v1/pipelines", "/v1/pipelines/thumbnail", "/v2", "/nowhere"):
        response = client.get(path)
        assert response.status_code == 401, path
        assert response.headers["www-authenticate"] == 'Bearer realm="augserve"'
        assert response.headers["cache-control"] == "no-store"


def test_what_is_there_and_what_is_not_are_refused_alike(client: httpx.Client) -> None:
    def answer(path: str) -> tuple[int, str]:
        response = client.post(path, content=b"x")
        return response.status_code, response.json()["detail"]

    assert len({answer(path) for path in ("/v1/augment/thumbnail", "/v1/augment/none", "/none", "/v1/pipelines")}) == 1


@pytest.mark.parametrize("given", [OLD, "x" * 40, INFER[:-1], f"{INFER}x", INFER.upper()])
def test_a_token_that_is_wrong_or_has_expired_is_refused(client: httpx.Client, given: str) -> None:
    response = client.post("/v1/augment/thumbnail", content=make_file(), headers=bearer(given))
    assert (response.status_code, response.json()["type"]) == (401, "urn:augserve:error:unauthenticated")
    assert given not in response.text


@pytest.mark.parametrize("value", [INFER, f"Basic {INFER}", f"Token {INFER}", "Bearer"])
def test_another_scheme_is_no_token(client: httpx.Client, value: str) -> None:
    assert client.get("/v1/pipelines", headers={"Authorization": value}).status_code == 401


def test_two_tokens_at_once_are_none(client: httpx.Client) -> None:
    headers = [("Authorization", f"Bearer {READ}"), ("Authorization", f"Bearer {ADMIN}")]
    assert client.get("/v1/pipelines", headers=headers).status_code == 401


def test_a_scope_that_is_missing_is_named(client: httpx.Client) -> None:
    response = client.get("/v1/pipelines", headers=bearer(INFER))
    assert (response.status_code, response.json()["type"]) == (403, "urn:augserve:error:forbidden")
    assert response.json()["detail"] == "this needs a token with the scope 'read'; this one has infer"
    assert 'error="insufficient_scope", scope="read"' in response.headers["www-authenticate"]
    load = client.post("/v2/repository/models/thumbnail/load", headers=bearer(READ))
    assert load.status_code == 403
    assert load.json()["error"] == "this needs a token with the scope 'admin'; this one has read"
    refusal = client.post("/v2/models/thumbnail/infer").json()
    assert refusal["error"] == "a bearer token is needed; send Authorization: Bearer TOKEN"


def test_the_document_of_the_service_says_which_tokens_are_asked_for(client: httpx.Client) -> None:
    document = client.get("/openapi.json", headers=bearer(READ)).json()
    assert document["components"]["securitySchemes"] == {"token": {"type": "http", "scheme": "bearer"}}
    augment = document["paths"]["/v1/augment/{pipeline}"]["post"]
    assert augment["security"] == [{"token": []}]
    assert {"401", "403"} <= {*augment["responses"]}
    assert "`infer`" in augment["responses"]["403"]["description"]
    assert "security" not in document["paths"]["/healthz"]["get"]
    with run_server() as server:
        assert "securitySchemes" not in httpx.get(f"{server.url}/openapi.json").json()["components"]


def test_nothing_of_a_body_is_taken_from_whoever_may_not_come_in(client: httpx.Client, live: Live) -> None:
    before = live.metric("decoded_images_total")
    many = [("image", ("a.jpg", make_file()))] * 3
    assert client.post("/v1/augment/thumbnail", files=many, headers=bearer(READ)).status_code == 403
    assert live.metric("decoded_images_total") == before
    assert live.metric("queue_bytes") == 0


def test_the_log_has_the_name_and_never_the_token(live: Live, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG, "augserve"), httpx.Client(base_url=live.url) as client:
        client.get("/v1/pipelines", headers=bearer(READ))
        client.get("/v1/pipelines", headers=bearer(INFER))
        client.get("/v1/pipelines", headers=bearer("y" * 50))
    lines = [record for record in caplog.records if record.name == "augserve.access"]
    assert {record.about["client"] for record in lines} == {"dashboard", "127.0.0.1"}  # type: ignore[attr-defined]
    everything = "\n".join(f"{record.getMessage()} {vars(record)}" for record in caplog.records)
    assert not any(secret in everything for secret in (READ, INFER, "y" * 50))


def test_without_tokens_nobody_is_asked(tmp_path: Path) -> None:
    with run_server() as server:
        assert httpx.get(f"{server.url}/metrics").status_code == 200
        assert httpx.get(f"{server.url}/v1/pipelines", headers=bearer("anything")).status_code == 200


def test_metrics_can_be_opened_and_health_closed() -> None:
    auth = Auth(Settings(tokens=SecretStr(YAML), open_metrics=True, open_health=False))
    assert auth.authorize_request("GET", "/metrics", []) is None
    for method, path in (("GET", "/healthz"), ("POST", "/metrics"), ("GET", "/v2/health/live")):
        with pytest.raises(Unauthenticated):
            auth.authorize_request(method, path, [])
    with pytest.raises(Unauthenticated):
        auth.authorize([], "/grpc.health.v1.Health/Check")


def test_every_endpoint_has_a_scope_that_says_what_it_does() -> None:
    paths = create_app(Settings(device="cpu")).openapi()["paths"]
    needs = {
        (method, path): scope_of_request(method.upper(), path) for path, methods in paths.items() for method in methods
    }
    work = ("/v1/augment/{pipeline}", "/v1/replay")
    assert {path for (_, path), need in needs.items() if need is Scope.INFER} >= set(work)
    for (method, path), need in needs.items():
        if not path.startswith("/v2"):
            assert need is (Scope.INFER if path in work else Scope.READ), (method, path)


@pytest.mark.parametrize(
    ("method", "path", "need"),
    [
        ("POST", "/v2/models/a/infer", "infer"),
        ("POST", "/v2/models/a/versions/1/infer", "infer"),
        ("GET", "/v2", "read"),
        ("GET", "/v2/models/stats", "read"),
        ("GET", "/v2/models/a/config", "read"),
        ("GET", "/v2/models/a/ready", "read"),
        ("POST", "/v2/repository/index", "read"),
        ("POST", "/v2/repository/mine/index", "read"),
        ("POST", "/v2/repository/models/a/load", "admin"),
        ("POST", "/v2/repository/models/a/unload", "admin"),
        ("POST", "/v2/logging", "admin"),
        ("GET", "/v2/logging", "read"),
        ("POST", "/v2/trace/setting", "admin"),
        ("POST", "/v2/models/a/trace/setting", "admin"),
        ("GET", "/v2/systemsharedmemory/status", "shm"),
        ("POST", "/v2/systemsharedmemory/region/a/register", "shm"),
        ("POST", "/v2/cudasharedmemory/region/a/unregister", "shm"),
        ("DELETE", "/v1/pipelines", "admin"),
        ("POST", "/v2/repository/models/a\n/infer", "admin"),
        ("OPTIONS", "/v1/augment/a", "admin"),
    ],
)
def test_requests_need_these_scopes(method: str, path: str, need: str) -> None:
    assert scope_of_request(method, path) == need


def test_grpc_calls_need_the_scopes_of_their_endpoints() -> None:
    service = "/inference.GRPCInferenceService/"
    assert scope_of_rpc(f"{service}ModelInfer") == scope_of_rpc(f"{service}ModelStreamInfer") == "infer"
    assert scope_of_rpc(f"{service}RepositoryIndex") == scope_of_rpc(f"{service}ModelReady") == "read"
    assert scope_of_rpc(f"{service}RepositoryModelLoad") == scope_of_rpc(f"{service}LogSettings") == "admin"
    assert scope_of_rpc(f"{service}SystemSharedMemoryRegister") == "shm"
    assert scope_of_rpc(f"{service}SomethingNew") == "admin"
    assert scope_of_rpc(f"{service}ServerLive") is scope_of_rpc("/grpc.health.v1.Health/Check") is None


def test_a_grpc_call_says_its_token_in_its_metadata() -> None:
    auth = Auth(Settings(tokens=SecretStr(YAML)))
    infer = "/inference.GRPCInferenceService/ModelInfer"
    assert auth.authorize([("x", b"y"), ("authorization", f"Bearer {INFER}")], infer) == "trainer"
    assert auth.authorize([], "/inference.GRPCInferenceService/ServerLive") is None
    with pytest.raises(Unauthenticated):
        auth.authorize([], infer)
    with pytest.raises(Forbidden):
        auth.authorize([("authorization", f"Bearer {READ}")], infer)


# Written down.


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ("{name: a, token: SECRET-1234, scopes: [infer]}", "tokens[0].token: Value error, has 11 characters; it must"),
        ("{name: a, token: 'SECRET 3456789012345678901234567890', scopes: [infer]}", "must be of A-Z a-z 0-9"),
        ("{name: a, token: 12345678901234567890123456789012345, scopes: [infer]}", "must be text; put it in quotes"),
        ("{name: a, token: 'sha256:SECRET', scopes: [infer]}", "must have 64 hexadecimal digits"),
        (f"{{name: a, token: {INFER}, scopes: [SECRET]}}", "tokens[0].scopes[0]: Input should be 'infer'"),
        (f"{{name: a, token: {INFER}, scopes: []}}", "tokens[0].scopes: List should have at least 1"),
        (f"{{name: a SECRET, token: {INFER}, scopes: [infer]}}", "tokens[0].name: String should match"),
        (f"{{name: a, token: {INFER}, scopes: [infer], expires: SECRET}}", "tokens[0].expires: "),
        (f"{{name: a, token: {INFER}, scopes: [infer], expires: 2030-01-01T00:00:00}}", "timezone"),
        (f"{{name: a, token: {INFER}, scopes: [infer], SECRET: 1}}", "tokens[0].?: Extra inputs"),
        ("{name: a, scopes: [infer]}", "tokens[0].token: Field required"),
        (f"{{name: a, token: {INFER}, scopes: [infer]}}\n- {{name: b, token: {INFER}, scopes: [read]}}", "there twice"),
        ("{name: SECRET", "cannot be read as YAML (line"),
        ("&SECRET !SECRET x", "cannot be read as YAML (line 1)"),
        ("[" * 50 + "SECRET" + "]" * 50, "cannot be read as YAML (line 1)"),
    ],
)
def test_tokens_that_are_refused_say_why_and_are_not_repeated(entry: str, message: str) -> None:
    with pytest.raises(InvalidSettings) as caught:
        Tokens.parse(f"- {entry}", "tokens")
    assert message in str(caught.value)
    assert "SECRET" not in str(caught.value)
    assert INFER not in str(caught.value)
    assert caught.value.__cause__ is None


def test_a_fresh_token_is_let_in_by_its_hash() -> None:
    token, hashed = new_token()
    tokens = Tokens.parse(f"[{{name: new, token: '{hashed}', scopes: [shm]}}]", "here")
    found = tokens.find(token)
    assert found is not None
    assert (found.name, found.scopes) == ("new", {Scope.SHM})
    assert tokens.find(hashed) is None
    assert new_token()[0] != token


def test_the_command_line_makes_tokens() -> None:
    done = CliRunner().invoke(app, ["token", "trainer", "--scope", "infer", "--scope", "shm"])
    found = Tokens.parse(done.stderr, "printed").find(done.stdout.strip())
    assert found is not None
    assert (done.exit_code, found.name, found.scopes) == (0, "trainer", {Scope.INFER, Scope.SHM})
    refused = CliRunner().invoke(app, ["token", "two words", "--scope", "all"])
    assert (refused.exit_code, refused.stdout) == (2, "")
    assert "tokens[0].scopes[0]: Input should be 'infer', 'read', 'admin' or 'shm'" in refused.stderr


def test_a_token_is_good_until_it_expires() -> None:
    token = Tokens.parse(
        f"[{{name: a, token: {INFER}, scopes: [infer], expires: 2030-01-01T00:00:00+01:00}}]", "x"
    ).tokens[0]
    end = datetime(2029, 12, 31, 23, tzinfo=UTC)
    assert token.good_at(end - timedelta(seconds=1))
    assert not token.good_at(end)


def test_nothing_that_is_kept_shows_a_token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AUGSERVE_TOKENS", YAML)
    settings = load_settings()
    auth = Auth(settings)
    assert auth.authorize_request("POST", "/v1/replay", [(b"authorization", f"Bearer {INFER}".encode())]) == "trainer"
    digest = sha256(INFER.encode()).digest()
    shown = f"{settings!r} {settings} {settings.model_dump_json()} {auth._store.tokens!r}"
    assert not any(secret in shown for secret in (INFER, ADMIN, repr(digest), digest.hex()))


def test_tokens_in_a_settings_file_that_are_no_text_are_not_repeated(tmp_path: Path) -> None:
    (tmp_path / "server.yaml").write_text(f"tokens: [{{name: a, token: {INFER}, scopes: [infer]}}]")
    with pytest.raises(InvalidSettings, match="tokens: a value is refused") as caught:
        load_settings(tmp_path / "server.yaml")
    assert INFER not in str(caught.value)


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def write(path: Path, text: str, mode: int = 0o600) -> None:
    """Replace a file as a whole, as one should."""
    new = path.with_suffix(".new")
    new.write_text(text)
    new.chmod(mode)
    os.replace(new, path)


def entry(token: str) -> str:
    return f"- {{name: a, token: {token}, scopes: [infer]}}\n"


def test_a_file_that_changes_is_read_again(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path, clock = tmp_path / "tokens.yaml", Clock()
    write(path, entry(INFER))
    store = TokenStore(Settings(tokens_file=path, tokens=SecretStr(entry(READ))), clock)

    def known(token: str) -> bool:
        return store.tokens.find(token) is not None

    write(path, entry(INFER) + entry(ADMIN))
    assert not known(ADMIN)  # it is looked at once a second
    clock.now += 1
    assert known(INFER)
    assert known(ADMIN)
    write(path, entry(ADMIN))
    clock.now += 1
    assert not known(INFER)
    assert known(READ)
    for spoil in (lambda: write(path, "{"), path.unlink, lambda: write(path, entry(INFER), 0o644)):
        spoil()
        clock.now += 1
        assert known(ADMIN)
        assert not known(INFER)
    assert "those known stay good" in caplog.text
    write(path, "[]")
    clock.now += 1
    assert not known(ADMIN)


def test_a_file_that_everyone_can_read_is_refused_unless_it_holds_hashes(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "tokens.yaml"
    write(path, entry(INFER), 0o644)
    with pytest.raises(InvalidSettings, match=r"everyone may read it \(mode 0644\): chmod 600, or keep sha256: hashes"):
        create_app(Settings(device="cpu", tokens_file=path))
    write(path, entry(new_token()[1]), 0o644)
    assert len(TokenStore(Settings(tokens_file=path)).tokens.tokens) == 1
    assert "everyone may read it (mode 0644); it holds hashes only" in caplog.text
    write(path, entry(new_token()[1]), 0o602)
    with pytest.raises(InvalidSettings, match="everyone may write it"):
        TokenStore(Settings(tokens_file=path))


@pytest.mark.parametrize("content", [None, b"\xff\xfe", b"- 1"])
def test_a_file_that_cannot_be_read_is_a_start_error(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "tokens.yaml"
    if content is not None:
        path.write_bytes(content)
        path.chmod(0o600)
    with pytest.raises(InvalidSettings, match=r"tokens_file '.*tokens.yaml'"):
        TokenStore(Settings(tokens_file=path))
