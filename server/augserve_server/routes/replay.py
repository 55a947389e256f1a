"""POST /v1/replay: samples and records in, the same augmentation of them out."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Request
from pydantic import ConfigDict, Field

from augserve.wire import DEFAULT_QUALITY, REPLAY_PATH
from augserve_pipelines import InputRule
from augserve_server.answers import About, answer
from augserve_server.engine import Replayed
from augserve_server.negotiation import TYPES, negotiate
from augserve_server.openapi import REPLAY
from augserve_server.orders import ReplayOrder
from augserve_server.replies import Reply
from augserve_server.requests import unless_gone
from augserve_server.routes.direct import Direct
from augserve_server.routes.shared import TimeoutMs, accept_of, count, read, within
from augserve_server.service import Service
from augserve_server.uploads import Grammar
from augserve_server.visits import Visit, visit_of

router = APIRouter(tags=["augment"], route_class=Direct)


class ReplayQuery(InputRule):
    """How images become pixels, and the quality of the answer. Anything else in the query is refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=False)  # a query is text

    quality: Annotated[int, Field(ge=1, le=100, description="Of JPEG and WebP answers.")] = DEFAULT_QUALITY

    @property
    def rule(self) -> InputRule:
        """How images become pixels."""
        return InputRule(mode=self.mode, orientation=self.orientation, alpha=self.alpha)


@router.post(REPLAY_PATH, **REPLAY)
async def replay(request: Request, query: Annotated[ReplayQuery, Query()], timeout_ms: TimeoutMs = None) -> Reply:
    """Do again what records say, to the same samples or to others of the same size."""
    service: Service = request.app.state.service
    visit = visit_of(request)
    order = ReplayOrder(query.rule, accept_of(request), query.quality)
    negotiate(order.accept, TYPES)  # what could never be sent is refused before a byte of the body is read
    done = await within(timeout_ms, service, visit, _work(request, service, visit, order))
    count(service, visit, done.results, 1)
    return Reply(answer(About(done.form.media_type, {}, done.seeds), done.results, visit.timings, visit.id))


async def _work(request: Request, service: Service, visit: Visit, order: ReplayOrder) -> Replayed:
    uploads = await read(request, service, visit, Grammar(replay=True))
    work = service.engine.replay(order, uploads, visit.ticket, visit.timings)
    return await unless_gone(request, work)
