"""One RPC: who calls, its messages under limits of size and time, and the status that ends it."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Mapping, Sequence
from typing import Any, Final, TypeAlias
from urllib.parse import unquote

import grpc

from augserve.wire import REQUEST_ID_HEADER
from augserve_server.admission import Load, Ticket
from augserve_server.errors import BodyTimeout, ClientGone, DeadlineExceeded, ServiceError
from augserve_server.grpc_service.arrivals import Arrivals
from augserve_server.settings import Settings
from augserve_server.visits import Visit

Metadata: TypeAlias = Sequence[tuple[str, str | bytes]]
Context: TypeAlias = "grpc.aio.ServicerContext[bytes, bytes]"

MAX_DETAIL: Final = 1500
"""Of characters: what is told travels in a header, percent-encoded, and clients take 8 KiB of headers."""
QUIET_PATHS: Final = (
    "/grpc.health.v1.Health/Check",
    "/grpc.health.v1.Health/Watch",
    "/inference.GRPCInferenceService/ServerLive",
    "/inference.GRPCInferenceService/ServerReady",
)
SLOWEST_BYTES_PER_S: Final = 256 * 1024
"""A client that takes its answer more slowly is not waited for."""
ERROR_KEY: Final = "augserve-error"
PUSHBACK_KEY: Final = "grpc-retry-pushback-ms"

CODES: Final[Mapping[int, grpc.StatusCode]] = {
    401: grpc.StatusCode.UNAUTHENTICATED,
    403: grpc.StatusCode.PERMISSION_DENIED,
    404: grpc.StatusCode.NOT_FOUND,
    408: grpc.StatusCode.DEADLINE_EXCEEDED,
    413: grpc.StatusCode.RESOURCE_EXHAUSTED,
    429: grpc.StatusCode.UNAVAILABLE,
    499: grpc.StatusCode.CANCELLED,
    501: grpc.StatusCode.UNIMPLEMENTED,
    503: grpc.StatusCode.UNAVAILABLE,
    504: grpc.StatusCode.DEADLINE_EXCEEDED,
}


class Call:
    """An RPC that is open."""

    def __init__(self, context: Context, path: str, settings: Settings, arrivals: Arrivals) -> None:
        self.path = path
        self.metadata: Metadata = tuple(context.invocation_metadata() or ())
        self.peer = host_of(context.peer())
        self.client = self.peer
        """Who calls: the peer's address, or the name of its token."""
        self._context = context
        self._settings = settings
        self._arrivals = arrivals

    @property
    def headers(self) -> dict[str, str]:
        """The metadata that is text, the first value of each name."""
        return {key: value for key, value in reversed(self.metadata) if isinstance(value, str)}

    @property
    def remaining_ms(self) -> int | None:
        """Until the client's deadline; None without one."""
        left: float | None = self._context.time_remaining()
        return None if left is None else math.ceil(left * 1000)

    async def only_message(self) -> bytes:
        """The message of a call that has one. Raises BodyTimeout or ClientGone."""
        total_s = self._settings.body_timeout_s
        try:
            async with asyncio.timeout(total_s), self._arrivals.one_of(self.client):
                message = await self.next_message()
        except TimeoutError as exc:
            raise BodyTimeout(total_s, total_s) from exc
        if message is None:
            raise ClientGone
        return message

    async def next_message(self) -> bytes | None:
        """The next message; None where the client sends no more, or where gRPC has refused what it sent."""
        message: Any = await self._context.read()
        return None if message is grpc.aio.EOF else message

    async def send(self, message: bytes) -> None:
        """Send a message, and wait until the connection has taken it. Raises ClientGone where it does not."""
        try:
            async with asyncio.timeout(self._settings.write_timeout_s + len(message) / SLOWEST_BYTES_PER_S):
                await self._context.write(message)
        except TimeoutError as exc:
            raise ClientGone from exc

    def end_with(self, error: ServiceError, request_id: str) -> None:
        """Let the call end with an error once its handler returns."""
        told = {REQUEST_ID_HEADER.lower(): request_id, ERROR_KEY: error.slug}
        if "Retry-After" in error.headers:
            told[PUSHBACK_KEY] = str(int(error.headers["Retry-After"]) * 1000)
        self._context.set_code(code_of(error))
        self._context.set_details(error.detail[:MAX_DETAIL])
        self._context.set_trailing_metadata(tuple(told.items()))


class RpcVisit(Visit):
    """One request over gRPC."""

    def __init__(self, call: Call, ticket: Ticket) -> None:
        super().__init__("RPC", call.path, call.headers, call.peer, ticket)
        self.client = call.client
        self.limit_ms = call.remaining_ms
        self.called = ""
        """What the request calls itself, once it is read."""
        self._call = call

    def hold(self, message: bytes) -> None:
        """A message is here. Raises QueueFull or TooMuchWork where it does not fit."""
        self.received += len(message)
        self.ticket.take(Load(bytes=len(message)))

    @property
    def quiet(self) -> bool:
        return self.path in QUIET_PATHS

    @property
    def span_attributes(self) -> dict[str, str | int]:
        return {"rpc.system": "grpc", "rpc.method": self.path, "http.response.status_code": self.status}

    @property
    def why_cancelled(self) -> ServiceError:
        """Why gRPC has cancelled the call: the client did, or its deadline has passed."""
        return ClientGone() if self._call.remaining_ms else DeadlineExceeded(self.limit_ms or 0, self.timings.stage)


def code_of(error: ServiceError) -> grpc.StatusCode:
    """The status code of an error, by its HTTP status."""
    default = grpc.StatusCode.INVALID_ARGUMENT if error.status < 500 else grpc.StatusCode.INTERNAL
    return CODES.get(error.status, default)


def host_of(peer: str) -> str:
    """The address of a peer without its port: ``127.0.0.1`` for ``ipv4:127.0.0.1:50000``.

    An IPv4 address that a socket for both families has as IPv6 is told as IPv4.
    """
    family, _, address = unquote(peer).partition(":")
    if family not in ("ipv4", "ipv6"):
        return peer
    return address.rpartition(":")[0].strip("[]").removeprefix("::ffff:")
