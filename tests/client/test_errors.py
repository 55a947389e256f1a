from __future__ import annotations

import pickle
import re

import pytest

from augserve import errors
from augserve.errors import AugserveError, DeadlineExceeded, ServiceError, Timeout, service_error
from augserve.wire import PROBLEM_TYPE_PREFIX, Problem


def error_of(status: int, slug: str = "", **members: object) -> ServiceError:
    type_ = PROBLEM_TYPE_PREFIX + slug if slug else "about:blank"
    return service_error(Problem(type=type_, status=status, detail="it is wrong", **members))


@pytest.mark.parametrize(
    ("status", "slug", "name"),
    [
        (400, "parameter-invalid", "RequestRejected"),
        (400, "body-malformed", "RequestRejected"),
        (400, "empty-body", "ImageRejected"),
        (404, "pipeline-not-found", "PipelineNotFound"),
        (404, "not-found", "RequestRejected"),
        (405, "method-not-allowed", "RequestRejected"),
        (406, "not-acceptable", "RequestRejected"),
        (413, "body-too-large", "LimitExceeded"),
        (413, "too-many-images", "LimitExceeded"),
        (413, "too-much-work", "LimitExceeded"),
        (413, "output-too-large", "LimitExceeded"),
        (413, "image-too-large", "ImageRejected"),
        (413, "", "LimitExceeded"),
        (413, "clip-too-large", "ImageRejected"),
        (413, "target-too-large", "ImageRejected"),
        (415, "unsupported-media-type", "RequestRejected"),
        (415, "format-not-allowed", "ImageRejected"),
        (422, "image-corrupt", "ImageRejected"),
        (422, "image-truncated", "ImageRejected"),
        (422, "image-unsuitable", "ImageRejected"),
        (422, "clip-invalid", "ImageRejected"),
        (422, "target-invalid", "ImageRejected"),
        (422, "record-invalid", "ImageRejected"),
        (429, "queue-full", "Overloaded"),
        (429, "", "Overloaded"),
        (500, "internal", "InternalError"),
        (501, "", "InternalError"),
        (502, "", "ServiceUnavailable"),
        (503, "draining", "ServiceUnavailable"),
        (504, "", "ServiceUnavailable"),
        (504, "deadline-exceeded", "DeadlineExceeded"),
    ],
)
def test_an_answer_is_the_error_of_its_kind(status: int, slug: str, name: str) -> None:
    assert type(error_of(status, slug)).__name__ == name


def test_an_error_says_what_the_problem_says() -> None:
    error = error_of(413, "image-too-large", request_id="abc", field="image", limit=50_000_000)
    assert str(error) == "it is wrong (413 image-too-large) [request abc]"
    assert repr(error) == "ImageRejected('it is wrong (413 image-too-large) [request abc]')"
    assert (error.status, error.slug, error.detail) == (413, "image-too-large", "it is wrong")
    assert (error.field, error.limit, error.request_id) == ("image", 50_000_000, "abc")


def test_what_the_problem_does_not_name_is_none() -> None:
    error = error_of(503)
    assert (error.field, error.limit, error.request_id, error.retry_after_s) == (None, None, None, None)


def test_the_servers_deadline_is_a_timeout_too() -> None:
    assert issubclass(DeadlineExceeded, Timeout)


def test_errors_travel_between_processes() -> None:
    error = service_error(Problem(status=429, detail="full", limit="1024 images"), 2.5)
    copy = pickle.loads(pickle.dumps(error))
    assert type(copy) is type(error)
    assert (str(copy), copy.retry_after_s, copy.limit) == (str(error), 2.5, "1024 images")


def test_the_tree_in_the_docstring_is_the_tree() -> None:
    drawn = {}
    ancestors = ["AugserveError"]
    for prefix, name in re.findall(r"^([│ ]*[├└]── )(\w+)", errors.__doc__, re.MULTILINE):
        depth = len(prefix) // 4
        drawn[name] = ancestors[depth - 1]
        ancestors[depth:] = [name]
    found = {
        name: kind.__bases__[0].__name__
        for name, kind in vars(errors).items()
        if isinstance(kind, type) and issubclass(kind, AugserveError) and kind is not AugserveError
    }
    assert drawn == found
