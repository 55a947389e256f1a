"""The client of augserve: torchvision-v2 augmentation pipelines as a service."""

from __future__ import annotations

from augserve.async_client import AsyncClient
from augserve.catalog import Output, PipelineDetails, PipelineInfo
from augserve.client import Client
from augserve.errors import (
    AugserveError,
    ConnectionFailed,
    DeadlineExceeded,
    ImageRejected,
    InternalError,
    InvalidInput,
    LimitExceeded,
    Overloaded,
    PipelineChanged,
    PipelineNotFound,
    RequestRejected,
    ResponseInvalid,
    ServiceError,
    ServiceUnavailable,
    ShapesDiffer,
    Timeout,
)
from augserve.inputs import Image, Images
from augserve.results import Results
from augserve.retries import Retries

__all__ = [
    "AsyncClient",
    "AugserveError",
    "Client",
    "ConnectionFailed",
    "DeadlineExceeded",
    "Image",
    "ImageRejected",
    "Images",
    "InternalError",
    "InvalidInput",
    "LimitExceeded",
    "Output",
    "Overloaded",
    "PipelineChanged",
    "PipelineDetails",
    "PipelineInfo",
    "PipelineNotFound",
    "RequestRejected",
    "ResponseInvalid",
    "Results",
    "Retries",
    "ServiceError",
    "ServiceUnavailable",
    "ShapesDiffer",
    "Timeout",
]
