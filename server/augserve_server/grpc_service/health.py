"""``grpc.health.v1.Health``: whether to send work here, as load balancers and Kubernetes ask it."""

from __future__ import annotations

from functools import partial
from typing import Any, Final

from augserve_server.errors import RequestError
from augserve_server.grpc_service.calls import RpcVisit
from augserve_server.grpc_service.messages import messages, question
from augserve_server.grpc_service.rpcs import Method, Unary
from augserve_server.service import Service

HEALTH_SERVICE: Final = "grpc.health.v1.Health"
INFERENCE_SERVICE: Final = "inference.GRPCInferenceService"
SERVICES: Final = ("", INFERENCE_SERVICE, HEALTH_SERVICE)
"""What may be asked about: the server as a whole, and each of its services."""


class ServiceUnknown(RequestError):
    """There is no such service."""

    status = 404
    slug = "not-found"
    title = "Not found"


def health_methods(service: Service) -> list[Method]:
    """Check and List. Watch is left unanswered: those who call it know to take that for healthy."""

    def status() -> Any:
        status = "NOT_SERVING" if service.unready() else "SERVING"
        return messages()["HealthCheckResponse"](status=status)

    async def check(request: Any, _: RpcVisit) -> bytes:
        if request.service not in SERVICES:
            raise ServiceUnknown(f"there is no service {request.service[:80]!r}; there are {', '.join(SERVICES[1:])}")
        answer: bytes = status().SerializeToString()
        return answer

    async def every(_: Any, __: RpcVisit) -> bytes:
        answer = messages()["HealthListResponse"]()
        for name in SERVICES:
            answer.statuses[name].CopyFrom(status())
        written: bytes = answer.SerializeToString()
        return written

    return [
        Unary(f"/{HEALTH_SERVICE}/Check", partial(question, "HealthCheckRequest"), check),
        Unary(f"/{HEALTH_SERVICE}/List", partial(question, "HealthListRequest"), every),
    ]
