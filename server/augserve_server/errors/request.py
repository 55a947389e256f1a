"""The request cannot be answered, whatever images it carries."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from augserve_server.errors.base import ServiceError
from augserve_server.errors.wording import LONGEST_REASON, did_you_mean, listed, short


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
        super().__init__(f"there is nothing at {short(path)}; see /docs", value=short(path))


class MethodNotAllowed(RequestError):
    """The path exists, but not for this method."""

    status = 405
    slug = "method-not-allowed"
    title = "Method not allowed"

    def __init__(self, method: str, path: str, allowed: Sequence[str]) -> None:
        detail = f"{short(path)} does not take {short(method)}; it takes {listed(allowed)}"
        super().__init__(detail, value=short(method), allowed=list(allowed))

    @property
    def headers(self) -> dict[str, str]:
        return {"Allow": ", ".join(self.members["allowed"])}


class PipelineNotFound(RequestError):
    """No pipeline has this name."""

    status = 404
    slug = "pipeline-not-found"
    title = "Pipeline not found"

    def __init__(self, name: str, available: Sequence[str]) -> None:
        hint = did_you_mean(name, available)
        there_are = " There are" if hint else "; there are"
        detail = f"no pipeline named {short(name)!r}{hint}{there_are}: {listed(sorted(available))}"
        super().__init__(detail, field="pipeline", value=short(name), allowed=sorted(available))


class PipelineUnfit(RequestError):
    """The file of a pipeline cannot be loaded; its last good version serves on, where there is one."""

    slug = "pipeline-unfit"
    title = "Pipeline unfit"

    def __init__(self, name: str, problems: Sequence[str]) -> None:
        detail = f"pipeline {short(name)!r} cannot be loaded: {short('; '.join(problems), LONGEST_REASON)}"
        super().__init__(detail, field="pipeline", value=short(name))


class VersionNotFound(RequestError):
    """The pipeline exists, but not in this version: only the latest is kept."""

    status = 404
    slug = "version-not-found"
    title = "Version not found"

    def __init__(self, name: str, version: str, latest: int) -> None:
        detail = f"there is no version {short(version)!r} of pipeline {short(name)!r}; there is {latest}"
        super().__init__(detail, field="version", value=short(version), allowed=[str(latest)])


class ControlOff(RequestError):
    """What would change the running service is not allowed to be asked for."""

    status = 403
    slug = "control-off"
    title = "Control is off"

    def __init__(self, what: str) -> None:
        """``what`` completes the sentence "... is not allowed"."""
        super().__init__(f"{what} is not allowed: the setting repository_control is off", field="repository_control")


class NotSupported(RequestError):
    """The protocol has it, and this service does not."""

    status = 501
    slug = "not-supported"
    title = "Not supported"


class EncodingNotSupported(RequestError):
    """The body is compressed in a way that is not undone."""

    status = 501
    slug = "encoding-not-supported"
    title = "Encoding not supported"

    def __init__(self, encoding: str, allowed: Sequence[str]) -> None:
        detail = f"Content-Encoding {short(encoding)!r} is not taken; allowed: {listed(allowed)}"
        super().__init__(detail, field="Content-Encoding", value=short(encoding), allowed=list(allowed))

    @property
    def headers(self) -> dict[str, str]:
        return {"Accept-Encoding": ", ".join(self.members["allowed"])}


class TensorInvalid(RequestError):
    """An input is not what the pipeline takes, or there is no such input or output."""

    slug = "tensor-invalid"
    title = "Tensor invalid"

    def __init__(self, name: str, detail: str, **members: object) -> None:
        super().__init__(detail, **{"field": name, **members})


class ParameterInvalid(RequestError):
    """A parameter of the query, or a header that the service reads, has a value that is not allowed."""

    slug = "parameter-invalid"
    title = "Parameter invalid"

    def __init__(self, field: str, value: object, requirement: str) -> None:
        """``requirement`` completes the sentence "it must be ...": ``"an integer from 1 to 64"``."""
        detail = f"{field} is {short(value)!r}; it must be {requirement}"
        super().__init__(detail, field=field, value=short(value), allowed=requirement)


class ParameterUnknown(RequestError):
    """There is no such parameter."""

    slug = "parameter-invalid"
    title = "Parameter invalid"

    def __init__(self, field: str, allowed: Sequence[str]) -> None:
        detail = (
            f"there is no parameter {short(field)!r}{did_you_mean(field, allowed) or ';'} allowed: {listed(allowed)}"
        )
        super().__init__(detail, field=short(field), allowed=list(allowed))


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

    def __init__(self, value: int, limit: int, where: str = "; send fewer images or views") -> None:
        detail = f"the results would have {value} bytes; at most {limit} are allowed{where}"
        super().__init__(detail, value=value, limit=limit)


class NotAcceptable(RequestError):
    """None of the accepted media types can carry the pipeline's result."""

    status = 406
    slug = "not-acceptable"
    title = "Not acceptable"

    def __init__(self, accept: str, available: Sequence[str]) -> None:
        detail = f"nothing that Accept {short(accept)!r} allows can be sent; available: {listed(available)}"
        super().__init__(detail, field="Accept", value=short(accept), allowed=list(available))


class UnsupportedMediaType(RequestError):
    """The content type is neither an image nor a form, or the body is encoded once more."""

    status = 415
    slug = "unsupported-media-type"
    title = "Unsupported media type"

    def __init__(self, field: str, value: str, allowed: Sequence[str]) -> None:
        """``field`` is the header: Content-Type or Content-Encoding."""
        detail = f"{field} {short(value)!r} is not taken; allowed: {listed(allowed)}"
        super().__init__(detail, field=field, value=short(value), allowed=list(allowed))
