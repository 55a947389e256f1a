"""What can go wrong.

AugserveError
├── InvalidInput          cannot be sent: an image of no supported type, an argument out of range
├── ConnectionFailed      no connection
│   └── ConnectionLost        there was one, and it broke off
├── Timeout               no answer in time
├── ResponseInvalid       the answer is not what the protocol says
├── PipelineChanged       the pipeline was reloaded between the requests of one call
├── ShapesDiffer          results of different shapes do not stack
├── SampleFailed          a loader of augserve.torch has no result for a sample: .index .path .error
├── NotInvertible         a record has no way back from output to input
└── ServiceError          the service refused or failed: .problem .status .slug .detail .field .limit .request_id
    ├── RequestRejected       400, 401, 403, 404, 406, 415: something that this pipeline or server does not take
    ├── PipelineNotFound      404; .detail says which there are
    ├── LimitExceeded         413: too many bytes, images or results in one request
    ├── ImageRejected         400, 413, 415, 422: one image or clip, its targets or its record are empty, corrupt, too
    │                         large, or do not suit the pipeline or each other; .field says which
    ├── Overloaded            429: the queue is full; .retry_after_s
    ├── ServiceUnavailable    502, 503, 504 of a gateway or a draining server; .retry_after_s
    ├── DeadlineExceeded      504: the server ran out of the time it was given (a Timeout too)
    └── InternalError         500
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

from augserve.wire import Problem


class AugserveError(Exception):
    """Any error of this package."""


class InvalidInput(AugserveError, ValueError):
    """What was given cannot be sent."""


class ConnectionFailed(AugserveError):
    """There is no connection to the server, or it was lost before the answer was complete."""


class ConnectionLost(ConnectionFailed):
    """There was a connection to the server, which ended before the answer was complete."""


class Timeout(AugserveError):
    """There was no complete answer within the time given."""


class ResponseInvalid(AugserveError):
    """The answer is not what the protocol says."""


class PipelineChanged(AugserveError):
    """The pipeline was reloaded between the requests of one call, so that its results are of two pipelines."""


class ShapesDiffer(AugserveError, ValueError):
    """Results of different shapes do not stack."""


class SampleFailed(AugserveError):
    """A sample of a data set cannot be read, or cannot be augmented; ``str`` says which, and why."""

    def __init__(self, index: int, path: str | None, error: Exception) -> None:
        super().__init__(index, path, error)
        self.index = index
        """Its place in the data set."""
        self.path = path
        """Of its image; None where that is no path."""
        self.error = error
        """What the service, the fallback or the file system says."""

    def __str__(self) -> str:
        sample = f"sample {self.index}" if self.path is None else f"sample {self.index}, {self.path}"
        return f"{sample}: {self.error}"


class NotInvertible(AugserveError, ValueError):
    """What was done is no projection, or one that loses a dimension: no matrix leads back."""


class ServiceError(AugserveError):
    """The service refused or failed; ``str`` says why."""

    def __init__(self, problem: Problem, retry_after_s: float | None = None) -> None:
        super().__init__(problem, retry_after_s)
        self.problem = problem
        self.retry_after_s = retry_after_s
        """Seconds after which the server asks to be tried again, where it says so."""

    @property
    def status(self) -> int:
        """HTTP status."""
        return self.problem.status

    @property
    def slug(self) -> str:
        """The kind in short, such as ``image-corrupt``."""
        return self.problem.slug

    @property
    def detail(self) -> str:
        """What was wrong, the value, and what is allowed."""
        return self.problem.detail

    @property
    def field(self) -> str | None:
        """The part of the request that was wrong, where the problem names one."""
        return self.problem.members.get("field")

    @property
    def limit(self) -> Any:
        """The limit that was exceeded, where the problem names one."""
        return self.problem.members.get("limit")

    @property
    def request_id(self) -> str | None:
        """What the server's log calls this request."""
        return self.problem.request_id

    def __str__(self) -> str:
        text = f"{self.detail or self.problem.title or 'no detail'} ({self.status} {self.slug})"
        return f"{text} [request {self.request_id}]" if self.request_id else text

    def __repr__(self) -> str:
        return f"{type(self).__name__}({str(self)!r})"


class RequestRejected(ServiceError):
    """The request is malformed, or asks for what this pipeline or server does not do."""


class PipelineNotFound(ServiceError):
    """There is no pipeline of this name; ``detail`` says which there are."""


class LimitExceeded(ServiceError):
    """The request as a whole is over a limit of the server: its bytes, its images or its results."""


class ImageRejected(ServiceError):
    """An image or a clip is corrupt, too large, not allowed or unsuitable; or its targets are, or its record."""


class Overloaded(ServiceError):
    """The server's queue is full."""


class ServiceUnavailable(ServiceError):
    """The server is draining, or a gateway before it has none to ask."""


class DeadlineExceeded(ServiceError, Timeout):
    """The server ran out of the time that it was given."""


class InternalError(ServiceError):
    """The server failed; its log says how, under ``request_id``."""


_BY_SLUG: Final[Mapping[str, type[ServiceError]]] = MappingProxyType(
    {
        "clip-invalid": ImageRejected,
        "clip-too-large": ImageRejected,
        "deadline-exceeded": DeadlineExceeded,
        "empty-body": ImageRejected,  # of a request that has an image: it has no bytes
        "format-not-allowed": ImageRejected,
        "image-corrupt": ImageRejected,
        "image-invalid": ImageRejected,
        "image-too-large": ImageRejected,
        "image-truncated": ImageRejected,
        "image-unsuitable": ImageRejected,
        "pipeline-not-found": PipelineNotFound,
        "record-invalid": ImageRejected,
        "target-invalid": ImageRejected,
        "target-too-large": ImageRejected,
    }
)
_BY_STATUS: Final[Mapping[int, type[ServiceError]]] = MappingProxyType(
    {
        413: LimitExceeded,
        422: ImageRejected,
        429: Overloaded,
        502: ServiceUnavailable,
        503: ServiceUnavailable,
        504: ServiceUnavailable,
    }
)


def service_error(problem: Problem, retry_after_s: float | None = None) -> ServiceError:
    """The error of the most specific type for ``problem``: by its kind, else by its status."""
    default = InternalError if problem.status >= 500 else RequestRejected
    kind = _BY_SLUG.get(problem.slug) or _BY_STATUS.get(problem.status, default)
    return kind(problem, retry_after_s)
