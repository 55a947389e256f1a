"""ModelStreamInfer: many requests in one call, several of them in work, answered in their order."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Final, TypeAlias

from augserve.wire.oip import InferRequest, InferResponse
from augserve_server.errors import ServiceError
from augserve_server.grpc_service.calls import Call, RpcVisit
from augserve_server.grpc_service.messages import messages
from augserve_server.grpc_service.rpcs import settled
from augserve_server.grpc_service.tensors import read_streamed, write_in_stream, write_response
from augserve_server.service import Service
from augserve_server.visits import Counted

AHEAD: Final = 16
"""Most requests of one stream that are in work, or wait for those before them to be answered."""
STATUS_KEY: Final = "triton_grpc_error"
"""A client that sends it as ``true`` wants the stream to end with the status of the first error."""

Respond: TypeAlias = Callable[[InferRequest, RpcVisit], Awaitable[InferResponse]]


class Stream:
    """One open stream."""

    def __init__(self, service: Service, respond: Respond, call: Call) -> None:
        self._service = service
        self._respond = respond
        self._call = call
        self._ends_at_errors = call.headers.get(STATUS_KEY) == "true"
        self._places = asyncio.Semaphore(AHEAD)

    async def run(self) -> None:
        """Answer until the client sends no more, and all that it sent is answered.

        Raises ServiceError where the client has gone, or wants the stream to end at errors.
        """
        failed: list[ServiceError] = []
        try:
            async with asyncio.TaskGroup() as tasks:
                await self._take_all(tasks)
        except* ServiceError as group:
            failed = [exc for exc in group.exceptions if isinstance(exc, ServiceError)]
        if failed:
            raise failed[0]

    async def _take_all(self, tasks: asyncio.TaskGroup) -> None:
        turn = asyncio.Event()
        turn.set()
        while True:
            await self._places.acquire()
            message = await self._call.next_message()
            if message is None:
                return
            after = asyncio.Event()
            tasks.create_task(self._answer([message], turn, after))
            turn = after
            del message

    async def _answer(self, arrived: list[bytes], turn: asyncio.Event, after: asyncio.Event) -> None:
        """Answer the request that has ``arrived`` once it is its ``turn``, and let the one ``after`` it have its own.

        The message is taken out of its list when it is read, so that it is not kept beside what it says.
        """
        with Counted(self._service, partial(RpcVisit, self._call)) as visit:
            made = await settled(self._service, visit, self._made(arrived, visit))
            await turn.wait()
            answer = self._told(made, visit) if isinstance(made, ServiceError) else made
            sent = await settled(self._service, visit, self._call.send(answer))
        if isinstance(sent, ServiceError):
            raise sent
        after.set()
        self._places.release()

    async def _made(self, arrived: list[bytes], visit: RpcVisit) -> bytes:
        self._service.enter()
        visit.hold(arrived[0])
        asked = read_streamed(arrived.pop())
        visit.called = asked.request.id
        response = await self._respond(asked.request, visit)
        return write_in_stream(write_response(response, final=asked.wants_final))

    def _told(self, error: ServiceError, visit: RpcVisit) -> bytes:
        """An error as a message, with the id of its request. Raises it where the client wants the stream to end so."""
        if self._ends_at_errors:
            raise error
        told = messages()["ModelStreamInferResponse"](error_message=error.detail)
        told.infer_response.id = visit.called
        written: bytes = told.SerializeToString()
        return written
