"""Shared memory: registering, asking for and unregistering regions. CUDA's has no regions here."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any, Final

from starlette.requests import Request
from starlette.routing import Route

from augserve_server.errors import ParameterInvalid, RegionNotFound, SharedMemoryOff
from augserve_server.oip import regions
from augserve_server.oip.shared_tensors import usable
from augserve_server.replies import Reply
from augserve_server.routes.oip.bodies import read_body, read_object
from augserve_server.routes.oip.information import document, nothing, service_of
from augserve_server.visits import visit_of


async def status(request: Request) -> Reply:
    """The regions that the client has registered, or one of them."""
    found = regions.status(service_of(request), visit_of(request), request.path_params.get("region"))
    return document([asdict(region) for region in found])


async def register(request: Request) -> Reply:
    """Give a name to a part of an object that the client has made."""
    service, visit = service_of(request), visit_of(request)
    usable(service.regions, visit)
    given = await read_object(request, service, visit)
    key = given.get("key")
    if not isinstance(key, str):
        raise ParameterInvalid("key", key, "a string: the key of a shared memory object")
    sizes = (_size(given, "offset", 0), _size(given, "byte_size", None))
    regions.register(service, visit, request.path_params["region"], key, *sizes)
    return nothing()


async def unregister(request: Request) -> Reply:
    """Forget a region, or all that the client has registered."""
    service, visit = service_of(request), visit_of(request)
    await read_body(request, service, visit)
    regions.unregister(service, visit, request.path_params.get("region"))
    return nothing()


async def cuda_status(request: Request) -> Reply:
    """No region."""
    if "region" in request.path_params:
        raise RegionNotFound(request.path_params["region"])
    return document([])


async def cuda_register(request: Request) -> Reply:
    """There is no CUDA shared memory here."""
    raise SharedMemoryOff("CUDA")


async def cuda_unregister(request: Request) -> Reply:
    """There is nothing to forget, which is no mistake."""
    await read_body(request, service_of(request), visit_of(request))
    return nothing()


def _size(given: dict[str, Any], name: str, default: int | None) -> int:
    size = given.get(name, default)
    if isinstance(size, bool) or not isinstance(size, int):
        raise ParameterInvalid(name, size, "an integer: a number of bytes")
    return size


ROUTES: Final = [
    Route("/v2/systemsharedmemory/status", status, methods=["GET"]),
    Route("/v2/systemsharedmemory/region/{region}/status", status, methods=["GET"]),
    Route("/v2/systemsharedmemory/region/{region}/register", register, methods=["POST"]),
    Route("/v2/systemsharedmemory/unregister", unregister, methods=["POST"]),
    Route("/v2/systemsharedmemory/region/{region}/unregister", unregister, methods=["POST"]),
    Route("/v2/cudasharedmemory/status", cuda_status, methods=["GET"]),
    Route("/v2/cudasharedmemory/region/{region}/status", cuda_status, methods=["GET"]),
    Route("/v2/cudasharedmemory/region/{region}/register", cuda_register, methods=["POST"]),
    Route("/v2/cudasharedmemory/unregister", cuda_unregister, methods=["POST"]),
    Route("/v2/cudasharedmemory/region/{region}/unregister", cuda_unregister, methods=["POST"]),
]
