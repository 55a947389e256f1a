"""The place that every RPC comes through: found by its path, let in, answered, and ended with a status."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeAlias, TypeVar

import grpc

from augserve_server.errors import InternalError, ServiceError
from augserve_server.grpc_service.arrivals import Arrivals
from augserve_server.grpc_service.calls import Call, Context, Metadata, RpcVisit
from augserve_server.service import Service
from augserve_server.visits import Counted

Made = TypeVar("Made")
Answer: TypeAlias = Callable[[Any, RpcVisit], Awaitable[bytes]]
Converse: TypeAlias = Callable[[Call], Awaitable[None]]

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Unary:
    """A method that answers one message with one."""

    path: str
    read: Callable[[bytes], Any]
    """What its message says; the message itself is not kept. Raises BodyMalformed."""
    answer: Answer
    works: bool = False
    """Whether it makes work, so that it is refused unread where there is too much."""


@dataclass(frozen=True, slots=True)
class Streaming:
    """A method that takes and sends messages until the client has no more. It raises ServiceError to end so."""

    path: str
    converse: Converse
    works: bool = False


Method: TypeAlias = Unary | Streaming

Authorize: TypeAlias = Callable[[Metadata, str], str | None]
"""Says by metadata and path who calls, or None where nobody has to say. Raises ServiceError for who may not."""


def anyone(metadata: Metadata, path: str) -> str | None:
    """Whoever calls may, and is known by its address."""
    return None


class Rpcs(grpc.GenericRpcHandler):
    """Every method of the gRPC services, by its path.

    All are streams to gRPC, from which a call of one message differs in nothing: so a message is read when we say so.
    """

    def __init__(
        self, service: Service, methods: Sequence[Method], arrivals: Arrivals, authorize: Authorize = anyone
    ) -> None:
        self._service = service
        self._authorize = authorize
        self._arrivals = arrivals
        self._handlers: dict[str, grpc.RpcMethodHandler[Any, Any]] = {
            method.path: grpc.stream_stream_rpc_method_handler(partial(self._handle, method)) for method in methods
        }

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler[Any, Any] | None:
        """The handler of a call; without one, gRPC answers UNIMPLEMENTED."""
        return self._handlers.get(handler_call_details.method)

    async def _handle(self, method: Method, _: object, context: Context) -> None:
        call = Call(context, method.path, self._service.settings, self._arrivals)
        with Counted(self._service, partial(RpcVisit, call)) as visit:
            work = self._answer(method, call, visit) if isinstance(method, Unary) else self._let_in(method, call, visit)
            outcome = await settled(self._service, visit, work)
            if isinstance(outcome, ServiceError):
                call.end_with(outcome, visit.id)
                return
        if isinstance(method, Streaming):  # a stream may be open and idle: it is no request, those in it are
            try:
                await method.converse(call)
            except ServiceError as exc:
                call.end_with(exc, visit.id)

    async def _let_in(self, method: Method, call: Call, visit: RpcVisit) -> None:
        """Whoever may not come in is told so here, before any of its messages is read."""
        name = self._authorize(call.metadata, call.path)
        if name is not None:
            call.client = visit.client = name
        if method.works:
            self._service.enter()

    async def _answer(self, method: Unary, call: Call, visit: RpcVisit) -> None:
        await self._let_in(method, call, visit)
        request = await self._receive(method, call, visit)
        await call.send(await method.answer(request, visit))

    async def _receive(self, method: Unary, call: Call, visit: RpcVisit) -> Any:
        with visit.timings.at("read"):
            message = await call.only_message()
        visit.hold(message)
        return method.read(message)


async def settled(service: Service, visit: RpcVisit, work: Awaitable[Made]) -> Made | ServiceError:
    """What ``work`` gives, or why it gives nothing; the visit and the metrics know which."""
    try:
        made = await work
        visit.status = visit.status or 200  # an error may be what was sent
        return made
    except asyncio.CancelledError:
        _note(service, visit, visit.why_cancelled)
        raise
    except ServiceError as exc:
        return _note(service, visit, exc)
    except Exception as exc:  # the last resort: whatever it was, the client is told so, and the log has it
        logger.error("request %s failed", visit.id, exc_info=exc)
        return _note(service, visit, InternalError())


def _note(service: Service, visit: RpcVisit, error: ServiceError) -> ServiceError:
    visit.status, visit.error = error.status, error.slug
    service.metrics.error(error)
    return error.alone()
