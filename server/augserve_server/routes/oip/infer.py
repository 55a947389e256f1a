"""POST /v2/models/{name}/infer: tensors in, tensors out."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Final

from starlette.requests import Request
from starlette.routing import Route

from augserve.wire import InvalidBody, oip
from augserve_server.answers import Answer
from augserve_server.errors import BodyMalformed, OutputTooLarge
from augserve_server.oip.inference import find
from augserve_server.oip.names import IMAGE
from augserve_server.oip.shared_tensors import inference_of
from augserve_server.replies import Reply
from augserve_server.requests import unless_gone
from augserve_server.routes.direct import read_timeout_ms
from augserve_server.routes.oip.bodies import compressed, head_limits, read_body
from augserve_server.routes.shared import within
from augserve_server.service import Service
from augserve_server.visits import Visit, visit_of

LONG_HEAD: Final = 1 << 14
"""Longer JSON than this is parsed in a thread: a MiB of it takes tens of milliseconds."""
JSON_OUTPUT_BYTES: Final = 4 << 20
"""Most bytes of tensors that are sent as JSON: as text they are five times as large, and ten times in the making."""


async def infer(request: Request) -> Reply:
    """Run a pipeline over tensors."""
    service: Service = request.app.state.service
    visit = visit_of(request)
    name, version = request.path_params["name"], request.path_params.get("version", "")
    visit.pipeline = find(service.catalog, name, version).name
    answer = await within(read_timeout_ms(request), service, visit, _work(request, service, visit, name, version))
    return Reply(await compressed(answer, request.headers.get("accept-encoding", ""), service))


async def _work(request: Request, service: Service, visit: Visit, name: str, version: str) -> Answer:
    asked = await _read(request, service, visit, name, version)
    work = inference_of(service).infer(asked, visit)
    asked = replace(asked, inputs=())  # the body need not be kept for what else is asked
    response = await unless_gone(request, work)
    return await _answer(response, asked)


async def _read(request: Request, service: Service, visit: Visit, name: str, version: str) -> oip.InferRequest:
    body = await read_body(request, service, visit)
    limits = head_limits(service)

    def read() -> oip.InferRequest:
        return oip.read_request(body, length, name, version, raw_input=IMAGE, limits=limits)

    try:
        length = oip.read_head_length(request.headers.get(oip.HEAD_LENGTH_HEADER), len(body))
        long = (len(body) if length is None else length) > LONG_HEAD
        return await asyncio.to_thread(read) if long else read()
    except InvalidBody as exc:
        raise BodyMalformed(str(exc), field="body") from exc


async def _answer(response: oip.InferResponse, asked: oip.InferRequest) -> Answer:
    """The response as the request wants each output of it."""
    try:
        size = sum(output.nbytes for output in response.outputs if not oip.wants_binary(asked, output.name))
        if size > JSON_OUTPUT_BYTES:
            raise OutputTooLarge(size, JSON_OUTPUT_BYTES, " as JSON; ask for binary data")
        if size > LONG_HEAD:
            message = await asyncio.to_thread(oip.write_response, response, asked)
        else:
            message = oip.write_response(response, asked)
    except InvalidBody as exc:
        raise BodyMalformed(str(exc), field="outputs") from exc
    headers = dict(message.headers)
    return Answer(200, headers.pop("Content-Type"), message.buffers, headers)


ROUTES: Final = [
    Route("/v2/models/{name}/infer", infer, methods=["POST"]),
    Route("/v2/models/{name}/versions/{version}/infer", infer, methods=["POST"]),
]
