"""What a request for work is answered with: one body, one problem, or a part for each result."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from augserve.wire import (
    COUNT_HEADER,
    FAILED_HEADER,
    FINGERPRINT_HEADER,
    INDEX_HEADER,
    PIPELINE_HEADER,
    PROBLEM,
    PROBLEM_TYPE_PREFIX,
    SEED_HEADER,
    Buffer,
    Part,
    Problem,
    multipart_type,
    new_boundary,
    write_multipart,
)
from augserve_server.engine import Order, Results, Together
from augserve_server.errors import ServiceError
from augserve_server.results import Body
from augserve_server.timings import Timings


@dataclass(frozen=True, slots=True)
class Answer:
    """A response before it is sent."""

    status: int
    content_type: str
    buffers: Sequence[Buffer]
    headers: Mapping[str, str] = field(default_factory=dict)


def answer(order: Order, results: Results, timings: Timings, request_id: str) -> Answer:
    """The response to an order: 200 where any of its results could be made."""
    headers = {**_headers(order, results), "Server-Timing": timings.header()}
    if isinstance(results, Together):
        return Answer(200, order.form.media_type, results.body, headers)
    failures = [result for result in results if isinstance(result, ServiceError)]
    if len(results) == 1 and not failures:
        return Answer(200, order.form.media_type, _body(results[0]), headers)
    if len(results) == len(failures):
        return _all_failed(failures, request_id, headers)
    boundary = new_boundary()
    parts = [_part(i, result, order, request_id) for i, result in enumerate(results)]
    return Answer(200, multipart_type(boundary), write_multipart(parts, boundary), headers)


def problem_answer(error: ServiceError, request_id: str) -> Answer:
    """The problem document of an error."""
    return Answer(error.status, PROBLEM, [error.problem(request_id).to_json()], error.headers)


def _headers(order: Order, results: Results) -> dict[str, str]:
    count = results.count if isinstance(results, Together) else len(results)
    failed = 0 if isinstance(results, Together) else sum(isinstance(result, ServiceError) for result in results)
    return {
        SEED_HEADER: str(order.seed),
        PIPELINE_HEADER: order.served.name,
        FINGERPRINT_HEADER: order.served.pipeline.fingerprint,
        COUNT_HEADER: str(count),
        **({FAILED_HEADER: str(failed)} if failed else {}),
        "Vary": "Accept",
    }


def _body(result: Body | ServiceError) -> Body:
    assert not isinstance(result, ServiceError)
    return result


def _part(index: int, result: Body | ServiceError, order: Order, request_id: str) -> Part:
    headers = {INDEX_HEADER: str(index), SEED_HEADER: str(order.seed + index)}
    if isinstance(result, ServiceError):
        problem = result.problem(request_id, index=index).to_json()
        return Part({"Content-Type": PROBLEM, **headers}, [problem])
    return Part({"Content-Type": order.form.media_type, **headers}, result)


def _all_failed(failures: Sequence[ServiceError], request_id: str, headers: Mapping[str, str]) -> Answer:
    first = failures[0]
    if len(failures) == 1:
        return Answer(first.status, PROBLEM, [first.problem(request_id).to_json()], {**headers, **first.headers})
    same = len({failure.slug for failure in failures}) == 1
    statuses = {failure.status for failure in failures}
    document = {
        "type": PROBLEM_TYPE_PREFIX + (first.slug if same else "images-failed"),
        "title": first.title if same else "Every image failed",
        "status": statuses.pop() if len(statuses) == 1 else 422,
        "detail": f"none of the {len(failures)} results could be made; the first: {first.detail}",
        "request_id": request_id,
        "errors": [failure.problem(index=i).model_dump(exclude_none=True) for i, failure in enumerate(failures)],
    }
    problem = Problem.model_validate(document)
    return Answer(problem.status, PROBLEM, [problem.to_json()], headers)
