"""How the small service writes its results: stacked, alone or in parts, as npy, safetensors or PNG."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import httpx
import numpy as np
from PIL import Image

from augserve import wire

if TYPE_CHECKING:
    from small_service import Pixels, SmallResult


def answer(
    results: Sequence[SmallResult | None], accept: str, headers: dict[str, str], *, alone: bool
) -> httpx.Response:
    """The response to a request; a problem where all have failed. ``alone``: images without anything else."""
    if all(result is None for result in results):
        errors = [{"index": i, **corrupt_document()} for i in range(len(results))] if len(results) > 1 else None
        return problem(422, "image-corrupt", **({"errors": errors} if errors else {}))
    media_type = wire.NPY if accept == "*/*" else accept
    if alone:
        return answer_images([result and result.image for result in results], media_type, headers)
    if len(results) == 1 and media_type == wire.SAFETENSORS:
        return respond(wire.SAFETENSORS, encode_archive(results[0]), headers)
    write = write_archive if media_type == wire.SAFETENSORS else write_files
    parts = [part for i, result in enumerate(results) for part in parts_of(i, result, write, media_type)]
    return respond_in_parts(parts, headers)


def answer_images(images: Sequence[Pixels | None], media_type: str, headers: dict[str, str]) -> httpx.Response:
    """One tensor where there is one, or all have a shape; parts otherwise."""
    shapes = {None if image is None else image.shape for image in images}
    if len(images) == 1:
        return respond(media_type, encode(images[0], media_type), headers)
    if len(shapes) == 1 and media_type != wire.PNG:
        return respond(media_type, encode(np.stack(images), media_type), headers)
    return respond_in_parts([part(image, i, media_type) for i, image in enumerate(images)], headers)


def respond(media_type: str, body: bytes, headers: dict[str, str]) -> httpx.Response:
    """An answer with this body."""
    return httpx.Response(200, headers={**headers, "Content-Type": media_type}, content=body)


def respond_in_parts(parts: Sequence[wire.Part], headers: dict[str, str]) -> httpx.Response:
    """An answer in parts."""
    boundary = wire.new_boundary()
    body = b"".join(bytes(buffer) for buffer in wire.write_multipart(parts, boundary))
    return respond(wire.multipart_type(boundary), body, headers)


def part(image: Pixels | None, index: int, media_type: str) -> wire.Part:
    """One image of several."""
    if image is None:
        return wire.Part(
            {"Content-Type": wire.PROBLEM, wire.INDEX_HEADER: str(index)}, [json.dumps(corrupt_document()).encode()]
        )
    return wire.Part({"Content-Type": media_type, wire.INDEX_HEADER: str(index)}, [encode(image, media_type)])


def parts_of(index: int, result: SmallResult | None, write: object, media_type: str) -> Iterator[wire.Part]:
    """The parts of one result that has more to it than pixels."""
    if result is None:
        yield part(None, index, media_type)
        return
    for headers, body in write(result, media_type):
        yield wire.Part({wire.INDEX_HEADER: str(index), **headers}, [body])


def write_archive(result: SmallResult, media_type: str) -> Iterator[tuple[dict[str, str], bytes]]:
    yield {"Content-Type": media_type}, encode_archive(result)


def write_files(result: SmallResult, media_type: str) -> Iterator[tuple[dict[str, str], bytes]]:
    """A file for each thing."""
    if result.image is not None:
        is_clip = result.image.ndim == 4 and media_type == wire.PNG
        for frame in result.image if is_clip else [result.image]:
            name = wire.FRAME_PART if is_clip else wire.IMAGE_PART
            yield headers_of(name, media_type), encode(frame, media_type)
    if result.boxes is not None:
        yield headers_of(wire.BOXES_PART, wire.JSON), wire.write_boxes(result.boxes)
    if result.masks is not None:
        mask_type = wire.PNG if result.masks.ndim == 2 and result.masks.dtype == np.uint8 else wire.NPY
        yield headers_of(wire.MASKS_PART, mask_type), encode(result.masks, mask_type)
    if result.keypoints is not None:
        yield headers_of(wire.KEYPOINTS_PART, wire.JSON), wire.write_keypoints(result.keypoints)
    if result.labels is not None:
        yield headers_of(wire.LABELS_PART, wire.JSON), wire.write_labels(result.labels)
    if result.record is not None:
        yield headers_of(wire.RECORD_PART, wire.JSON), result.record.encode()


def headers_of(name: str, media_type: str) -> dict[str, str]:
    return {"Content-Type": media_type, **wire.attachment(name)}


def encode_archive(result: SmallResult) -> bytes:
    """Everything of a result in one safetensors file."""
    arrays = {
        wire.IMAGE_PART: result.image,
        wire.BOXES_PART: result.boxes and result.boxes.values,
        wire.MASKS_PART: result.masks,
        wire.KEYPOINTS_PART: result.keypoints and result.keypoints.values,
        wire.LABELS_PART: result.labels,
    }
    sized = result.boxes or result.keypoints
    metadata = wire.Metadata(
        boxes_format=result.boxes and result.boxes.format,
        clamping_mode=result.boxes and result.boxes.clamping_mode,
        canvas_size=sized and sized.canvas_size,
        record=result.record,
    )
    tensors = {
        name: (array.dtype.name, array.shape, np.ascontiguousarray(array).tobytes())
        for name, array in arrays.items()
        if array is not None
    }
    return b"".join(bytes(buffer) for buffer in wire.write_safetensors(tensors, metadata.write()))


def encode(values: np.ndarray, media_type: str) -> bytes:
    """Pixels [C, H, W] or a mask as safetensors, npy or PNG."""
    data = np.ascontiguousarray(values).tobytes()
    if media_type == wire.SAFETENSORS:
        return b"".join(bytes(b) for b in wire.write_safetensors({wire.TENSOR_NAME: ("uint8", values.shape, data)}))
    if media_type == wire.PNG:
        buffer = io.BytesIO()
        Image.fromarray(values if values.ndim == 2 else np.moveaxis(values, 0, -1)).save(buffer, "PNG")
        return buffer.getvalue()
    return wire.write_npy_header(values.dtype.name, values.shape) + data


def corrupt_document() -> dict[str, object]:
    """The problem of an image that does not decode."""
    return {"type": f"{wire.PROBLEM_TYPE_PREFIX}image-corrupt", "status": 422, "detail": "the image is corrupt"}


def problem(status: int, slug: str, headers: dict[str, str] | None = None, **members: object) -> httpx.Response:
    """An answer that is a problem document."""
    document = {
        "type": f"{wire.PROBLEM_TYPE_PREFIX}{slug}",
        "title": slug.replace("-", " ").capitalize(),
        "status": status,
        "detail": f"it is {slug}",
        "request_id": "request-0",
        **members,
    }
    body = json.dumps(document).encode()
    return httpx.Response(status, headers={"Content-Type": wire.PROBLEM, **(headers or {})}, content=body)


def refusal(status: int, slug: str, headers: dict[str, str] | None = None, **members: object) -> httpx.Response:
    """The same as the Open Inference Protocol has it."""
    answer = problem(status, slug, **members)
    body = json.dumps({"error": f"it is {slug}", **answer.json()}).encode()
    return httpx.Response(status, headers={"Content-Type": wire.JSON, **(headers or {})}, content=body)
