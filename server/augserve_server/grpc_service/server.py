"""The gRPC server: its address, its limits on clients, its start and its end."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, Final

import grpc

from augserve_server.grpc_service.arrivals import Arrivals
from augserve_server.grpc_service.health import health_methods
from augserve_server.grpc_service.methods import inference_methods
from augserve_server.grpc_service.rpcs import Authorize, Rpcs, anyone
from augserve_server.service import Service
from augserve_server.settings import Settings
from augserve_server.tls import grpc_credentials

MAX_HEAD_BYTES: Final = 64 * 1024
"""What a message may have beside the bytes of its tensors."""
STREAMS_OF_CONNECTION: Final = 256
"""Most calls at a time on one connection; further ones wait in their client."""
CONNECTION_AGE_S: Final = 3600
"""After so long, a connection takes no new calls, and those it has get the time of a request to end."""
PING_EVERY_S: Final = 30
PING_TIMEOUT_S: Final = 20
LEAST_PING_INTERVAL_S: Final = 10
"""A client that pings more often is cut off."""
STOP_S: Final = 1.0
"""What is answered already has so long to be sent."""


class GrpcServer:
    """One for each app. ``port`` is where it listens, from its making on. To be made in the event loop.

    It speaks TLS where HTTP does. Raises OSError where the address cannot be had.
    """

    def __init__(self, service: Service, settings: Settings, port: int, authorize: Authorize = anyone) -> None:
        largest = settings.max_body_bytes + MAX_HEAD_BYTES
        arrivals = Arrivals(max(settings.queue_bytes // largest, 1))
        self._server = grpc.aio.server(
            handlers=[Rpcs(service, [*inference_methods(service), *health_methods(service)], arrivals, authorize)],
            options=_options(settings, largest),
            maximum_concurrent_rpcs=settings.max_connections,
        )
        self._leaving: asyncio.Task[None] | None = None
        address = f"[{settings.host}]:{port}" if ":" in settings.host else f"{settings.host}:{port}"
        credentials = grpc_credentials(settings)
        try:
            if credentials is None:
                self.port = self._server.add_insecure_port(address)
            else:
                self.port = self._server.add_secure_port(address, credentials)
        except RuntimeError as exc:
            raise OSError(f"gRPC cannot listen on {address}: it is taken, or not this machine's") from exc

    async def start(self) -> None:
        """Begin to answer."""
        await self._server.start()

    def leave(self, grace_s: float) -> None:
        """Listen no more, and ask clients to go elsewhere with their next calls; those that are open may end."""
        self._leaving = asyncio.create_task(self._server.stop(grace_s), name="augserve-grpc-leave")

    async def stop(self) -> None:
        """Cut off what is still open after a moment: streams in which nothing happens."""
        await self._server.stop(STOP_S)
        if self._leaving is not None:
            await self._leaving


def _options(settings: Settings, largest: int) -> Sequence[tuple[str, Any]]:
    return (
        ("grpc.max_receive_message_length", largest),  # of a compressed message too, once it is not
        ("grpc.max_send_message_length", -1),
        ("grpc.so_reuseport", int(settings.workers is not None)),  # else a port that is taken is an error
        ("grpc.max_concurrent_streams", STREAMS_OF_CONNECTION),
        ("grpc.max_allowed_incoming_connections", settings.max_connections),
        ("grpc.server_handshake_timeout_ms", int(settings.head_timeout_s * 1000)),
        ("grpc.max_connection_idle_ms", settings.keep_alive_s * 1000),
        ("grpc.max_connection_age_ms", CONNECTION_AGE_S * 1000),
        ("grpc.max_connection_age_grace_ms", settings.deadline_ms),
        ("grpc.keepalive_time_ms", PING_EVERY_S * 1000),
        ("grpc.keepalive_timeout_ms", PING_TIMEOUT_S * 1000),
        ("grpc.http2.min_ping_interval_without_data_ms", LEAST_PING_INTERVAL_S * 1000),
    )
