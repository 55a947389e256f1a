"""Whoever asks may not."""

from __future__ import annotations

from collections.abc import Sequence

from augserve_server.errors.base import ServiceError


class AccessError(ServiceError):
    """The request is not allowed to whoever sent it."""

    status = 403
    slug = "forbidden"
    title = "Forbidden"


class Unauthenticated(AccessError):
    """No bearer token came with the request, or one that is not known or has expired."""

    status = 401
    slug = "unauthenticated"
    title = "Unauthenticated"

    def __init__(self, given: bool = False) -> None:
        """``given``: a token came. Which of the two was wrong with it is not told."""
        self._given = given
        missing = "a bearer token is needed; send Authorization: Bearer TOKEN"
        super().__init__("the bearer token is not known, or has expired" if given else missing)

    @property
    def headers(self) -> dict[str, str]:
        error = ', error="invalid_token"' if self._given else ""
        return {"WWW-Authenticate": f'Bearer realm="augserve"{error}'}


class Forbidden(AccessError):
    """The token is good, but not for this."""

    def __init__(self, needed: str, scopes: Sequence[str]) -> None:
        self._needed = needed
        detail = f"this needs a token with the scope '{needed}'; this one has {', '.join(sorted(scopes))}"
        super().__init__(detail, allowed=str(needed))

    @property
    def headers(self) -> dict[str, str]:
        return {"WWW-Authenticate": f'Bearer realm="augserve", error="insufficient_scope", scope="{self._needed}"'}
