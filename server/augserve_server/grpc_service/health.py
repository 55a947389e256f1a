"""``grpc.health.v1.Health``: whether to send work here, as load balancers and Kubernetes ask it."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Any, Final

from augserve_server.errors import Draining, QueueFull, RequestError
from augserve_server.grpc_service.calls import Call, RpcVisit
from augserve_server.grpc_service.messages import messages, question
from augserve_server.grpc_service.rpcs import Method, Streaming, Unary
from augserve_server.service import Service

HEALTH_SERVICE: Final = "grpc.health.v1.Health"
INFERENCE_SERVICE: Final = "inference.GRPCInferenceService"
SERVICES: Final = ("", INFERENCE_SERVICE, HEALTH_SERVICE)
"""What may be asked about: the server as a whole, and each of its services."""
MAX_WATCHERS: Final = 256
"""Most calls of Watch open at a time."""
LOOK_EVERY_S: Final = 0.5
"""How often it is looked whether a watcher is to be told."""


class ServiceUnknown(RequestError):
    """There is no such service."""

    status = 404
    slug = "not-found"
    title = "Not found"


def health_methods(service: Service) -> list[Method]:
    """Check, List and Watch."""
    health = _Health(service)
    asked = partial(question, "HealthCheckRequest")
    return [
        Unary(f"/{HEALTH_SERVICE}/Check", asked, health.check),
        Unary(f"/{HEALTH_SERVICE}/List", partial(question, "HealthListRequest"), health.list),
        Streaming(f"/{HEALTH_SERVICE}/Watch", health.watch),
    ]


class _Health:
    def __init__(self, service: Service) -> None:
        self._service = service
        self._watchers = 0

    async def check(self, request: Any, _: RpcVisit) -> bytes:
        if request.service not in SERVICES:
            raise ServiceUnknown(f"there is no service {request.service[:80]!r}; there are {', '.join(SERVICES[1:])}")
        return _written(self._status())

    async def list(self, _: Any, __: RpcVisit) -> bytes:
        answer = messages()["HealthListResponse"]()
        for name in SERVICES:
            answer.statuses[name].status = self._status()
        written: bytes = answer.SerializeToString()
        return written

    async def watch(self, call: Call) -> None:
        """Tell the status now, and whenever it is another one, until the client or the server goes away.

        Raises Draining once it was told that the server does, so that the client asks elsewhere; QueueFull where there
        are too many watchers.
        """
        request = question("HealthCheckRequest", await call.only_message())
        if self._watchers >= MAX_WATCHERS:
            raise QueueFull(1, f"{MAX_WATCHERS} watchers of health")
        self._watchers += 1
        try:
            await self._tell(call, request.service in SERVICES)
        finally:
            self._watchers -= 1

    async def _tell(self, call: Call, known: bool) -> None:
        told = ""
        while True:
            status = self._status() if known else "SERVICE_UNKNOWN"  # it may come to be, says the protocol: no error
            if status != told:
                await call.send(_written(status))
                told = status
            elif self._service.draining:  # not at once: a client may take the end before what was told just now
                raise Draining
            await asyncio.sleep(LOOK_EVERY_S)

    def _status(self) -> str:
        return "NOT_SERVING" if self._service.unready() else "SERVING"


def _written(status: str) -> bytes:
    written: bytes = messages()["HealthCheckResponse"](status=status).SerializeToString()
    return written
