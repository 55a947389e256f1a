"""POST /v1/augment/{pipeline}: images in, augmented images out."""

from __future__ import annotations

import secrets
from typing import Annotated, Literal

from fastapi import APIRouter, Path, Query, Request
from pydantic import BaseModel, ConfigDict, Field

from augserve.wire import DEFAULT_QUALITY, MAX_VIEWS, SEED_LIMIT, Wire
from augserve_server.answers import about_order, answer
from augserve_server.catalog import Served
from augserve_server.engine import Results
from augserve_server.errors import ParameterInvalid
from augserve_server.negotiation import negotiate
from augserve_server.openapi import AUGMENT
from augserve_server.orders import Order, variant_of
from augserve_server.replies import Reply
from augserve_server.requests import unless_gone
from augserve_server.results import Form
from augserve_server.routes.direct import Direct
from augserve_server.routes.shared import TimeoutMs, accept_of, count, read, within
from augserve_server.service import Service
from augserve_server.uploads import Grammar
from augserve_server.visits import Visit, visit_of

router = APIRouter(tags=["augment"], route_class=Direct)


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
    params: Annotated[
        bool, Field(description="Send with each result a record of what was done to it, which can be replayed.")
    ] = False
    wire: Annotated[
        Wire | None,
        Field(
            description="Send bytes in place of floats; Augserve-Finish says what makes these of them. For pipelines "
            "that end in ToDtype, to floats, and Normalize; those that give bytes are as without it."
        ),
    ] = None


@router.post("/v1/augment/{pipeline}", **AUGMENT)
async def augment(
    request: Request,
    pipeline: Annotated[str, Path(description="Name of a pipeline; GET /v1/pipelines lists them.")],
    query: Annotated[AugmentQuery, Query()],
    timeout_ms: TimeoutMs = None,
) -> Reply:
    """Run a pipeline over one image or several, each under a seed of its own."""
    service: Service = request.app.state.service
    visit = visit_of(request)
    served = service.catalog[pipeline]
    visit.pipeline = served.name
    order = take_order(request, served, query, service)
    results = await within(timeout_ms, service, visit, _work(request, service, visit, order))
    count(service, visit, results, order.views)
    return Reply(answer(about_order(order), results, visit.timings, visit.id))


def take_order(request: Request, served: Served, query: AugmentQuery, service: Service) -> Order:
    """What the request wants, checked before a byte of its body is read."""
    if query.views > service.settings.max_views:
        raise ParameterInvalid("views", query.views, f"an integer from 1 to {service.settings.max_views}")
    served = variant_of(served, query.dtype, query.wire)
    media_type = negotiate(accept_of(request), served.media_types)
    seed = secrets.randbits(32) if query.seed is None else query.seed
    return Order(served, seed, query.views, Form(media_type, query.quality), query.params)


async def _work(request: Request, service: Service, visit: Visit, order: Order) -> Results:
    uploads = await read(request, service, visit, Grammar())
    work = service.engine.augment(order, uploads, visit.ticket, visit.timings)
    return await unless_gone(request, work)
