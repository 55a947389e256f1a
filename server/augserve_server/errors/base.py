"""What all errors have in common, those of no kind, and those that keep the service from starting."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, Self

from augserve.wire import PROBLEM_TYPE_PREFIX, Problem


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

    def within(self, place: str, field: str) -> Self:
        """This error as it was found not on the image of a sample but at ``place``: ``"frame 3 of the clip"``.

        One that says itself where it was found stays as it is.
        """
        if self.members.get("field") in ("image", "body"):
            self.detail = f"{place}: {self.detail}"
            self.args = (self.detail,)
            self.members["field"] = field
        return self

    def of_sample(self, index: int) -> Self:
        """This error as that of the whole request, which fails for its sample ``index``."""
        self.detail = f"sample {index}: {self.detail}"
        self.args = (self.detail,)
        self.members["index"] = index
        return self

    def problem(self, request_id: str | None = None, **members: Any) -> Problem:
        """The problem document; ``members`` are added to the error's own (``index=3``, ``field="image"``)."""
        return Problem(**self.document(request_id, **members))

    def document(self, request_id: str | None = None, **members: Any) -> dict[str, Any]:
        """The members of the problem document, without those that are not there."""
        known = {
            "type": PROBLEM_TYPE_PREFIX + self.slug,
            "title": self.title,
            "status": self.status,
            "detail": self.detail,
            "request_id": request_id,
            **self.members,
            **members,
        }
        return {name: value for name, value in known.items() if value is not None}


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
