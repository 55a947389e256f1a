"""Every message that the gRPC services speak."""

from __future__ import annotations

from functools import cache
from typing import Any, Final

from google.protobuf.message import DecodeError

from augserve_server.errors import BodyMalformed, BodyTooLarge
from augserve_server.grpc_service.config_table import CONFIG
from augserve_server.grpc_service.health_table import HEALTH
from augserve_server.grpc_service.inference_table import INFERENCE
from augserve_server.grpc_service.proto import Messages

MAX_QUESTION_BYTES: Final = 256 * 1024
"""Of a message that asks for no inference. Nothing else runs while one is parsed: 60 ms, at its worst, on one core."""


@cache
def messages() -> Messages:
    """The classes by name: ``messages()["ModelInferRequest"]``."""
    return Messages([CONFIG, INFERENCE, HEALTH])


def question(name: str, data: bytes) -> Any:
    """The message of a name that asks for no inference, and so is small. Raises BodyMalformed or BodyTooLarge."""
    if len(data) > MAX_QUESTION_BYTES:
        raise BodyTooLarge(len(data), MAX_QUESTION_BYTES)
    return parsed(name, data)


def parsed(name: str, data: bytes) -> Any:
    """The message of a name that these bytes are. Raises BodyMalformed."""
    kind = messages()[name]
    try:
        return kind.FromString(data)
    except DecodeError as exc:
        raise BodyMalformed(f"these {len(data)} bytes are no {kind.DESCRIPTOR.full_name}", field="body") from exc
