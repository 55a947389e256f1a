"""What a request for work is answered with: one body, one problem, or a part for each result."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from augserve.wire import (
    COUNT_HEADER,
    FAILED_HEADER,
    FINGERPRINT_HEADER,
    FINISH_HEADER,
    INDEX_HEADER,
    JSON,
    PIPELINE_HEADER,
    PROBLEM,
    PROBLEM_TYPE_PREFIX,
    SEED_HEADER,
    SEED_LIMIT,
    Buffer,
    Part,
    Problem,
    attachment,
    multipart_type,
    new_boundary,
    write_multipart,
)
from augserve_server.engine import Results, Together
from augserve_server.errors import ServiceError
from augserve_server.orders import Order
from augserve_server.results import Body, Several
from augserve_server.timings import Timings

OIP_ROOT: Final = "/v2"
OIP_STATUS: Final[Mapping[int, int]] = {422: 400}
"""What becomes of a status that the protocol does not have."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A response before it is sent."""

    status: int
    content_type: str
    buffers: Sequence[Buffer]
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class About:
    """What an answer says of its results: how they are written, where they come from, the seed of each."""

    media_type: str
    headers: Mapping[str, str]
    seeds: Sequence[int | None]


def about_order(order: Order) -> About:
    """Of the results of a pipeline."""
    headers = {
        SEED_HEADER: str(order.seed),
        PIPELINE_HEADER: order.served.name,
        FINGERPRINT_HEADER: order.served.pipeline.fingerprint,
    }
    if order.served.finish is not None:
        headers[FINISH_HEADER] = order.served.finish.write()
    return About(order.form.media_type, headers, range(order.seed, order.seed + SEED_LIMIT))


def answer(about: About, results: Results, timings: Timings, request_id: str) -> Answer:
    """The response to a request: 200 where any of its results could be made."""
    headers = {**about.headers, **_counts(results), "Vary": "Accept", "Server-Timing": timings.header()}
    if isinstance(results, Together):
        return Answer(200, about.media_type, results.body, headers)
    failures = [result for result in results if isinstance(result, ServiceError)]
    if len(results) == len(failures):
        return _all_failed(failures, request_id, headers)
    if len(results) == 1 and isinstance(results[0], list):
        return Answer(200, about.media_type, results[0], headers)
    boundary = new_boundary()
    parts = [part for i, result in enumerate(results) for part in _parts(i, result, about, request_id)]
    return Answer(200, multipart_type(boundary), write_multipart(parts, boundary), headers)


def error_answer(error: ServiceError, request_id: str, path: str) -> Answer:
    """What says an error to whoever asked for a path: a problem document, or what the protocol under /v2 has for it."""
    if path != OIP_ROOT and not path.startswith(f"{OIP_ROOT}/"):
        return problem_answer(error, request_id)
    status = OIP_STATUS.get(error.status, error.status)
    # The members are for our own clients: others read no more than the text.
    document = error.document(request_id)
    document = {"error": document.pop("detail"), **document}
    return Answer(status, JSON, [json.dumps(document).encode()], error.headers)


def problem_answer(error: ServiceError, request_id: str) -> Answer:
    """The problem document of an error."""
    return Answer(error.status, PROBLEM, [error.problem(request_id).to_json()], error.headers)


def _counts(results: Results) -> dict[str, str]:
    count = results.count if isinstance(results, Together) else len(results)
    failed = 0 if isinstance(results, Together) else sum(isinstance(result, ServiceError) for result in results)
    return {COUNT_HEADER: str(count), **({FAILED_HEADER: str(failed)} if failed else {})}


def _parts(index: int, result: Body | Several | ServiceError, about: About, request_id: str) -> list[Part]:
    seed = about.seeds[index]
    headers = {INDEX_HEADER: str(index), **({} if seed is None else {SEED_HEADER: str(seed)})}
    if isinstance(result, ServiceError):
        problem = result.problem(request_id, index=index).to_json()
        return [Part({"Content-Type": PROBLEM, **headers}, [problem])]
    if isinstance(result, Several):
        return [
            Part({"Content-Type": one.content_type, **attachment(one.name), **headers}, one.body)
            for one in result.parts
        ]
    return [Part({"Content-Type": about.media_type, **headers}, result)]


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
    return Answer(problem.status, PROBLEM, [problem.to_json()], {**headers, **(first.headers if same else {})})
