"""Answers: bytes from the wire into results and errors. No I/O."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from pydantic import ValidationError

from augserve.bodies import Reader
from augserve.errors import ImageRejected, PipelineChanged, ResponseInvalid, ServiceError, service_error
from augserve.inferred import read_inferred
from augserve.parcels import Parcel
from augserve.requests import Call, Replay
from augserve.results import Results
from augserve.retries import read_retry_after
from augserve.wire import (
    COUNT_HEADER,
    FINGERPRINT_HEADER,
    FINISH_HEADER,
    INDEX_HEADER,
    JSON,
    MULTIPART,
    PROBLEM,
    REQUEST_ID_HEADER,
    SEED_HEADER,
    Finish,
    InvalidBody,
    Part,
    Problem,
    oip,
    read_multipart,
)
from augserve.wire.oip import names

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


def read_inference(
    answer: Answer, call: Call, portion: range, parcels: Sequence[Parcel], reader: Reader
) -> PortionResults:
    """The results of one request of the Open Inference Protocol, in order.

    Raises:
        ResponseInvalid: The answer is not what was asked for.
    """
    try:
        head_length = answer.headers.get(oip.HEAD_LENGTH_HEADER)
        inferred = read_inferred(answer.body, head_length, call, portion, parcels, reader)
    except (InvalidBody, ValidationError) as exc:
        raise ResponseInvalid(f"the answer cannot be read: {exc}") from exc
    return PortionResults(
        items=inferred.items,
        block=inferred.block,
        media_type=inferred.media_type,
        fingerprint=_text(inferred.parameters.get(names.FINGERPRINT_KEY)),
        request_id=answer.headers.get(REQUEST_ID_HEADER),
        timing_ms=_timing_ms(str(inferred.parameters.get(names.TIMING_KEY, ""))),
    )


def read_form(
    answer: Answer, call: Call | Replay, portion: range, parcels: Sequence[Parcel], reader: Reader
) -> PortionResults:
    """The results of one request that was a form or an image, in order.

    Raises:
        ResponseInvalid: The answer is not what was asked for.
    """
    count = len(portion) * call.results_per_image
    _check_header(answer, COUNT_HEADER, str(count))
    if isinstance(call, Call):
        _check_header(answer, SEED_HEADER, str(call.first_seed(portion.start)))
    try:
        reader = _finishing(answer, call, reader)
        if not call.params and all(parcel.is_image for parcel in parcels):
            items, media_type = _read_image(answer, reader)
        else:
            items, media_type = _read_samples(answer, call, parcels, reader)
    except (InvalidBody, ValidationError) as exc:
        raise ResponseInvalid(f"the answer cannot be read: {exc}") from exc
    return PortionResults(
        items=items,
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


def _read_image(answer: Answer, reader: Reader) -> tuple[Sequence[Any], str | None]:
    """The result of an image alone, and its media type."""
    media_type = _media_type(answer.headers.get("Content-Type", ""))
    return [reader.one(answer.body, media_type)], media_type


def _read_samples(
    answer: Answer, call: Call | Replay, parcels: Sequence[Parcel], reader: Reader
) -> tuple[Sequence[Any], str | None]:
    """The results, ``Augmented`` or only its pixels where there were no targets, and their media type."""

    def read(index: int, parts: Sequence[Part]) -> Any:
        parcel, augmented = parcels[index // call.results_per_image], reader.augmented(parts)
        if parcel.pixel_part and augmented.image is None:
            raise ResponseInvalid(f"the answer has no image for result {index}")
        return augmented if call.params or parcel.has_targets else augmented.image

    count, media_type = len(parcels) * call.results_per_image, _media_type(answer.headers.get("Content-Type", ""))
    if media_type == MULTIPART:
        return _read_parts(answer, count, read)
    if count != 1:
        raise ResponseInvalid(f"the answer is one {media_type or 'body of no media type'}, not {count} results")
    return [read(0, [Part({"content-type": media_type}, [answer.body])])], media_type


def _read_parts(
    answer: Answer, count: int, read: Callable[[int, Sequence[Part]], Any]
) -> tuple[Sequence[Any], str | None]:
    results: dict[int, list[Part]] = {}
    for part in read_multipart(answer.body, answer.headers["Content-Type"]):
        results.setdefault(_index(part.headers.get(INDEX_HEADER.lower())), []).append(part)
    good = [parts[0] for parts in results.values() if parts[0].media_type != PROBLEM]
    items = [
        _part_error(parts[0]) if parts[0].media_type == PROBLEM else read(i, parts)
        for i, parts in enumerate(_in_order(results, count))
    ]
    return items, good[0].media_type if good else None


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
    document = _error_document(answer)
    if document is not None:
        return document
    text = bytes(answer.body[:200]).decode("utf-8", "replace")
    return Problem(status=answer.status, detail=f"not augserve's answer: {text!r}")


def _error_document(answer: Answer) -> Problem | None:
    """The problem that ``{"error": text, ...}`` is, as the Open Inference Protocol has it; None for anything else."""
    if _media_type(answer.headers.get("Content-Type", "")) != JSON:
        return None
    try:
        members = json.loads(answer.body)
        return Problem.model_validate({"status": answer.status, "detail": members.pop("error"), **members})
    except (AttributeError, KeyError, TypeError, ValueError):
        return None


def _media_type(content_type: str) -> str:
    return content_type.partition(";")[0].strip().lower()


def _text(value: oip.Scalar | None) -> str | None:
    return None if value is None else str(value)


def _timing_ms(value: str) -> dict[str, float]:
    return {stage: float(duration) for stage, duration in _DURATION.findall(value)}
