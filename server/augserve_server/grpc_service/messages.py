"""Every message that the gRPC services speak."""

from __future__ import annotations

from functools import cache
from typing import Any

from google.protobuf.message import DecodeError

from augserve_server.errors import BodyMalformed
from augserve_server.grpc_service.config_table import CONFIG
from augserve_server.grpc_service.health_table import HEALTH
from augserve_server.grpc_service.inference_table import INFERENCE
from augserve_server.grpc_service.proto import Messages


@cache
def messages() -> Messages:
    """The classes by name: ``messages()["ModelInferRequest"]``."""
    return Messages([CONFIG, INFERENCE, HEALTH])


def parsed(name: str, data: bytes) -> Any:
    """The message of a name that these bytes are. Raises BodyMalformed."""
    kind = messages()[name]
    try:
        return kind.FromString(data)
    except DecodeError as exc:
        raise BodyMalformed(f"these {len(data)} bytes are no {kind.DESCRIPTOR.full_name}", field="body") from exc
