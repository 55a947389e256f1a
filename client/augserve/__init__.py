"""The client of augserve: torchvision-v2 augmentation pipelines as a service."""

from __future__ import annotations

from augserve.async_client import AsyncClient
from augserve.augmented import Augmented
from augserve.catalog import Output, PipelineDetails, PipelineInfo
from augserve.client import Client
from augserve.errors import (
    AugserveError,
    ConnectionFailed,
    ConnectionLost,
    DeadlineExceeded,
    ImageRejected,
    InternalError,
    InvalidInput,
    LimitExceeded,
    NotInvertible,
    Overloaded,
    PipelineChanged,
    PipelineNotFound,
    RequestRejected,
    ResponseInvalid,
    SampleFailed,
    ServiceError,
    ServiceUnavailable,
    ShapesDiffer,
    Timeout,
)
from augserve.inputs import Image
from augserve.record import Operation, Record
from augserve.results import Results
from augserve.retries import Retries
from augserve.samples import Clip, Item, Items, Sample

__all__ = [
    "AsyncClient",
    "Augmented",
    "AugserveError",
    "Client",
    "Clip",
    "ConnectionFailed",
    "ConnectionLost",
    "DeadlineExceeded",
    "Image",
    "ImageRejected",
    "InternalError",
    "InvalidInput",
    "Item",
    "Items",
    "LimitExceeded",
    "NotInvertible",
    "Operation",
    "Output",
    "Overloaded",
    "PipelineChanged",
    "PipelineDetails",
    "PipelineInfo",
    "PipelineNotFound",
    "Record",
    "RequestRejected",
    "ResponseInvalid",
    "Results",
    "Retries",
    "Sample",
    "SampleFailed",
    "ServiceError",
    "ServiceUnavailable",
    "ShapesDiffer",
    "Timeout",
]
