"""Answers: bytes from the wire into results and errors. No I/O."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from pydantic import ValidationError

from augserve.bodies import Reader
from augserve.errors import ImageRejected, PipelineChanged, ResponseInvalid, ServiceError, service_error
from augserve.parcels import Parcel
from augserve.requests import Call, Replay
from augserve.results import Results
from augserve.retries import read_retry_after
from augserve.wire import (
    COUNT_HEADER,
    FINGERPRINT_HEADER,
    FINISH_HEADER,
    INDEX_HEADER,
    MULTIPART,
    PROBLEM,
    REQUEST_ID_HEADER,
    SEED_HEADER,
    Finish,
    InvalidBody,
    Part,
    Problem,
    read_multipart,
)

_DURATION = re.compile(r"([\w-]+)\s*;\s*dur=(\d+(?:\.\d+)?)")


@dataclass(frozen=True, slots=True)
class Answer:
    """What came over the wire. Names of headers are found in any case."""

    status: int
    headers: Mapping[str, str]
    body: bytearray


@dataclass(frozen=True, slots=True)
class PortionResults:
    """The results of one request of a call."""

    items: Sequence[Any]
    block: Any = None
    media_type: str | None = None
    fingerprint: str | None = None
    request_id: str | None = None
    timing_ms: Mapping[str, float] = field(default_factory=dict)


def read_error(answer: Answer, now: datetime) -> ServiceError | None:
    """The error that an answer is, if it is one: by its problem document, else (a gateway's answer) by its status."""
    if answer.status == 200:
        return None
    return service_error(_problem(answer), read_retry_after(answer.headers.get("Retry-After"), now))


def read_portion(
    answer: Answer, call: Call | Replay, portion: range, parcels: Sequence[Parcel], reader: Reader
) -> PortionResults:
    """The results of one request, in order.

    Raises:
        ResponseInvalid: The answer is not what was asked for.
    """
    count = len(portion) * call.results_per_image
    _check_header(answer, COUNT_HEADER, str(count))
    if isinstance(call, Call):
        _check_header(answer, SEED_HEADER, str(call.seeds(portion)[0]))
    try:
        reader = _finishing(answer, call, reader)
        if not call.params and all(parcel.is_image for parcel in parcels):
            items, block, media_type = _read_images(answer, count, reader)
        else:
            items, block, media_type = _read_samples(answer, call, parcels, reader)
    except (InvalidBody, ValidationError) as exc:
        raise ResponseInvalid(f"the answer cannot be read: {exc}") from exc
    return PortionResults(
        items=items,
        block=block,
        media_type=media_type,
        fingerprint=answer.headers.get(FINGERPRINT_HEADER),
        request_id=answer.headers.get(REQUEST_ID_HEADER),
        timing_ms=_timing_ms(answer.headers.get("Server-Timing", "")),
    )


def read_rejection(error: ServiceError, call: Call | Replay, portion: range) -> PortionResults:
    """The results of a request in which every image failed; raises ``error`` where it is about the request itself."""
    count = len(portion) * call.results_per_image
    entries = error.problem.members.get("errors")
    if isinstance(entries, list):
        return PortionResults(_read_errors(entries, count), request_id=error.request_id)
    if isinstance(error, ImageRejected) and len(portion) == 1:
        return PortionResults([error] * count, request_id=error.request_id)
    raise error


def merge(call: Call | Replay, images: range, portions: Sequence[PortionResults]) -> Results[Any]:
    """The results of a call for all of its images from those of its requests.

    Raises:
        PipelineChanged: The requests were answered by different versions of the pipeline.
    """
    fingerprints = _distinct(portion.fingerprint for portion in portions)
    if len(fingerprints) > 1:
        raise PipelineChanged(f"{call.pipeline!r} was reloaded during the call: {', '.join(fingerprints)}; call again")
    timing_ms: dict[str, float] = {}
    for portion in portions:
        for stage, duration_ms in portion.timing_ms.items():
            timing_ms[stage] = timing_ms.get(stage, 0.0) + duration_ms
    return Results(
        items=[item for portion in portions for item in portion.items],
        seeds=call.seeds(images),
        views=call.results_per_image,
        pipeline=call.pipeline,
        fingerprint=next(iter(fingerprints), None),
        media_type=next(iter(_distinct(portion.media_type for portion in portions)), None),
        timing_ms=timing_ms,
        request_ids=[portion.request_id for portion in portions if portion.request_id],
        block=portions[0].block if len(portions) == 1 else None,
    )


def _finishing(answer: Answer, call: Call | Replay, reader: Reader) -> Reader:
    """The reader that does what the service has left to do."""
    text = answer.headers.get(FINISH_HEADER)
    if text is None:
        return reader
    if call.wire is None:
        raise ResponseInvalid(f"the answer has {FINISH_HEADER}, and wire='uint8' was not asked for")
    return reader.finishing(Finish.read(text))


def _distinct(values: Iterable[str | None]) -> list[str]:
    return list(dict.fromkeys(value for value in values if value is not None))


def _check_header(answer: Answer, name: str, expected: str) -> None:
    found = answer.headers.get(name)
    if found != expected:
        raise ResponseInvalid(f"the answer has {name}: {found}, not {expected}; is this an augserve server?")


def _read_images(answer: Answer, count: int, reader: Reader) -> tuple[Sequence[Any], Any, str | None]:
    """The results, the block that they are views of where they came as one, and their media type."""
    media_type = _media_type(answer.headers.get("Content-Type", ""))
    if media_type == MULTIPART:
        return _read_parts(answer, count, lambda _, parts: reader.one(_only(parts).body, parts[0].media_type))
    if count == 1:
        return [reader.one(answer.body, media_type)], None, media_type
    return *reader.many(answer.body, media_type, count), media_type


def _read_samples(
    answer: Answer, call: Call | Replay, parcels: Sequence[Parcel], reader: Reader
) -> tuple[Sequence[Any], None, str | None]:
    """The same of results that have a body each: ``Augmented``, or only its pixels where there were no targets."""

    def read(index: int, parts: Sequence[Part]) -> Any:
        parcel, augmented = parcels[index // call.results_per_image], reader.augmented(parts)
        if parcel.has_pixels and augmented.image is None:
            raise ResponseInvalid(f"the answer has no image for result {index}")
        return augmented if call.params or parcel.has_targets else augmented.image

    count, media_type = len(parcels) * call.results_per_image, _media_type(answer.headers.get("Content-Type", ""))
    if media_type == MULTIPART:
        return _read_parts(answer, count, read)
    if count != 1:
        raise ResponseInvalid(f"the answer is one {media_type or 'body of no media type'}, not {count} results")
    return [read(0, [Part({"content-type": media_type}, [answer.body])])], None, media_type


def _read_parts(
    answer: Answer, count: int, read: Callable[[int, Sequence[Part]], Any]
) -> tuple[Sequence[Any], None, str | None]:
    results: dict[int, list[Part]] = {}
    for part in read_multipart(answer.body, answer.headers["Content-Type"]):
        results.setdefault(_index(part.headers.get(INDEX_HEADER.lower())), []).append(part)
    good = [parts[0] for parts in results.values() if parts[0].media_type != PROBLEM]
    items = [
        _part_error(parts[0]) if parts[0].media_type == PROBLEM else read(i, parts)
        for i, parts in enumerate(_in_order(results, count))
    ]
    return items, None, good[0].media_type if good else None


def _only(parts: Sequence[Part]) -> Part:
    if len(parts) > 1:
        raise ResponseInvalid(f"the answer has {len(parts)} parts for one result")
    return parts[0]


def _part_error(part: Part) -> ServiceError:
    return service_error(Problem.model_validate_json(bytes(part.body)))


def _index(value: Any) -> int:
    try:
        return int(value)
    except (TypeError, ValueError) as exc:
        raise ResponseInvalid(f"a result has the index {value!r}") from exc


def _in_order(found: Mapping[int, Any], count: int) -> list[Any]:
    missing = sorted(found.keys() ^ set(range(count)))
    if missing:
        raise ResponseInvalid(f"the answer has not each of {count} results once: see index {missing[0]}")
    return [found[i] for i in range(count)]


def _read_errors(entries: Sequence[Any], count: int) -> list[ServiceError]:
    try:
        problems = [(_index(entry.get("index")), Problem.model_validate(entry)) for entry in entries]
    except (AttributeError, ValidationError) as exc:
        raise ResponseInvalid(f"the list of errors cannot be read: {exc}") from exc
    return _in_order({i: service_error(problem) for i, problem in problems}, count)


def _problem(answer: Answer) -> Problem:
    if _media_type(answer.headers.get("Content-Type", "")) == PROBLEM:
        try:
            problem = Problem.model_validate_json(bytes(answer.body))
        except ValidationError as exc:
            raise ResponseInvalid(f"{answer.status}, with a problem document that cannot be read: {exc}") from exc
        return problem.model_copy(update={"status": answer.status})
    text = bytes(answer.body[:200]).decode("utf-8", "replace")
    return Problem(status=answer.status, detail=f"not augserve's answer: {text!r}")


def _media_type(content_type: str) -> str:
    return content_type.partition(";")[0].strip().lower()


def _timing_ms(value: str) -> dict[str, float]:
    return {stage: float(duration) for stage, duration in _DURATION.findall(value)}
