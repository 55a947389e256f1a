"""POST /v1/augment/{pipeline}: images in, augmented images out."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Coroutine, Mapping
from typing import Annotated, Any, Final, Literal

from fastapi import APIRouter, Header, Path, Query, Request
from pydantic import BaseModel, ConfigDict, Field

from augserve.wire import DEFAULT_QUALITY, MAX_VIEWS, SEED_LIMIT, TIMEOUT_MS_HEADER, TIMEOUT_MS_LIMIT
from augserve_server.answers import answer
from augserve_server.catalog import Served
from augserve_server.engine import Order, Results, Together
from augserve_server.errors import DeadlineExceeded, ParameterInvalid, ServiceError
from augserve_server.negotiation import media_types, negotiate
from augserve_server.openapi import AUGMENT
from augserve_server.replies import Reply
from augserve_server.requests import BodyLimits, read_images, unless_gone
from augserve_server.results import Form
from augserve_server.service import Service
from augserve_server.visits import Visit, visit_of

router = APIRouter(tags=["augment"])


class AugmentQuery(BaseModel):
    """What may stand in the query; anything else is refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    seed: Annotated[
        int | None,
        Field(
            ge=0,
            lt=SEED_LIMIT,
            description="View v of image i has seed + i * views + v. Absent: a fresh one, told in Augserve-Seed.",
        ),
    ] = None
    views: Annotated[int, Field(ge=1, le=MAX_VIEWS, description="Results of each image, from one decoding.")] = 1
    quality: Annotated[int, Field(ge=1, le=100, description="Of JPEG and WebP answers.")] = DEFAULT_QUALITY
    dtype: Annotated[
        Literal["float16", "bfloat16", "float32"] | None,
        Field(description="Cast float results on the way out; for pipelines with float results only."),
    ] = None


REQUIREMENTS: Final[Mapping[str, str]] = {
    "seed": f"an integer from 0 to {SEED_LIMIT - 1}",
    "views": f"an integer from 1 to {MAX_VIEWS}",
    "quality": "an integer from 1 to 100",
    "dtype": "float16, bfloat16 or float32",
    TIMEOUT_MS_HEADER: f"an integer from 1 to {TIMEOUT_MS_LIMIT} (milliseconds)",
}
"""What each parameter must be, in words."""


@router.post("/v1/augment/{pipeline}", **AUGMENT)
async def augment(
    request: Request,
    pipeline: Annotated[str, Path(description="Name of a pipeline; GET /v1/pipelines lists them.")],
    query: Annotated[AugmentQuery, Query()],
    timeout_ms: Annotated[
        int | None,
        Header(
            alias=TIMEOUT_MS_HEADER,
            ge=1,
            le=TIMEOUT_MS_LIMIT,
            description="Give the request up after so many milliseconds, with 504.",
        ),
    ] = None,
) -> Reply:
    """Run a pipeline over one image or several, each under a seed of its own."""
    service: Service = request.app.state.service
    visit = visit_of(request)
    service.enter()
    served = service.catalog[pipeline]
    visit.pipeline = served.name
    order = take_order(request, served, query, service)
    limit_ms = service.settings.deadline_ms if timeout_ms is None else timeout_ms
    results = await _within(limit_ms, visit, _work(request, service, visit, order))
    _count(service, visit, order, results)
    return Reply(answer(order, results, visit.timings, visit.id))


def take_order(request: Request, served: Served, query: AugmentQuery, service: Service) -> Order:
    """What the request wants, checked before a byte of its body is read."""
    twice = [name for name in request.query_params if len(request.query_params.getlist(name)) > 1]
    if twice:
        raise ParameterInvalid(twice[0], ", ".join(request.query_params.getlist(twice[0])), "given once")
    if query.views > service.settings.max_views:
        raise ParameterInvalid("views", query.views, f"an integer from 1 to {service.settings.max_views}")
    dtype = served.signature.dtype
    if query.dtype is not None and not (dtype or "").startswith("float"):
        raise ParameterInvalid("dtype", query.dtype, f"left out: pipeline {served.name!r} gives {dtype}")
    if query.dtype is not None:
        served = served.giving(query.dtype)
    accept = ", ".join(request.headers.getlist("accept"))
    media_type = negotiate(accept, media_types(served.signature))
    seed = secrets.randbits(32) if query.seed is None else query.seed
    return Order(served, seed, query.views, Form(media_type, query.quality))


async def _work(request: Request, service: Service, visit: Visit, order: Order) -> Results:
    with visit.timings.at("read"):
        uploads = await read_images(request, BodyLimits.of(service.settings), visit.ticket)
    work = service.engine.augment(order, uploads, visit.ticket, visit.timings)
    return await unless_gone(request.receive, work)


async def _within(limit_ms: int, visit: Visit, work: Coroutine[Any, Any, Results]) -> Results:
    try:
        async with asyncio.timeout(limit_ms / 1000 - visit.seconds):
            return await work
    except TimeoutError as exc:
        raise DeadlineExceeded(limit_ms, visit.timings.stage) from exc


def _count(service: Service, visit: Visit, order: Order, results: Results) -> None:
    failures = [] if isinstance(results, Together) else [one for one in results if isinstance(one, ServiceError)]
    visit.failed = len(failures)
    visit.results = (results.count if isinstance(results, Together) else len(results)) - visit.failed
    service.metrics.results(visit.pipeline, visit.results)
    for failure in failures[:: order.views]:  # an image fails in all its views
        service.metrics.failure(failure.slug)
    for stage, seconds in visit.timings.seconds.items():
        service.metrics.stage(stage, seconds)
