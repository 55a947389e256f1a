"""A small service that speaks the protocol in this process: its one augmentation adds the seed to the pixels."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import httpx
import numpy as np
import python_multipart
from PIL import Image, UnidentifiedImageError

from augserve import wire

Pixels = np.ndarray[tuple[int, ...], np.dtype[np.uint8]]


def augmented(pixels: Pixels, seed: int) -> Pixels:
    """What the service gives for an image [H, W, C]: [C, H, W]."""
    return (pixels + np.uint8(seed % 256)).transpose(2, 0, 1)


@dataclass
class Service:
    """Answers requests, and keeps them. ``before`` may answer in its place."""

    before: Callable[[httpx.Request, int], httpx.Response | None] = lambda request, number: None
    fingerprint: str = "f" * 64
    max_images: int = 256
    requests: list[httpx.Request] = field(default_factory=list)

    def __call__(self, request: httpx.Request) -> httpx.Response:
        request.read()
        self.requests.append(request)
        return self.before(request, len(self.requests)) or self._augment(request)

    def _augment(self, request: httpx.Request) -> httpx.Response:
        seed, views = int(request.url.params["seed"]), int(request.url.params["views"])
        images = read_images(request)
        if len(images) > self.max_images:
            return problem(413, "too-many-images", limit=self.max_images)
        decoded = [decode(image) for image in images]
        results = [
            pixels if pixels is None else augmented(pixels, seed + i * views + v)
            for i, pixels in enumerate(decoded)
            for v in range(views)
        ]
        headers = {
            wire.SEED_HEADER: str(seed),
            wire.COUNT_HEADER: str(len(results)),
            wire.FINGERPRINT_HEADER: self.fingerprint,
            wire.REQUEST_ID_HEADER: f"request-{len(self.requests)}",
            "Server-Timing": 'decode;dur=1.5, run;dur=2, batch;desc="8 idle"',
        }
        return answer(results, request.headers["Accept"], headers)


def read_images(request: httpx.Request) -> list[bytes]:
    """The images in a request, in order."""
    if not request.headers["Content-Type"].startswith("multipart/"):
        return [request.content]
    images: list[bytes] = []

    def keep(file: python_multipart.multipart.File) -> None:
        assert file.field_name == wire.IMAGE_PART.encode()
        file.file_object.seek(0)
        images.append(file.file_object.read())

    headers = {name.title(): value.encode() for name, value in request.headers.items()}
    python_multipart.parse_form(headers, io.BytesIO(request.content), lambda field: None, keep)
    return images


def decode(image: bytes) -> Pixels | None:
    """The pixels [H, W, 3], or None where there are none to be had."""
    try:
        return np.asarray(Image.open(io.BytesIO(image)).convert("RGB"))
    except UnidentifiedImageError:
        return None


def answer(results: Sequence[Pixels | None], accept: str, headers: dict[str, str]) -> httpx.Response:
    """One tensor where there is one, or all have a shape; parts otherwise; a problem where all have failed."""
    if all(result is None for result in results):
        errors = [{"index": i, **corrupt_document()} for i in range(len(results))] if len(results) > 1 else None
        return problem(422, "image-corrupt", **({"errors": errors} if errors else {}))
    media_type = wire.NPY if accept == "*/*" else accept
    shapes = {None if result is None else result.shape for result in results}
    if len(results) == 1:
        return httpx.Response(200, headers={**headers, "Content-Type": media_type}, content=encode(results[0], accept))
    if len(shapes) == 1 and media_type != wire.PNG:
        body = encode(np.stack(results), media_type)
        return httpx.Response(200, headers={**headers, "Content-Type": media_type}, content=body)
    boundary = wire.new_boundary()
    parts = [part(result, i, media_type) for i, result in enumerate(results)]
    body = b"".join(bytes(buffer) for buffer in wire.write_multipart(parts, boundary))
    return httpx.Response(200, headers={**headers, "Content-Type": wire.multipart_type(boundary)}, content=body)


def part(result: Pixels | None, index: int, media_type: str) -> wire.Part:
    """One result of several."""
    if result is None:
        body, media_type = json.dumps(corrupt_document()).encode(), wire.PROBLEM
    else:
        body = encode(result, media_type)
    return wire.Part({"Content-Type": media_type, wire.INDEX_HEADER: str(index)}, [body])


def encode(pixels: Pixels, media_type: str) -> bytes:
    """Pixels as safetensors, npy or PNG."""
    data = memoryview(np.ascontiguousarray(pixels)).cast("B")
    if media_type == wire.SAFETENSORS:
        return b"".join(bytes(b) for b in wire.write_safetensors({wire.TENSOR_NAME: ("uint8", pixels.shape, data)}))
    if media_type == wire.PNG:
        buffer = io.BytesIO()
        Image.fromarray(np.ascontiguousarray(pixels.transpose(1, 2, 0))).save(buffer, "PNG")
        return buffer.getvalue()
    return wire.write_npy_header("uint8", pixels.shape) + bytes(data)


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
