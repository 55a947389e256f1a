"""What can go wrong in the service: one class for each kind of problem document.

ServiceError                a client is told of it: a problem document
├── RequestError            the request, whatever images it carries
│   ├── RouteNotFound, MethodNotAllowed
│   ├── PipelineNotFound, ParameterInvalid, ParameterUnknown
│   ├── BodyMalformed, EmptyBody, BodyTimeout
│   ├── BodyTooLarge, TooManyChunks, TooManyImages, TooMuchWork, OutputTooLarge
│   └── NotAcceptable, UnsupportedMediaType
├── ImageError              one image, or what came with it; its neighbours are answered
│   ├── ImageTooLarge, FormatNotAllowed
│   ├── ImageTruncated, ImageCorrupt
│   ├── ImageUnsuitable
│   ├── ClipTooLarge, ClipInvalid
│   ├── TargetTooLarge, TargetInvalid
│   └── RecordInvalid
├── AccessError             whoever asks may not
│   └── Unauthenticated, Forbidden
├── Unavailable             the request was fine; another time, or another server
│   ├── QueueFull, Draining, ConnectionsFull
│   └── DeadlineExceeded
├── ClientGone              nobody is waiting for an answer
└── InternalError           a mistake of ours; its text stays in the log

StartError                  the operator is told of it: the server does not start
├── InvalidSettings
└── NoPipelines
"""

from augserve_server.errors.access import AccessError, Forbidden, Unauthenticated
from augserve_server.errors.base import (
    ClientGone,
    InternalError,
    InvalidSettings,
    NoPipelines,
    ServiceError,
    StartError,
)
from augserve_server.errors.image import (
    ClipInvalid,
    ClipTooLarge,
    FormatNotAllowed,
    ImageCorrupt,
    ImageError,
    ImageTooLarge,
    ImageTruncated,
    ImageUnsuitable,
    RecordInvalid,
    TargetInvalid,
    TargetTooLarge,
)
from augserve_server.errors.request import (
    BodyMalformed,
    BodyTimeout,
    BodyTooLarge,
    EmptyBody,
    MethodNotAllowed,
    NotAcceptable,
    OutputTooLarge,
    ParameterInvalid,
    ParameterUnknown,
    PipelineNotFound,
    RequestError,
    RouteNotFound,
    TooManyChunks,
    TooManyImages,
    TooMuchWork,
    UnsupportedMediaType,
)
from augserve_server.errors.unavailable import (
    ConnectionsFull,
    DeadlineExceeded,
    Draining,
    QueueFull,
    Unavailable,
)

__all__ = [
    "AccessError",
    "BodyMalformed",
    "BodyTimeout",
    "BodyTooLarge",
    "ClientGone",
    "ClipInvalid",
    "ClipTooLarge",
    "ConnectionsFull",
    "DeadlineExceeded",
    "Draining",
    "EmptyBody",
    "Forbidden",
    "FormatNotAllowed",
    "ImageCorrupt",
    "ImageError",
    "ImageTooLarge",
    "ImageTruncated",
    "ImageUnsuitable",
    "InternalError",
    "InvalidSettings",
    "MethodNotAllowed",
    "NoPipelines",
    "NotAcceptable",
    "OutputTooLarge",
    "ParameterInvalid",
    "ParameterUnknown",
    "PipelineNotFound",
    "QueueFull",
    "RecordInvalid",
    "RequestError",
    "RouteNotFound",
    "ServiceError",
    "StartError",
    "TargetInvalid",
    "TargetTooLarge",
    "TooManyChunks",
    "TooManyImages",
    "TooMuchWork",
    "Unauthenticated",
    "Unavailable",
    "UnsupportedMediaType",
]
