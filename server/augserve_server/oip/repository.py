"""The repository: which pipelines there are, and taking them out and in again."""

from __future__ import annotations

import asyncio
from typing import Any

from augserve_server.catalog import Catalog
from augserve_server.errors import ControlOff, NotSupported
from augserve_server.service import Service

READY, UNAVAILABLE = "READY", "UNAVAILABLE"


def index_document(catalog: Catalog, ready_only: bool) -> list[dict[str, str]]:
    """Every pipeline by name: those that are served, and unless ``ready_only`` those that are not, and why."""
    served = {one.name: _entry(one.name, READY, "", str(one.revision)) for one in catalog}
    absent = {} if ready_only else {name: _entry(name, UNAVAILABLE, why) for name, why in catalog.absent().items()}
    return [entry for _, entry in sorted({**absent, **served}.items())]


def check_control(service: Service, what: str) -> None:
    """Raise ControlOff where the running service is not to be changed from outside."""
    if not service.settings.repository_control:
        raise ControlOff(what)


async def load(service: Service, name: str, parameters: dict[str, Any]) -> None:
    """Read the file of a pipeline again, and serve it. Raises PipelineNotFound, or PipelineUnfit where it is wrong."""
    check_control(service, "loading pipelines")
    if parameters:
        raise NotSupported("pipelines are loaded from their folder only: send no parameters", field="parameters")
    await asyncio.to_thread(service.catalog.admit, name)


async def unload(service: Service, name: str) -> None:
    """Serve a pipeline no more, until it is loaded again. Raises PipelineNotFound where it is not served."""
    check_control(service, "unloading pipelines")
    await asyncio.to_thread(service.catalog.withdraw, name)


def _entry(name: str, state: str, reason: str, version: str | None = None) -> dict[str, str]:
    return {"name": name, **({} if version is None else {"version": version}), "state": state, "reason": reason}
