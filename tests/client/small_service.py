"""A small service that speaks the protocol in this process: its one augmentation adds the seed to all there is."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import httpx
import numpy as np
import python_multipart
from PIL import Image, UnidentifiedImageError
from small_answers import answer, problem, refusal
from small_inference import SmallInference

from augserve import wire
from augserve.wire.oip import names

Pixels = np.ndarray[tuple[int, ...], np.dtype[np.uint8]]

__all__ = ["Service", "SmallResult", "augmented", "problem", "record_of", "refusal"]


def augmented(pixels: Pixels, seed: int) -> Pixels:
    """What the service gives for an image [H, W, C]: [C, H, W]; for a clip [T, H, W, C]: [T, C, H, W]."""
    return np.moveaxis(pixels + np.uint8(seed % 256), -1, -3)


def record_of(seed: int, size: tuple[int, int]) -> str:
    """What the service says that it did: coordinates are moved by the seed too."""
    matrix = [[1.0, 0.0, seed], [0.0, 1.0, seed], [0.0, 0.0, 1.0]]
    operations = [{"name": "move", "arguments": {"by": seed}}]
    sizes = {"input_size": size, "output_size": size}
    return json.dumps({"version": 1, "seed": seed, **sizes, "matrix": matrix, "operations": operations})


@dataclass
class SmallSample:
    """What came in a form of one sample."""

    frames: list[bytes] = field(default_factory=list)
    is_clip: bool = False
    boxes: wire.Boxes | None = None
    masks: np.ndarray | None = None
    keypoints: np.ndarray | None = None
    labels: np.ndarray | None = None
    record: str | None = None

    def take(self, name: str, body: bytes, content_type: str) -> None:
        """Keep a part."""
        if name in (wire.IMAGE_PART, wire.FRAME_PART):
            self.frames.append(body)
            self.is_clip |= name == wire.FRAME_PART
        elif name == wire.BOXES_PART:
            self.boxes = wire.read_boxes(body, content_type)
        elif name == wire.KEYPOINTS_PART:
            self.keypoints = wire.read_keypoints(body, content_type).values
        elif name == wire.LABELS_PART:
            self.labels = wire.read_labels(body, content_type)
        elif name == wire.MASKS_PART:
            self.masks = np.asarray(Image.open(io.BytesIO(body))) if content_type == wire.PNG else wire.read_masks(body)
        elif name == wire.RECORD_PART:
            assert content_type == wire.JSON
            self.record = body.decode()
        else:
            raise AssertionError(f"a part named {name!r}")

    @property
    def is_image(self) -> bool:
        """Whether it is what the oldest servers take too."""
        rest = (self.boxes, self.masks, self.keypoints, self.labels, self.record)
        return not self.is_clip and all(one is None for one in rest)

    def augment(self, seed: int, params: bool) -> SmallResult | None:
        """Its result, or None where an image is none."""
        decoded = [decode(frame) for frame in self.frames]
        if any(frame is None for frame in decoded):
            return None
        pixels = np.stack(decoded) if self.is_clip else decoded[0] if decoded else None
        size = (8, 9) if pixels is None else pixels.shape[-3:-1]
        boxes = self.boxes
        if boxes is not None:
            moved = boxes.values + np.asarray(seed, boxes.values.dtype)
            boxes = wire.Boxes(moved, boxes.format, boxes.clamping_mode, size)
        return SmallResult(
            image=None if pixels is None else augmented(pixels, seed),
            boxes=boxes,
            masks=None if self.masks is None else self.masks + np.asarray(seed).astype(self.masks.dtype),
            keypoints=None if self.keypoints is None else wire.KeyPoints(self.keypoints + np.float32(seed), size),
            labels=self.labels,
            record=record_of(seed, size) if params else None,
        )


@dataclass
class SmallResult:
    """One result, before it is written."""

    image: Pixels | None
    boxes: wire.Boxes | None = None
    masks: np.ndarray | None = None
    keypoints: wire.KeyPoints | None = None
    labels: np.ndarray | None = None
    record: str | None = None


@dataclass
class Service:
    """Answers requests, and keeps them. ``before`` may answer in its place."""

    before: Callable[[httpx.Request, int], httpx.Response | None] = lambda request, number: None
    fingerprint: str = "f" * 64
    max_images: int = 256
    parameters: dict[str, str] = field(default_factory=dict)
    """More of them in answers of the Open Inference Protocol."""
    requests: list[httpx.Request] = field(default_factory=list)

    def __call__(self, request: httpx.Request) -> httpx.Response:
        request.read()
        self.requests.append(request)
        return self.before(request, len(self.requests)) or self._work(request)

    def _work(self, request: httpx.Request) -> httpx.Response:
        if "/v2/models/" in request.url.path:
            return self._infer(request)
        samples = read_samples(request)
        if len(samples) > self.max_images:
            return problem(413, "too-many-images", limit=self.max_images)
        replay = request.url.path == wire.REPLAY_PATH
        params = request.url.params.get(wire.PARAMS_QUERY) == "true"
        results = self._replayed(samples) if replay else self._drawn(request, samples, params)
        headers = {
            wire.COUNT_HEADER: str(len(results)),
            wire.REQUEST_ID_HEADER: f"request-{len(self.requests)}",
            "Server-Timing": 'decode;dur=1.5, run;dur=2, batch;desc="8 idle"',
        }
        if not replay:
            headers |= {wire.SEED_HEADER: request.url.params["seed"], wire.FINGERPRINT_HEADER: self.fingerprint}
        alone = not (params or replay) and all(sample.is_image for sample in samples)
        return answer(results, request.headers["Accept"], headers, alone=alone)

    def _infer(self, request: httpx.Request) -> httpx.Response:
        asked = SmallInference.of(request, SmallSample)
        if len(asked.samples) > self.max_images:
            return refusal(413, "too-many-images", limit=self.max_images)
        pairs = zip(asked.repeated, asked.seeds, strict=True)
        results = [sample.augment(seed, asked.params) for sample, seed in pairs]
        parameters = {names.FINGERPRINT_KEY: self.fingerprint, **self.parameters}
        return asked.answer(results, f"request-{len(self.requests)}", parameters)

    def _drawn(self, request: httpx.Request, samples: Sequence[SmallSample], params: bool) -> list[SmallResult | None]:
        seed, views = int(request.url.params["seed"]), int(request.url.params["views"])
        repeated = [sample for sample in samples for _ in range(views)]
        return [sample.augment(seed + r, params) for r, sample in enumerate(repeated)]

    def _replayed(self, samples: Sequence[SmallSample]) -> list[SmallResult | None]:
        assert all(sample.record for sample in samples)
        return [sample.augment(json.loads(sample.record)["seed"], params=False) for sample in samples]


def read_samples(request: httpx.Request) -> list[SmallSample]:
    """The samples in a request, in order."""
    if not request.headers["Content-Type"].startswith("multipart/"):
        return [SmallSample([request.content])]
    samples: dict[int, SmallSample] = {}

    def keep(file: python_multipart.multipart.File) -> None:
        file.file_object.seek(0)
        name, _, index = file.field_name.decode().removesuffix("]").partition("[")
        sample = samples.setdefault(int(index) if index else len(samples), SmallSample())
        sample.take(name, file.file_object.read(), file.content_type)

    headers = {name.title(): value.encode() for name, value in request.headers.items()}
    python_multipart.parse_form(headers, io.BytesIO(request.content), lambda field: None, keep)
    return [samples[i] for i in range(len(samples))]


def decode(image: bytes) -> Pixels | None:
    """The pixels [H, W, 3], or None where there are none to be had."""
    try:
        return np.asarray(Image.open(io.BytesIO(image)).convert("RGB"))
    except UnidentifiedImageError:
        return None
