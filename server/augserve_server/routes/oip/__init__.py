"""The Open Inference Protocol over REST, under /v2; bodies are read as they are, whatever content type they have.

They are not in the OpenAPI document, which has no words for JSON with bytes behind it: docs/protocol.md is their page.
"""

from __future__ import annotations

from starlette.routing import BaseRoute

from augserve_server.routes.oip import infer, information, management


def routes() -> list[BaseRoute]:
    """Every route, the more special ones first."""
    return [*information.ROUTES, *management.ROUTES, *infer.ROUTES]
