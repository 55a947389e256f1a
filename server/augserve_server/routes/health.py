"""/healthz, /readyz and /metrics: for whoever runs the service."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse

from augserve_server.metrics import CONTENT_TYPE
from augserve_server.openapi import HEALTH, METRICS, READY
from augserve_server.service import Service

router = APIRouter(tags=["health"])


@router.get("/healthz", **HEALTH)
async def live(request: Request) -> JSONResponse:
    """Whether the process is alive: 503 means that it should be restarted."""
    service: Service = request.app.state.service
    return _state("alive", service.broken())


@router.get("/readyz", **READY)
async def ready(request: Request) -> JSONResponse:
    """Whether to send work here: 503 says why not."""
    service: Service = request.app.state.service
    return _state("ready", service.unready())


@router.get("/metrics", **METRICS)
async def metrics(request: Request) -> Response:
    """Counters and histograms for Prometheus, over all workers."""
    service: Service = request.app.state.service
    return Response(await service.exposition(), headers={"Content-Type": CONTENT_TYPE})


def _state(good: str, reasons: list[str]) -> JSONResponse:
    return JSONResponse(
        {"status": f"not {good}" if reasons else good, "reasons": reasons}, status_code=503 if reasons else 200
    )
