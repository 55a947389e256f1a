"""Every message that the gRPC services speak."""

from __future__ import annotations

from functools import cache

from augserve_server.grpc_service.config_table import CONFIG
from augserve_server.grpc_service.health_table import HEALTH
from augserve_server.grpc_service.inference_table import INFERENCE
from augserve_server.grpc_service.proto import Messages


@cache
def messages() -> Messages:
    """The classes by name: ``messages()["ModelInferRequest"]``."""
    return Messages([CONFIG, INFERENCE, HEALTH])
