"""GET under /v2: health, what the server and its pipelines are, and what they have done."""

from __future__ import annotations

import asyncio
import json
from typing import Any, Final

from starlette.requests import Request
from starlette.routing import Route

from augserve.wire import JSON
from augserve_server.answers import Answer
from augserve_server.catalog import Served
from augserve_server.errors import Unavailable
from augserve_server.oip.inference import find
from augserve_server.oip.metadata import config_document, metadata_document, server_document
from augserve_server.oip.statistics import statistics_document
from augserve_server.replies import Reply
from augserve_server.service import Service


def document(found: Any) -> Reply:
    """An answer of JSON."""
    return Reply(Answer(200, JSON, [json.dumps(found).encode()]))


def nothing() -> Reply:
    """An answer that says all by its status."""
    return Reply(Answer(200, JSON, []))


def service_of(request: Request) -> Service:
    """The service that is asked."""
    service: Service = request.app.state.service
    return service


def pipeline_of(request: Request) -> Served:
    """The pipeline that the path names. Raises PipelineNotFound or VersionNotFound."""
    return find(service_of(request).catalog, request.path_params["name"], request.path_params.get("version", ""))


async def live(request: Request) -> Reply:
    """Whether the process is alive."""
    return _state(service_of(request).broken())


async def ready(request: Request) -> Reply:
    """Whether to send work here."""
    return _state(service_of(request).unready())


async def pipeline_ready(request: Request) -> Reply:
    """Whether to send work for a pipeline here."""
    pipeline_of(request)
    return _state(service_of(request).unready())


async def server(request: Request) -> Reply:
    """What the server is."""
    return document(server_document(service_of(request).settings))


async def pipeline(request: Request) -> Reply:
    """What a pipeline takes and gives."""
    served = pipeline_of(request)
    return document(await asyncio.to_thread(metadata_document, served))


async def config(request: Request) -> Reply:
    """The same as a model configuration."""
    served, settings = pipeline_of(request), service_of(request).settings
    return document(await asyncio.to_thread(config_document, served, settings))


async def all_statistics(request: Request) -> Reply:
    """What all pipelines have done."""
    service = service_of(request)
    return document(statistics_document(service.catalog, service.metrics.statistics))


async def statistics(request: Request) -> Reply:
    """What a pipeline has done."""
    return document(statistics_document([pipeline_of(request)], service_of(request).metrics.statistics))


def _state(reasons: list[str]) -> Reply:
    if reasons:
        raise Unavailable("; ".join(reasons), retry_after_s=1)
    return nothing()


def _of_pipeline(rest: str, endpoint: Any) -> list[Route]:
    """The routes of an endpoint that takes a pipeline, and may be told its version."""
    paths = ("/v2/models/{name}", "/v2/models/{name}/versions/{version}")
    return [Route(path + rest, endpoint, methods=["GET"]) for path in paths]


ROUTES: Final = [
    Route("/v2/health/live", live, methods=["GET"]),
    Route("/v2/health/ready", ready, methods=["GET"]),
    Route("/v2", server, methods=["GET"]),
    Route("/v2/models/stats", all_statistics, methods=["GET"]),
    *_of_pipeline("", pipeline),
    *_of_pipeline("/ready", pipeline_ready),
    *_of_pipeline("/config", config),
    *_of_pipeline("/stats", statistics),
]
