"""ModelInfer and ModelStreamInfer: requests read, answered by the same inference as over HTTP, and written."""

from __future__ import annotations

from typing import Final

from augserve.wire.oip import InferRequest, InferResponse
from augserve_server.errors import QueueFull
from augserve_server.grpc_service.calls import Call, RpcVisit
from augserve_server.grpc_service.streams import Stream
from augserve_server.grpc_service.tensors import write_response
from augserve_server.oip.shared_tensors import Infers
from augserve_server.routes.shared import within
from augserve_server.service import Service

MAX_STREAMS: Final = 256
"""Most streams open at a time: each of them may have one message arriving."""


class Inferring:
    """What the two methods do."""

    def __init__(self, service: Service, inference: Infers) -> None:
        self._service = service
        self._inference = inference
        self._streams = 0

    async def infer(self, request: InferRequest, visit: RpcVisit) -> bytes:
        """Answer one request."""
        return write_response(await self._respond(request, visit))

    async def stream(self, call: Call) -> None:
        """Answer the requests of a stream. Raises QueueFull where there are too many streams."""
        if self._streams >= MAX_STREAMS:
            raise QueueFull(1, f"{MAX_STREAMS} streams")
        self._streams += 1
        try:
            await Stream(self._service, self._respond, call).run()
        finally:
            self._streams -= 1

    async def _respond(self, request: InferRequest, visit: RpcVisit) -> InferResponse:
        """The response to a request, within the shortest of the time limits."""
        allowed_ms = self._service.settings.deadline_ms
        limit_ms = allowed_ms if visit.limit_ms is None else min(visit.limit_ms, allowed_ms)
        return await within(limit_ms, self._service, visit, self._inference.infer(request, visit))
