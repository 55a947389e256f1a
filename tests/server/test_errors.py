"""Every error says what was wrong, the value and what is allowed, and becomes a problem document."""

from __future__ import annotations

import inspect
import json
from collections.abc import Iterator

import pytest

import augserve_server.errors as errors
from augserve.wire import PROBLEM_TYPE_PREFIX, Problem
from augserve_server.errors import ServiceError

NAMES = ["imagenet_train", "simclr", "thumbnail"]

EXAMPLES: list[tuple[ServiceError, int, str, str]] = [
    (errors.RouteNotFound("/v1/pipeline"), 404, "not-found", "/v1/pipeline"),
    (errors.MethodNotAllowed("PUT", "/v1/pipelines", ["GET"]), 405, "method-not-allowed", "takes GET"),
    (
        errors.PipelineNotFound("simclear", NAMES),
        404,
        "pipeline-not-found",
        "did you mean 'simclr'? There are: imagenet_train",
    ),
    (
        errors.ParameterInvalid("seed", "-1", "0 <= seed"),
        400,
        "parameter-invalid",
        "'-1'; it must be 0 <= seed",
    ),
    (
        errors.VersionNotFound("simclr", "7", 2),
        404,
        "version-not-found",
        "version '7' of pipeline 'simclr'; there is 2",
    ),
    (errors.PipelineUnfit("simclr", ["simclr.yaml: x"]), 400, "pipeline-unfit", "cannot be loaded: simclr.yaml: x"),
    (errors.TensorInvalid("SEED", "input 'SEED' is FP32"), 400, "tensor-invalid", "input 'SEED' is FP32"),
    (errors.ControlOff("loading pipelines"), 403, "control-off", "loading pipelines is not allowed: the setting"),
    (errors.NotSupported("there is no tracing"), 501, "not-supported", "there is no tracing"),
    (errors.EncodingNotSupported("br", ["gzip"]), 501, "encoding-not-supported", "'br' is not taken; allowed: gzip"),
    (errors.ParameterUnknown("sed", ["seed"]), 400, "parameter-invalid", "'sed'; did you mean 'seed'? allowed: seed"),
    (errors.BodyMalformed("the form does not end"), 400, "body-malformed", "the form does not end"),
    (errors.EmptyBody(), 400, "empty-body", "the body is empty"),
    (errors.BodyTimeout(10, 60), 408, "body-timeout", "at most 10 s between pieces and 60 s in all"),
    (errors.BodyTooLarge(99, 64), 413, "body-too-large", "99 bytes or more; at most 64"),
    (errors.TooManyChunks(1000), 413, "too-many-chunks", "more than 1000 pieces"),
    (errors.TooManyImages(256), 413, "too-many-images", "more than 256 images"),
    (
        errors.TooMuchWork({"images": 9, "pixels": 1}, {"images": 4, "pixels": 2}),
        413,
        "too-much-work",
        "9 images (at m",
    ),
    (errors.OutputTooLarge(99, 64), 413, "output-too-large", "99 bytes; at most 64"),
    (errors.NotAcceptable("text/html", ["image/png"]), 406, "not-acceptable", "available: image/png"),
    (
        errors.UnsupportedMediaType("Content-Type", "text/csv", ["image/*"]),
        415,
        "unsupported-media-type",
        "Content-Type 'text/csv' is not taken; allowed: image/*",
    ),
    (
        errors.ImageTooLarge("side", 50_000, 16_384),
        413,
        "image-too-large",
        "50000 pixels along one side; at most",
    ),
    (errors.FormatNotAllowed("a PDF", ["JPEG"]), 415, "format-not-allowed", "the image is a PDF; allowed: JPEG"),
    (errors.RegionNotFound("in"), 404, "region-not-found", "Unable to find shared memory region: 'in'"),
    (errors.SharedMemoryError("in", "is gone"), 400, "region-invalid", "shared memory region 'in' is gone"),
    (errors.SharedMemoryForbidden(), 403, "not-local", "over the loopback interface of this machine"),
    (errors.SharedMemoryOff(), 501, "not-supported", "setting shared_memory enables it"),
    (errors.ImageTruncated("JPEG"), 422, "image-truncated", "the JPEG image ends before it is complete"),
    (errors.ImageCorrupt("PNG", "it has no IDAT"), 422, "image-corrupt", "the PNG image is corrupt: it has no IDAT"),
    (errors.ImageUnsuitable("the crop is larger"), 422, "image-unsuitable", "the crop is larger"),
    (errors.ClipTooLarge("frames", 300, 256), 413, "clip-too-large", "300 frames or more; at most 256"),
    (errors.ClipInvalid("has no frames"), 422, "clip-invalid", "the clip has no frames"),
    (errors.TargetTooLarge("boxes", "rows", 11, 10), 413, "target-too-large", "boxes have 11 rows; at most 10"),
    (errors.TargetInvalid("labels", "'x' is no number"), 422, "target-invalid", "labels: 'x' is no number"),
    (errors.RecordInvalid("has no matrix"), 422, "record-invalid", "the record has no matrix"),
    (errors.QueueFull(2.2, "1024 images"), 429, "queue-full", "the queue is full (1024 images)"),
    (errors.Unauthenticated(), 401, "unauthenticated", "send Authorization: Bearer TOKEN"),
    (errors.Forbidden("admin", ["infer", "read"]), 403, "forbidden", "scope 'admin'; this one has infer, read"),
    (errors.ConnectionsFull(), 503, "connections-full", "as many connections as it takes"),
    (errors.Draining(), 503, "draining", "shutting down"),
    (errors.DeviceFailed("cuda:0"), 503, "device-failed", "device cuda:0 has failed; another server may answer"),
    (errors.DeviceMemoryFull("cuda:0", 48.04), 503, "device-memory-full", "this sample of 48.0 megapixels alone"),
    (errors.DeadlineExceeded(250, "decode"), 504, "deadline-exceeded", "within 250 ms (in decode)"),
    (errors.ClientGone(), 499, "client-gone", "closed the connection"),
    (errors.InternalError(), 500, "internal", "under this request id"),
]


def leaves(parent: type[ServiceError] = ServiceError) -> Iterator[type[ServiceError]]:
    children = parent.__subclasses__()
    if not children:
        yield parent
    for child in children:
        if child.__module__.startswith(errors.__name__):
            yield from leaves(child)


@pytest.mark.parametrize(("error", "status", "slug", "detail"), EXAMPLES, ids=lambda value: type(value).__name__)
def test_an_error_becomes_a_problem_document(error: ServiceError, status: int, slug: str, detail: str) -> None:
    document = json.loads(error.problem("id-1").to_json())
    assert document["type"] == PROBLEM_TYPE_PREFIX + slug
    assert (document["status"], document["request_id"]) == (status, "id-1")
    assert document["title"]
    assert document["detail"] == str(error)
    assert detail in str(error)


def test_every_error_of_the_tree_has_an_example_and_is_drawn() -> None:
    assert set(leaves()) == {type(example[0]) for example in EXAMPLES}
    drawn = errors.__doc__ or ""
    classes = {name for name, value in vars(errors).items() if inspect.isclass(value)}
    assert classes == set(errors.__all__)
    assert [name for name in classes if name not in drawn] == []


def test_members_say_field_value_limit_and_what_is_allowed() -> None:
    assert errors.PipelineNotFound("x", ["b", "a"]).problem().members == {
        "field": "pipeline",
        "value": "x",
        "allowed": ["a", "b"],
    }
    assert errors.ImageTooLarge("pixels", 9, 4).problem().members == {
        "field": "image",
        "measure": "pixels",
        "value": 9,
        "limit": 4,
    }


def test_members_can_be_added_where_the_error_is_answered() -> None:
    problem = errors.ImageTruncated("JPEG").problem(index=3)
    assert problem.members == {"field": "image", "format": "JPEG", "index": 3}
    assert isinstance(problem, Problem)


def test_an_error_can_say_where_in_a_sample_it_was_found() -> None:
    error = errors.ImageTruncated("PNG").within("frame 3 of the clip", "clip")
    assert error.detail == "frame 3 of the clip: the PNG image ends before it is complete"
    assert error.members == {"field": "clip", "format": "PNG"}


def test_what_is_not_known_is_left_out() -> None:
    assert errors.DeadlineExceeded(250).members == {"field": "deadline", "limit": 250}
    assert b"request_id" not in errors.EmptyBody().problem().to_json()


def test_retry_after_is_whole_seconds_and_at_least_one() -> None:
    assert errors.QueueFull(2.2).headers == {"Retry-After": "3"}
    assert errors.QueueFull(0).headers == {"Retry-After": "1"}
    assert errors.QueueFull(0.1).problem().members["retry_after"] == 1
    assert errors.DeadlineExceeded(250).headers == {}


def test_a_refused_method_comes_with_those_that_are_allowed() -> None:
    assert errors.MethodNotAllowed("PUT", "/", ["GET", "HEAD"]).headers == {"Allow": "GET, HEAD"}


def test_a_long_value_is_repeated_only_in_part() -> None:
    for error in (
        errors.ParameterInvalid("seed", "9" * 100_000, "short"),
        errors.PipelineNotFound("x" * 100_000, NAMES),
    ):
        assert len(error.problem().to_json()) < 1000
        assert error.members["value"].endswith("...")


def test_nothing_is_suggested_where_nothing_is_near() -> None:
    assert "did you mean" not in str(errors.PipelineNotFound("zzz", NAMES))
    assert str(errors.PipelineNotFound("zzz", [])) == "no pipeline named 'zzz'; there are: none"


def test_wrong_settings_are_all_listed() -> None:
    error = errors.InvalidSettings(["a is wrong", "b is wrong"])
    assert (error.problems, str(error)) == (("a is wrong", "b is wrong"), "a is wrong\nb is wrong")
