"""Who is asking, and whether they may: over HTTP before anything of a request is read, and over gRPC."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from typing import Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from augserve_server.errors import ConnectionsFull, Forbidden, ServiceError, Unauthenticated
from augserve_server.scopes import HEALTH_PATHS, METRICS_PATH, scope_of_request, scope_of_rpc
from augserve_server.settings import Settings
from augserve_server.token_store import TokenStore
from augserve_server.tokens import Scope as Need
from augserve_server.tokens import Token, now_utc
from augserve_server.visits import CROWDED_KEY, visit_of

REACHABLE_PATHS: Final = HEALTH_PATHS | {METRICS_PATH}
"""What is answered on connections beyond the limit."""

_BEARER: Final = "bearer "


class Auth:
    """The check of tokens. Raises InvalidSettings where the tokens of the settings cannot be had."""

    def __init__(self, settings: Settings) -> None:
        self.on = settings.asks_for_tokens
        """Whether tokens are asked for at all."""
        self._store = TokenStore(settings)
        self._open_health = settings.open_health
        self._open_metrics = settings.open_metrics

    def authorize_request(self, method: str, path: str, headers: Iterable[tuple[bytes, bytes]]) -> str | None:
        """The name of whoever sent a request over HTTP; None where nobody had to say.

        Raises Unauthenticated or Forbidden. Whether there is anything at the path makes no difference.
        """
        if not self.on or self.is_open(method, path):
            return None
        given = [value.decode("latin-1") for name, value in headers if name == b"authorization"]
        return self._admit(given, scope_of_request(method, path))

    def authorize(self, metadata: Iterable[tuple[str, str | bytes]], method: str) -> str | None:
        """The name of whoever made a gRPC call, ``method`` as in ``/inference.GRPCInferenceService/ModelInfer``.

        None where nobody had to say. Raises Unauthenticated or Forbidden.
        """
        need = scope_of_rpc(method)
        if not self.on or (need is None and self._open_health):
            return None
        given = [value for name, value in metadata if name.lower() == "authorization"]
        return self._admit([value for value in given if isinstance(value, str)], need or Need.READ)

    def is_open(self, method: str, path: str) -> bool:
        """Whether a request over HTTP needs no token, even where others do."""
        if method not in ("GET", "HEAD"):
            return False
        return (self._open_health and path in HEALTH_PATHS) or (self._open_metrics and path == METRICS_PATH)

    def _admit(self, given: list[str], need: Need) -> str:
        token = self._find(given)
        if need not in token.scopes:
            raise Forbidden(need, sorted(token.scopes))
        return token.name

    def _find(self, given: list[str]) -> Token:
        bearer = given[0] if len(given) == 1 else ""  # of several, a proxy might have seen another one
        if bearer[: len(_BEARER)].lower() != _BEARER:
            raise Unauthenticated
        token = self._store.tokens.find(bearer[len(_BEARER) :].strip(" "))
        if token is None or not token.good_at(now_utc()):
            raise Unauthenticated(given=True)
        return token


class Gate:
    """ASGI middleware within a visit: answers those who may not come in, before a byte of their body is read."""

    def __init__(
        self, app: ASGIApp, auth: Auth, refuse: Callable[[Request, ServiceError], Awaitable[Response]]
    ) -> None:
        self._app = app
        self._auth = auth
        self._refuse = refuse

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            if scope["type"] == "http":
                self._admit(scope)
        except ServiceError as exc:
            response = await self._refuse(Request(scope), exc)
            await response(scope, receive, send)
        else:
            await self._app(scope, receive, send)

    def _admit(self, scope: Scope) -> None:
        if scope.get(CROWDED_KEY) and scope["path"] not in REACHABLE_PATHS:
            raise ConnectionsFull
        name = self._auth.authorize_request(scope["method"], scope["path"], scope["headers"])
        if name is not None:
            visit_of(Request(scope)).client = name
