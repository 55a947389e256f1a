"""The repository, the log and the trace: for all to read, and to be changed where that is allowed."""

from __future__ import annotations

from typing import Any, Final

from starlette.requests import Request
from starlette.routing import Route

from augserve_server.errors import ParameterInvalid
from augserve_server.oip import repository
from augserve_server.oip.controls import change_log, change_trace, log_document, trace_document
from augserve_server.oip.inference import find
from augserve_server.replies import Reply
from augserve_server.routes.oip.bodies import read_object
from augserve_server.routes.oip.information import document, nothing, service_of
from augserve_server.visits import visit_of


async def index(request: Request) -> Reply:
    """Every pipeline, served or not."""
    ready = (await _object(request)).get("ready", False)
    if not isinstance(ready, bool):
        raise ParameterInvalid("ready", ready, "true or false")
    return document(repository.index_document(service_of(request).catalog, ready))


async def load(request: Request) -> Reply:
    """Read a pipeline's file again, and serve it."""
    parameters = _parameters(await _object(request))
    await repository.load(service_of(request), request.path_params["name"], parameters)
    return nothing()


async def unload(request: Request) -> Reply:
    """Serve a pipeline no more."""
    _parameters(await _object(request))
    await repository.unload(service_of(request), request.path_params["name"])
    return nothing()


async def log(request: Request) -> Reply:
    """What is logged, and changing that."""
    if request.method == "POST":
        given = await _object(request)
        repository.check_control(service_of(request), "changing what is logged")
        change_log(given)
    return document(log_document())


async def trace(request: Request) -> Reply:
    """What is traced."""
    if "name" in request.path_params:
        find(service_of(request).catalog, request.path_params["name"])
    if request.method == "POST":
        given = await _object(request)
        repository.check_control(service_of(request), "changing what is traced")
        change_trace(given)
    return document(trace_document())


async def _object(request: Request) -> dict[str, Any]:
    return await read_object(request, service_of(request), visit_of(request))


def _parameters(body: dict[str, Any]) -> dict[str, Any]:
    parameters = body.get("parameters", {})
    if not isinstance(parameters, dict):
        raise ParameterInvalid("parameters", parameters, "an object")
    return parameters


ROUTES: Final = [
    Route("/v2/repository/index", index, methods=["POST"]),
    Route("/v2/repository/{repository}/index", index, methods=["POST"]),
    Route("/v2/repository/models/{name}/load", load, methods=["POST"]),
    Route("/v2/repository/models/{name}/unload", unload, methods=["POST"]),
    Route("/v2/logging", log, methods=["GET", "POST"]),
    Route("/v2/trace/setting", trace, methods=["GET", "POST"]),
    Route("/v2/models/{name}/trace/setting", trace, methods=["GET", "POST"]),
]
