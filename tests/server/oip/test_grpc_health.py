"""gRPC's own health service, asked with a stub built from its field numbers alone."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import grpc
import pytest

from serving import Live, run_server


@pytest.fixture(scope="module")
def live() -> Iterator[Live]:
    with run_server(grpc_port=0) as live:
        yield live


@pytest.fixture
def channel(live: Live) -> Iterator[grpc.Channel]:
    with grpc.insecure_channel(live.grpc_url) as channel:
        yield channel


def ask(channel: grpc.Channel, method: str) -> Callable[..., Any]:
    """Calls a method of the health service with bytes for messages."""
    return channel.unary_unary(f"/grpc.health.v1.Health/{method}")


def about(service: str) -> bytes:
    """A HealthCheckRequest: field 1, a string."""
    return bytes([0x0A, len(service)]) + service.encode() if service else b""


SERVING = bytes([0x08, 1])


@pytest.mark.parametrize("service", ["", "inference.GRPCInferenceService", "grpc.health.v1.Health"])
def test_a_server_that_is_ready_is_serving(channel: grpc.Channel, service: str) -> None:
    assert ask(channel, "Check")(about(service), timeout=10) == SERVING


def test_a_service_that_is_not_here_is_not_found(channel: grpc.Channel) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        ask(channel, "Check")(about("other.Service"), timeout=10)
    assert caught.value.code() is grpc.StatusCode.NOT_FOUND
    assert "'other.Service'; there are inference.GRPCInferenceService" in caught.value.details()


def test_all_services_are_listed(channel: grpc.Channel) -> None:
    answer = ask(channel, "List")(b"", timeout=10)
    for name in (b"inference.GRPCInferenceService", b"grpc.health.v1.Health"):
        assert bytes([0x0A, len(name)]) + name + bytes([0x12, len(SERVING)]) + SERVING in answer


def test_a_method_that_is_not_here_is_unimplemented(channel: grpc.Channel) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        ask(channel, "Other")(b"", timeout=10)
    assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED


def test_what_is_no_message_is_an_invalid_argument(channel: grpc.Channel) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        ask(channel, "Check")(b"\xff\xff\xff", timeout=10)
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert caught.value.details() == "these 3 bytes are no grpc.health.v1.HealthCheckRequest"
    trailing = dict(caught.value.trailing_metadata())
    assert trailing["augserve-error"] == "body-malformed"
    assert len(trailing["augserve-request-id"]) == 16
