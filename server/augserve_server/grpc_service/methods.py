"""The methods of ``inference.GRPCInferenceService``: what REST answers as JSON, answered as messages."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from functools import partial
from typing import Any, Final

from google.protobuf.json_format import ParseDict

from augserve_server.errors import PipelineNotFound, VersionNotFound
from augserve_server.grpc_service.inference import Inferring
from augserve_server.grpc_service.messages import messages, question
from augserve_server.grpc_service.rpcs import Method, Streaming, Unary
from augserve_server.grpc_service.shared_memory import Asked, Document, SharedMemory
from augserve_server.grpc_service.tensors import read_infer
from augserve_server.oip import controls, repository
from augserve_server.oip.inference import find
from augserve_server.oip.metadata import config_document, metadata_document, server_document
from augserve_server.oip.shared_tensors import inference_of
from augserve_server.oip.statistics import statistics_document
from augserve_server.service import Service
from augserve_server.visits import Visit

SERVICE: Final = "inference.GRPCInferenceService"


def inference_methods(service: Service) -> list[Method]:
    """Every method of the service."""
    inferring = Inferring(service, inference_of(service))
    documents = Documents(service)
    described: Mapping[str, Asked] = {
        "ServerLive": documents.server_live,
        "ServerReady": documents.server_ready,
        "ModelReady": documents.model_ready,
        "ServerMetadata": documents.server_metadata,
        "ModelMetadata": documents.model_metadata,
        "ModelConfig": documents.model_config,
        "ModelStatistics": documents.model_statistics,
        "RepositoryIndex": documents.repository_index,
        "RepositoryModelLoad": documents.load,
        "RepositoryModelUnload": documents.unload,
        "TraceSetting": documents.trace_setting,
        "LogSettings": documents.log_settings,
    }
    return [
        Unary(_path("ModelInfer"), read_infer, inferring.infer, works=True),
        Streaming(_path("ModelStreamInfer"), inferring.stream, works=True),
        *(_describing(name, describe) for name, describe in described.items()),
        *(_describing(name, asked) for name, asked in SharedMemory(service).methods.items()),
    ]


class Documents:
    """The methods that answer with what there is to know, each as a document of its response."""

    def __init__(self, service: Service) -> None:
        self._service = service

    async def server_live(self, _: Any, __: Visit) -> Document:
        """Whether the process is alive."""
        return {"live": not self._service.broken()}

    async def server_ready(self, _: Any, __: Visit) -> Document:
        """Whether to send work here."""
        return {"ready": not self._service.unready()}

    async def model_ready(self, request: Any, _: Visit) -> Document:
        """Whether a pipeline is served; one that does not exist is not."""
        try:
            find(self._service.catalog, request.name, request.version)
        except (PipelineNotFound, VersionNotFound):
            return {"ready": False}
        return {"ready": not self._service.unready()}

    async def server_metadata(self, _: Any, __: Visit) -> Document:
        """What the server is."""
        return server_document(self._service.settings)

    async def model_metadata(self, request: Any, _: Visit) -> Document:
        """What a pipeline takes and gives."""
        return await asyncio.to_thread(metadata_document, find(self._service.catalog, request.name, request.version))

    async def model_config(self, request: Any, _: Visit) -> Document:
        """The same as a configuration."""
        served = find(self._service.catalog, request.name, request.version)
        return {"config": await asyncio.to_thread(config_document, served, self._service.settings)}

    async def model_statistics(self, request: Any, _: Visit) -> Document:
        """Of one pipeline, or of all."""
        catalog = self._service.catalog
        served = [find(catalog, request.name, request.version)] if request.name else list(catalog)
        return statistics_document(served, self._service.metrics.statistics)

    async def repository_index(self, request: Any, _: Visit) -> Document:
        """Every pipeline there is."""
        return {"models": repository.index_document(self._service.catalog, request.ready)}

    async def load(self, request: Any, _: Visit) -> Document:
        """Serve a pipeline as its file is now."""
        given = {name: _chosen(value) for name, value in request.parameters.items()}
        await repository.load(self._service, request.model_name, given)
        return {}

    async def unload(self, request: Any, _: Visit) -> Document:
        """Serve a pipeline no more."""
        await repository.unload(self._service, request.model_name)
        return {}

    async def trace_setting(self, request: Any, _: Visit) -> Document:
        """What is traced."""
        now = controls.trace_document()
        if request.model_name:
            find(self._service.catalog, request.model_name)
        if request.settings:
            repository.check_control(self._service, "changing what is traced")
            controls.change_trace({name: _traced(one.value, now.get(name)) for name, one in request.settings.items()})
        return {
            "settings": {name: {"value": [value] if isinstance(value, str) else value} for name, value in now.items()}
        }

    async def log_settings(self, request: Any, _: Visit) -> Document:
        """What is logged, and from now on."""
        if request.settings:
            repository.check_control(self._service, "changing what is logged")
            controls.change_log({name: _chosen(value) for name, value in request.settings.items()})
        return {"settings": {name: {_log_choice(value): value} for name, value in controls.log_document().items()}}


def _path(method: str) -> str:
    return f"/{SERVICE}/{method}"


def _describing(name: str, asked: Asked) -> Unary:
    answer = partial(_described, asked, messages()[f"{name}Response"])
    return Unary(_path(name), partial(question, f"{name}Request"), answer)


async def _described(asked: Asked, response: Any, request: Any, visit: Visit) -> bytes:
    written: bytes = ParseDict(await asked(request, visit), response()).SerializeToString()
    return written


def _chosen(value: Any) -> Any:
    """The one of its values that a parameter has."""
    choice = value.WhichOneof("parameter_choice")
    return None if choice is None else getattr(value, choice)


def _traced(given: Any, now: object) -> object:
    """A setting of the trace as REST has it: one string, or several, or null to go back."""
    values = list(given)
    return (values[0] if len(values) == 1 and isinstance(now, str) else values) or None


def _log_choice(value: object) -> str:
    if isinstance(value, bool):
        return "bool_param"
    return "uint32_param" if isinstance(value, int) else "string_param"
