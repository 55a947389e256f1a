"""Endpoints whose query is one model: checked by that model at once, where FastAPI looks every field up by itself."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Coroutine
from functools import lru_cache
from typing import Annotated, Any, Final, get_type_hints
from urllib.parse import parse_qsl

from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from pydantic import BaseModel, Field, TypeAdapter, ValidationError
from starlette.requests import Request
from starlette.responses import Response

from augserve.wire import TIMEOUT_MS_HEADER, TIMEOUT_MS_LIMIT
from augserve_server.errors import ParameterInvalid
from augserve_server.visits import visit_of

MOST_REMEMBERED: Final = 256
"""Queries that were read: most clients send one and the same."""

_TIMEOUT_KEY: Final = TIMEOUT_MS_HEADER.lower()
_TIMEOUT: Final = TypeAdapter[int](Annotated[int, Field(ge=1, le=TIMEOUT_MS_LIMIT)])


class Direct(APIRoute):
    """A route for endpoints with parameters ``query``, a model, and ``timeout_ms``, besides those of the path.

    The document that FastAPI writes of the endpoint is the same. With this, and tensor bodies written without another
    thread, a small request's 0.70 ms on the event loop became 0.40 (Zen 4).
    """

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """What answers a request. Raises RequestValidationError, as FastAPI's own does, and ParameterInvalid."""
        endpoint, model = self.endpoint, get_type_hints(self.endpoint)["query"]

        async def handle(request: Request) -> Response:
            query, timeout_ms = read_query(request.scope["query_string"], model), read_timeout_ms(request)
            response: Response = await endpoint(request, **request.path_params, query=query, timeout_ms=timeout_ms)
            return response

        return handle


@lru_cache(MOST_REMEMBERED)
def read_query(query_string: bytes, model: type[BaseModel]) -> BaseModel:
    """A query as ``model``, which is frozen: the same object for the same query.

    Raises ParameterInvalid for a parameter that is given more than once, RequestValidationError for other faults.
    """
    pairs = parse_qsl(query_string.decode("latin-1"), keep_blank_values=True)
    given = dict(pairs)
    if len(given) < len(pairs):
        several = next(name for name, count in Counter(name for name, _ in pairs).items() if count > 1)
        raise ParameterInvalid(several, ", ".join(value for name, value in pairs if name == several), "given once")
    try:
        return model.model_validate(given)
    except ValidationError as exc:
        raise RequestValidationError(exc.errors(include_url=False)) from exc


def read_timeout_ms(request: Request) -> int | None:
    """The deadline that a request's header gives it. Raises RequestValidationError where it is none."""
    given = visit_of(request).carrier.get(_TIMEOUT_KEY)
    if given is None:
        return None
    try:
        return _TIMEOUT.validate_python(given)
    except ValidationError as exc:
        error = {**exc.errors(include_url=False)[0], "loc": ("header", TIMEOUT_MS_HEADER)}
        raise RequestValidationError([error]) from exc
