"""What the OpenAPI document says beyond what the signatures of the endpoints do: bodies, headers, problems."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib.metadata import version
from typing import Any, Final

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from starlette.responses import Response

from augserve.wire import (
    BOXES_PART,
    CLIP_PART,
    COUNT_HEADER,
    FAILED_HEADER,
    FINGERPRINT_HEADER,
    FINISH_HEADER,
    FRAME_PART,
    IMAGE_MEDIA_TYPES,
    IMAGE_PART,
    KEYPOINTS_PART,
    LABELS_PART,
    MASKS_PART,
    MULTIPART,
    NPY,
    PIPELINE_HEADER,
    PROBLEM,
    RECORD_PART,
    REQUEST_ID_HEADER,
    SAFETENSORS,
    SEED_HEADER,
    Problem,
)
from augserve_server.scopes import scope_of_request

Document = dict[str, Any]

DESCRIPTION: Final = """\
Runs torchvision-v2 augmentation pipelines over your images: batched, seeded per sample, bit for bit.

Errors are problem documents (RFC 9457): `type` is `urn:augserve:error:<slug>`, `detail` says what was wrong, the value
and what is allowed. Every response carries `Augserve-Request-Id`; send `X-Request-Id` to choose it.

Under `/v2` is the Open Inference Protocol, for clients that speak it: this document has no words for its bodies.
"""

_BINARY: Final[Document] = {"type": "string", "format": "binary"}
_PROBLEM_SCHEMA: Final[Document] = {"$ref": "#/components/schemas/Problem"}


def _header(about: str, kind: str = "string") -> Document:
    return {"description": about, "schema": {"type": kind}}


_REQUEST_ID: Final = {REQUEST_ID_HEADER: _header("Identifies the request in the server's log.")}
_RETRY_AFTER: Final = {"Retry-After": _header("Seconds after which another attempt has a chance.", "integer")}
_RESULT_HEADERS: Final[Document] = {
    **_REQUEST_ID,
    SEED_HEADER: _header("The base seed: the one given, or the one drawn.", "integer"),
    PIPELINE_HEADER: _header("Name of the pipeline."),
    FINGERPRINT_HEADER: _header("sha256 of the canonical pipeline."),
    COUNT_HEADER: _header("Number of results: images times views.", "integer"),
    FAILED_HEADER: _header("Number of results that failed, where any did.", "integer"),
    FINISH_HEADER: _header(
        "JSON, where bytes were sent in place of floats (wire=uint8): {dtype, scale, mean, std, result}. A byte v of "
        "channel c becomes (v * scale - mean[c]) / std[c], each step rounded to dtype, and the last value to result. "
        "mean and std may have one value for all channels, or be null."
    ),
    "Server-Timing": _header("Milliseconds in each stage; the size of the batch and why it closed."),
    "Vary": _header("Accept"),
}


def _problem(about: str, headers: Mapping[str, Any] | None = None) -> Document:
    return {
        "description": about,
        "headers": {**_REQUEST_ID, **(headers or {})},
        "content": {PROBLEM: {"schema": _PROBLEM_SCHEMA}},
    }


_PARTS: Final[Document] = {
    IMAGE_PART: {"type": "array", "items": _BINARY, "description": "Encoded images, a sample each."},
    CLIP_PART: {
        "type": "array",
        "items": _BINARY,
        "description": "Animated images (GIF, WebP, PNG, AVIF) or videos (MP4, Matroska, WebM, AVI), a sample each.",
    },
    FRAME_PART: {"type": "array", "items": _BINARY, "description": "Encoded images; those in a row are one clip."},
    BOXES_PART: {
        "type": "array",
        "items": {},
        "description": "JSON: a list of boxes (XYXY), or {format, data, dtype, clamping_mode}; or npy, with the format "
        "in the media type.",
    },
    MASKS_PART: {
        "type": "array",
        "items": _BINARY,
        "description": "PNG of gray or of palette indices: one mask [H, W]; or npy, [H, W] or [N, H, W].",
    },
    KEYPOINTS_PART: {"type": "array", "items": {}, "description": "JSON: nested lists of [x, y]; or npy [..., 2]."},
    LABELS_PART: {"type": "array", "items": {}, "description": "JSON: a list of numbers; or npy."},
}
_RECORDS: Final[Document] = {
    "type": "array",
    "items": {},
    "minItems": 1,
    "description": "JSON: the record of a result, one with each sample or one for all.",
}
_FORM: Final = (
    "Parts belong to the image, clip or row of frames that stands before them; or to sample n, where all parts have an "
    "index: `image[0]`, `boxes[0]`, `image[1]`."
)

_AUGMENT_BODY: Final[Document] = {
    "required": True,
    "description": (
        "One encoded image (JPEG, PNG, WebP, AVIF, GIF, BMP or TIFF, known by its first bytes), or a form of several."
    ),
    "content": {
        "image/*": {"schema": _BINARY},
        "application/octet-stream": {"schema": _BINARY},
        "application/x-www-form-urlencoded": {
            "schema": {**_BINARY, "description": "Also the bytes of one image: what curl --data-binary calls them."}
        },
        "multipart/form-data": {
            "schema": {"type": "object", "description": _FORM, "properties": _PARTS},
        },
    },
}

_AUGMENT_RESULT: Final[Document] = {
    "description": (
        "One result: an image, or a tensor [C, H, W]. Several of one shape, as npy or safetensors: a tensor "
        "[R, C, H, W] (safetensors: named `images`). Several otherwise, or where some failed: multipart/mixed, a part "
        "for each in order, with Augserve-Index and Augserve-Seed; a failed one is a problem document. bfloat16 is "
        "sent as safetensors only; images only of pipelines with uint8 results. Where there are targets or clips, or "
        "params=true, each result is a safetensors file of its own, with a tensor for each part; or, in other media "
        "types, several parts of a multipart/mixed body with one Augserve-Index: image (or frames), boxes, masks, "
        "keypoints, labels, record."
    ),
    "headers": _RESULT_HEADERS,
    "content": {name: {"schema": _BINARY} for name in (*IMAGE_MEDIA_TYPES, NPY, SAFETENSORS, MULTIPART)},
}

AUGMENT: Final[Document] = {
    "response_class": Response,
    "openapi_extra": {"requestBody": _AUGMENT_BODY},
    "responses": {
        200: _AUGMENT_RESULT,
        400: _problem("A parameter, the form or the body is malformed, or there is no image."),
        404: _problem("No such pipeline; names the nearest, and lists what there is."),
        406: _problem("The result cannot be sent as anything that Accept allows; lists what it can be sent as."),
        408: _problem("The body did not arrive in time."),
        413: _problem("The body, an image, the number of images or the results are over a limit, which is named."),
        415: _problem("The content type, or the format of the image, is not taken."),
        422: _problem("An image, clip, target or record is corrupt, truncated, or unsuitable for the pipeline."),
        429: _problem("The queue is full.", _RETRY_AFTER),
        500: _problem("A mistake of the server's; its log has it under the request id."),
        503: _problem("The server is shutting down.", _RETRY_AFTER),
        504: _problem("The deadline passed; what was not begun was given up."),
    },
}
_REPLAY_BODY: Final[Document] = {
    "required": True,
    "description": "Samples, of pixels, of targets or of both, and the records to replay on them. " + _FORM,
    "content": {
        "multipart/form-data": {
            "schema": {
                "type": "object",
                "properties": {**_PARTS, RECORD_PART: _RECORDS},
                "required": [RECORD_PART],
            }
        }
    },
}
REPLAY: Final[Document] = {
    "response_class": Response,
    "openapi_extra": {"requestBody": _REPLAY_BODY},
    "responses": {
        **{status: told for status, told in AUGMENT["responses"].items() if status not in (200, 404)},
        200: {
            "description": (
                "Each result as where there are targets: a safetensors file of its own, or several parts of a "
                "multipart/mixed body. Augserve-Seed of a part is the seed in its record."
            ),
            "headers": {
                name: told
                for name, told in _RESULT_HEADERS.items()
                if name not in (SEED_HEADER, PIPELINE_HEADER, FINGERPRINT_HEADER, FINISH_HEADER)
            },
            "content": {name: {"schema": _BINARY} for name in (SAFETENSORS, MULTIPART)},
        },
    },
}
LIST: Final[Document] = {"responses": {500: _problem("A mistake of the server's.")}}
DESCRIBE: Final[Document] = {
    "responses": {
        400: _problem("A parameter is malformed, or the size is over a limit."),
        404: _problem("No such pipeline."),
        500: _problem("A mistake of the server's."),
    }
}

_STATE: Final[Document] = {
    "type": "object",
    "properties": {"status": {"type": "string"}, "reasons": {"type": "array", "items": {"type": "string"}}},
    "required": ["status", "reasons"],
}


def _state(good: str, bad: str) -> Document:
    content = {"application/json": {"schema": _STATE}}
    return {
        "responses": {200: {"description": good, "content": content}, 503: {"description": bad, "content": content}}
    }


HEALTH: Final = _state("Alive.", "Broken: restart it.")
READY: Final = _state("Ready for work.", "Not ready, for the reasons listed.")
METRICS: Final[Document] = {
    "response_class": Response,
    "responses": {200: {"description": "Prometheus text.", "content": {"text/plain": {"schema": {"type": "string"}}}}},
}


def document(app: FastAPI) -> Document:
    """The OpenAPI document of the app: made once, with the schema of problems, without FastAPI's own errors."""
    if app.openapi_schema is None:
        made = get_openapi(title=app.title, version=app.version, description=app.description, routes=app.routes)
        schemas = made["components"]["schemas"]
        schemas["Problem"] = Problem.model_json_schema(ref_template="#/components/schemas/{model}")
        for name in ("HTTPValidationError", "ValidationError"):
            schemas.pop(name, None)
        for path in made["paths"].values():
            for operation in path.values():
                _drop_framework_errors(operation)
        if app.state.auth.on:
            _ask_for_tokens(made, app.state.auth.is_open)
        app.openapi_schema = made
    return app.openapi_schema


def _drop_framework_errors(operation: Document) -> None:
    found = operation["responses"].get("422", {}).get("content", {}).get("application/json")
    if found is not None:
        del operation["responses"]["422"]


def _ask_for_tokens(made: Document, is_open: Callable[[str, str], bool]) -> None:
    made["components"]["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
    for path, operations in made["paths"].items():
        for method, operation in operations.items():
            if not is_open(method.upper(), path):
                need = scope_of_request(method.upper(), path)
                operation["security"] = [{"token": []}]
                operation["responses"]["401"] = _problem("There is no token, or it is not known or has expired.")
                operation["responses"]["403"] = _problem(f"The token lacks the scope `{need}`.")


def package_version() -> str:
    """The version of the distribution."""
    return version("augserve")
