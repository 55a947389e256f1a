"""What can go wrong in the service: one class for each kind of problem document.

ServiceError                a client is told of it: a problem document
├── RequestError            the request, whatever images it carries
│   ├── RouteNotFound, MethodNotAllowed
│   ├── PipelineNotFound, VersionNotFound, ParameterInvalid, ParameterUnknown
│   ├── PipelineUnfit, TensorInvalid, ControlOff, NotSupported, EncodingNotSupported
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
│   ├── DeviceFailed, DeviceMemoryFull
│   └── DeadlineExceeded
├── SharedMemoryError       a region of shared memory cannot be registered or used so
├── RegionNotFound, SharedMemoryForbidden, SharedMemoryOff
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
    ControlOff,
    EmptyBody,
    EncodingNotSupported,
    MethodNotAllowed,
    NotAcceptable,
    NotSupported,
    OutputTooLarge,
    ParameterInvalid,
    ParameterUnknown,
    PipelineNotFound,
    PipelineUnfit,
    RequestError,
    RouteNotFound,
    TensorInvalid,
    TooManyChunks,
    TooManyImages,
    TooMuchWork,
    UnsupportedMediaType,
    VersionNotFound,
)
from augserve_server.errors.shared_memory import (
    RegionNotFound,
    SharedMemoryError,
    SharedMemoryForbidden,
    SharedMemoryOff,
)
from augserve_server.errors.unavailable import (
    ConnectionsFull,
    DeadlineExceeded,
    DeviceFailed,
    DeviceMemoryFull,
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
    "ControlOff",
    "DeadlineExceeded",
    "DeviceFailed",
    "DeviceMemoryFull",
    "Draining",
    "EmptyBody",
    "EncodingNotSupported",
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
    "NotSupported",
    "OutputTooLarge",
    "ParameterInvalid",
    "ParameterUnknown",
    "PipelineNotFound",
    "PipelineUnfit",
    "QueueFull",
    "RecordInvalid",
    "RegionNotFound",
    "RequestError",
    "RouteNotFound",
    "ServiceError",
    "SharedMemoryError",
    "SharedMemoryForbidden",
    "SharedMemoryOff",
    "StartError",
    "TargetInvalid",
    "TargetTooLarge",
    "TensorInvalid",
    "TooManyChunks",
    "TooManyImages",
    "TooMuchWork",
    "Unauthenticated",
    "Unavailable",
    "UnsupportedMediaType",
    "VersionNotFound",
]
