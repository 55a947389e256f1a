"""Problem details (RFC 9457): what an error looks like on the wire."""

from __future__ import annotations

from typing import Any, Final

from pydantic import BaseModel, ConfigDict

PROBLEM_TYPE_PREFIX: Final = "urn:augserve:error:"


class Problem(BaseModel):
    """An error document: what kind, in short, what exactly, and members that say more (field, value, limit, allowed).

    Members that are not declared here are kept, and are attributes too: ``problem.limit``.
    """

    model_config = ConfigDict(extra="allow", frozen=True)

    type: str = "about:blank"
    title: str = ""
    status: int = 500
    detail: str = ""
    request_id: str | None = None

    @property
    def slug(self) -> str:
        """The kind in short, such as ``image-corrupt``; the whole ``type`` where it is not one of ours."""
        return self.type.removeprefix(PROBLEM_TYPE_PREFIX)

    @property
    def members(self) -> dict[str, Any]:
        """The members that are not declared: ``field``, ``value``, ``limit``, ``allowed`` and the like."""
        return dict(self.model_extra or {})

    def to_json(self) -> bytes:
        """The document as sent; absent members are left out."""
        return self.model_dump_json(exclude_none=True).encode()
