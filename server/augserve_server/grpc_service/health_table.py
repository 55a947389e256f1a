"""The messages of ``grpc.health.v1.Health``, which load balancers and Kubernetes ask."""

from __future__ import annotations

from typing import Final

from augserve_server.grpc_service.proto import Table

HEALTH: Final = Table(
    "grpc/health/v1/health.proto",
    "grpc.health.v1",
    {
        "HealthCheckRequest": "string service = 1",
        "HealthCheckResponse": "HealthCheckResponse.ServingStatus status = 1",
        "HealthListRequest": "",
        "HealthListResponse": "map HealthCheckResponse statuses = 1",
    },
    {"HealthCheckResponse.ServingStatus": ["UNKNOWN", "SERVING", "NOT_SERVING", "SERVICE_UNKNOWN"]},
)
