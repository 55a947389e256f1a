"""What can go wrong in the service: one class for each kind of problem document.

ServiceError                a client is told of it: a problem document
├── RequestError            the request, whatever images it carries
│   ├── RouteNotFound, MethodNotAllowed
│   ├── PipelineNotFound, ParameterInvalid, ParameterUnknown
│   ├── BodyMalformed, EmptyBody, BodyTimeout
│   ├── BodyTooLarge, TooManyChunks, TooManyImages, TooMuchWork, OutputTooLarge
│   └── NotAcceptable, UnsupportedMediaType
├── ImageError              one image; its neighbours are answered
│   ├── ImageTooLarge, FormatNotAllowed
│   ├── ImageTruncated, ImageCorrupt
│   └── ImageUnsuitable
├── Unavailable             the request was fine; another time, or another server
│   ├── QueueFull, Draining
│   └── DeadlineExceeded
├── ClientGone              nobody is waiting for an answer
└── InternalError           a mistake of ours; its text stays in the log

StartError                  the operator is told of it: the server does not start
├── InvalidSettings
└── NoPipelines
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from math import ceil
from typing import Any, ClassVar, Literal, Self

from augserve.wire import PROBLEM_TYPE_PREFIX, Problem

_LONGEST_VALUE = 200


class ServiceError(Exception):
    """An error that a client may be told: ``detail`` says what was wrong, the value, and what is allowed.

    ``members`` are further members of the problem document, JSON values all: field, value, limit, allowed.
    """

    status: ClassVar[int] = 500
    slug: ClassVar[str] = "internal"
    title: ClassVar[str] = "Internal error"

    def __init__(self, detail: str, **members: Any) -> None:
        super().__init__(detail)
        self.detail = detail
        self.members = {name: value for name, value in members.items() if value is not None}

    @property
    def headers(self) -> dict[str, str]:
        """Response headers that belong to this error."""
        return {}

    def alone(self) -> Self:
        """This error without where it came from, to be kept as a value: the frames that it passed hold whole images."""
        self.__traceback__ = self.__cause__ = self.__context__ = None
        return self

    def problem(self, request_id: str | None = None, **members: Any) -> Problem:
        """The problem document; ``members`` are added to the error's own (``index=3``, ``field="image"``)."""
        return Problem(
            type=PROBLEM_TYPE_PREFIX + self.slug,
            title=self.title,
            status=self.status,
            detail=self.detail,
            request_id=request_id,
            **{**self.members, **members},
        )


class RequestError(ServiceError):
    """The request cannot be answered as it stands."""

    status = 400
    slug = "request-invalid"
    title = "Request invalid"


class RouteNotFound(RequestError):
    """There is nothing at this path."""

    status = 404
    slug = "not-found"
    title = "Not found"

    def __init__(self, path: str) -> None:
        super().__init__(f"there is nothing at {_short(path)}; see /docs", value=_short(path))


class MethodNotAllowed(RequestError):
    """The path exists, but not for this method."""

    status = 405
    slug = "method-not-allowed"
    title = "Method not allowed"

    def __init__(self, method: str, path: str, allowed: Sequence[str]) -> None:
        detail = f"{_short(path)} does not take {_short(method)}; it takes {_listed(allowed)}"
        super().__init__(detail, value=_short(method), allowed=list(allowed))

    @property
    def headers(self) -> dict[str, str]:
        return {"Allow": ", ".join(self.members["allowed"])}


class PipelineNotFound(RequestError):
    """No pipeline has this name."""

    status = 404
    slug = "pipeline-not-found"
    title = "Pipeline not found"

    def __init__(self, name: str, available: Sequence[str]) -> None:
        hint = _did_you_mean(name, available)
        detail = f"no pipeline named {_short(name)!r}{hint}; there are: {_listed(sorted(available))}"
        super().__init__(detail, field="pipeline", value=_short(name), allowed=sorted(available))


class ParameterInvalid(RequestError):
    """A parameter of the query, or a header that the service reads, has a value that is not allowed."""

    slug = "parameter-invalid"
    title = "Parameter invalid"

    def __init__(self, field: str, value: object, requirement: str) -> None:
        """``requirement`` completes the sentence "it must be ...": ``"an integer from 1 to 64"``."""
        detail = f"{field} is {_short(value)!r}; it must be {requirement}"
        super().__init__(detail, field=field, value=_short(value), allowed=requirement)


class ParameterUnknown(RequestError):
    """There is no such parameter."""

    slug = "parameter-invalid"
    title = "Parameter invalid"

    def __init__(self, field: str, allowed: Sequence[str]) -> None:
        detail = f"there is no parameter {_short(field)!r}{_did_you_mean(field, allowed)}; allowed: {_listed(allowed)}"
        super().__init__(detail, field=_short(field), allowed=list(allowed))


class BodyMalformed(RequestError):
    """The body is not what its content type says."""

    slug = "body-malformed"
    title = "Body malformed"


class EmptyBody(RequestError):
    """There is no image in the request, or an image has no bytes."""

    slug = "empty-body"
    title = "Empty body"

    def __init__(self, detail: str = "the body is empty; send one encoded image, or multipart/form-data") -> None:
        super().__init__(detail, field="body")


class BodyTimeout(RequestError):
    """The body did not arrive in time."""

    status = 408
    slug = "body-timeout"
    title = "Body timeout"

    def __init__(self, idle_s: float, total_s: float) -> None:
        detail = f"the body did not arrive; at most {idle_s:g} s between pieces and {total_s:g} s in all are allowed"
        super().__init__(detail, field="body", limit=total_s)


class BodyTooLarge(RequestError):
    """The whole body has more bytes than the server takes."""

    status = 413
    slug = "body-too-large"
    title = "Body too large"

    def __init__(self, value: int, limit: int) -> None:
        """``value``: the bytes that are declared, or that have come so far."""
        detail = f"the body has {value} bytes or more; at most {limit} are allowed"
        super().__init__(detail, field="body", value=value, limit=limit)


class TooManyChunks(RequestError):
    """The body comes in more pieces than the server takes: they are too small."""

    status = 413
    slug = "too-many-chunks"
    title = "Too many chunks"

    def __init__(self, limit: int) -> None:
        super().__init__(f"the body comes in more than {limit} pieces; send larger ones", field="body", limit=limit)


class TooManyImages(RequestError):
    """The request carries more images than the server takes at once."""

    status = 413
    slug = "too-many-images"
    title = "Too many images"

    def __init__(self, limit: int) -> None:
        super().__init__(f"the request has more than {limit} images", field="image", limit=limit)


class TooMuchWork(RequestError):
    """The request alone is more work than the whole server holds: no other time would do."""

    status = 413
    slug = "too-much-work"
    title = "Too much work"

    def __init__(self, value: Mapping[str, int], limit: Mapping[str, int]) -> None:
        """Both say what is counted, and how much of it: ``{"images": 512, "pixels": 10**9}``."""
        over = ", ".join(f"{value[name]} {name} (at most {limit[name]})" for name in value if value[name] > limit[name])
        super().__init__(f"the request needs {over}", value=dict(value), limit=dict(limit))


class OutputTooLarge(RequestError):
    """The results would have more bytes than the server sends at once."""

    status = 413
    slug = "output-too-large"
    title = "Output too large"

    def __init__(self, value: int, limit: int) -> None:
        detail = f"the results would have {value} bytes; at most {limit} are allowed; send fewer images or views"
        super().__init__(detail, value=value, limit=limit)


class NotAcceptable(RequestError):
    """None of the accepted media types can carry the pipeline's result."""

    status = 406
    slug = "not-acceptable"
    title = "Not acceptable"

    def __init__(self, accept: str, available: Sequence[str]) -> None:
        detail = f"nothing that Accept {_short(accept)!r} allows can be sent; available: {_listed(available)}"
        super().__init__(detail, field="Accept", value=_short(accept), allowed=list(available))


class UnsupportedMediaType(RequestError):
    """The content type is neither an image nor a form, or the body is encoded once more."""

    status = 415
    slug = "unsupported-media-type"
    title = "Unsupported media type"

    def __init__(self, field: str, value: str, allowed: Sequence[str]) -> None:
        """``field`` is the header: Content-Type or Content-Encoding."""
        detail = f"{field} {_short(value)!r} is not taken; allowed: {_listed(allowed)}"
        super().__init__(detail, field=field, value=_short(value), allowed=list(allowed))


class ImageError(ServiceError):
    """One image cannot be answered."""

    status = 422
    slug = "image-invalid"
    title = "Image invalid"

    def __init__(self, detail: str, **members: Any) -> None:
        super().__init__(detail, **{"field": "image", **members})


class ImageTooLarge(ImageError):
    """The image is over a limit: found on its header, before anything is decoded."""

    status = 413
    slug = "image-too-large"
    title = "Image too large"

    Measure = Literal["bytes", "pixels", "side", "frames", "metadata", "segments", "scans"]
    _SENTENCES: ClassVar[Mapping[str, str]] = {
        "bytes": "the image has {} bytes; at most {} are allowed",
        "pixels": "the image has {} pixels; at most {} are allowed",
        "side": "the image is {} pixels along one side; at most {} are allowed",
        "frames": "the image has {} frames or pages; at most {} are allowed",
        "metadata": "the image has {} bytes of metadata; at most {} are allowed",
        "segments": "the image's header is in {} or more pieces; fewer than {} are allowed",
        "scans": "the JPEG has {} scans; at most {} are allowed",
    }

    def __init__(self, measure: Measure, value: int, limit: int) -> None:
        super().__init__(self._SENTENCES[measure].format(value, limit), measure=measure, value=value, limit=limit)


class FormatNotAllowed(ImageError):
    """The bytes are not an image of an allowed format, or of a variant of one that is not decoded."""

    status = 415
    slug = "format-not-allowed"
    title = "Image format not allowed"

    def __init__(self, found: str, allowed: Sequence[str]) -> None:
        """``found`` completes the sentence "the image is ..."."""
        super().__init__(
            f"the image is {found}; allowed: {_listed(allowed)}", value=_short(found), allowed=list(allowed)
        )


class ImageTruncated(ImageError):
    """The image ends before it is complete."""

    slug = "image-truncated"
    title = "Image truncated"

    def __init__(self, format: str) -> None:
        super().__init__(f"the {format} image ends before it is complete", format=format)


class ImageCorrupt(ImageError):
    """The image's bytes do not decode."""

    slug = "image-corrupt"
    title = "Image corrupt"

    def __init__(self, format: str, reason: str = "its data cannot be decoded") -> None:
        super().__init__(f"the {format} image is corrupt: {reason}", format=format)


class ImageUnsuitable(ImageError):
    """The pipeline cannot run on this image, such as a crop that is larger than it."""

    slug = "image-unsuitable"
    title = "Image unsuitable for the pipeline"


class Unavailable(ServiceError):
    """The server cannot answer now."""

    status = 503
    slug = "unavailable"
    title = "Unavailable"

    def __init__(self, detail: str, retry_after_s: float | None = None, **members: Any) -> None:
        """``retry_after_s``: seconds after which another attempt has a chance; told as whole seconds, at least 1."""
        self.retry_after_s = None if retry_after_s is None else max(1, ceil(retry_after_s))
        super().__init__(detail, retry_after=self.retry_after_s, **members)

    @property
    def headers(self) -> dict[str, str]:
        return {} if self.retry_after_s is None else {"Retry-After": str(self.retry_after_s)}


class QueueFull(Unavailable):
    """So much work waits that more is refused."""

    status = 429
    slug = "queue-full"
    title = "Queue full"

    def __init__(self, retry_after_s: float, limit: str | None = None) -> None:
        """``limit`` says what is full: ``"1024 images"``, ``"512 megapixels"``."""
        full = f" ({limit})" if limit else ""
        super().__init__(f"the queue is full{full}; try again later", retry_after_s, limit=limit)


class Draining(Unavailable):
    """The server is shutting down and takes no new work."""

    slug = "draining"
    title = "Draining"

    def __init__(self, retry_after_s: float = 1) -> None:
        super().__init__("the server is shutting down; another may answer", retry_after_s)


class DeadlineExceeded(Unavailable):
    """The answer was not ready in time, and the work was given up."""

    status = 504
    slug = "deadline-exceeded"
    title = "Deadline exceeded"

    def __init__(self, timeout_ms: float, stage: str | None = None) -> None:
        """``stage`` is where the time ran out: ``"decode"``, ``"queue"``, ``"run"``, ``"encode"``."""
        where = f" (in {stage})" if stage else ""
        super().__init__(
            f"the answer was not ready within {timeout_ms:g} ms{where}", field="deadline", limit=timeout_ms, stage=stage
        )


class ClientGone(ServiceError):
    """The client closed the connection; the answer goes nowhere, and the status only into logs and metrics."""

    status = 499
    slug = "client-gone"
    title = "Client closed the connection"

    def __init__(self) -> None:
        super().__init__("the client closed the connection before the answer was ready")


class InternalError(ServiceError):
    """Something went wrong that is not the client's doing; the log has it under the request id."""

    def __init__(self) -> None:
        super().__init__("the server made a mistake; its log has the details under this request id")


class StartError(Exception):
    """The service cannot start as it is set up."""


class InvalidSettings(StartError):
    """Settings that are refused. ``problems`` lists all of them, each naming the setting and where it came from."""

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = tuple(problems)


class NoPipelines(StartError):
    """There is no pipeline to serve."""


def _short(value: object) -> str:
    """A client's value, short enough to be repeated to it."""
    text = str(value)
    return text if len(text) <= _LONGEST_VALUE else f"{text[:_LONGEST_VALUE]}..."


def _listed(values: Sequence[str]) -> str:
    return ", ".join(values) if values else "none"


def _did_you_mean(name: str, names: Sequence[str]) -> str:
    nearest = get_close_matches(name[:_LONGEST_VALUE], names, n=1)
    return f"; did you mean {nearest[0]!r}?" if nearest else ""
