"""How the small service speaks the Open Inference Protocol: tensors to samples, and results to tensors."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import httpx
import numpy as np
from small_answers import corrupt_document, encode, encode_archive, write_files

from augserve import wire
from augserve.wire import oip
from augserve.wire.oip import names

if TYPE_CHECKING:
    from small_service import SmallResult, SmallSample

TIMING = 'decode;dur=1.5, run;dur=2, batch;desc="8 idle"'


@dataclass
class SmallInference:
    """One request, read."""

    request: oip.InferRequest
    samples: Sequence[SmallSample]

    @classmethod
    def of(cls, request: httpx.Request, new_sample: Callable[[], SmallSample]) -> SmallInference:
        found = asked(request)
        given = {tensor.name: tensor for tensor in found.inputs}
        pixels = next(given[name] for name in names.PIXEL_INPUTS if name in given)
        samples = [new_sample() for _ in range(pixels.shape[0])]
        take_pixels(pixels, samples)
        for name, part in names.TARGETS.items():
            if name in given:
                take_targets(given[name], part, samples)
        return cls(found, samples)

    @property
    def params(self) -> bool:
        return bool(self.request.parameters.get("params", False))

    @property
    def seeds(self) -> list[int]:
        """Of every result."""
        views = int(self.request.parameters.get("views", 1))
        each = next((tensor for tensor in self.request.inputs if tensor.name == names.SEED), None)
        if each is not None:
            return [seed + v for seed in np.frombuffer(each.data, "<i8").tolist() for v in range(views)]
        first = int(self.request.parameters["seed"])
        return [*range(first, first + views * len(self.samples))]

    @property
    def repeated(self) -> list[SmallSample]:
        """The sample of every result."""
        return [sample for sample in self.samples for _ in range(int(self.request.parameters.get("views", 1)))]

    def answer(
        self, results: Sequence[SmallResult | None], request_id: str, more: dict[str, oip.Scalar]
    ) -> httpx.Response:
        parameters = {names.SEED_KEY: self.seeds[0], names.TIMING_KEY: TIMING, **more}
        outputs = [self._output(output.name, results) for output in self.request.outputs]
        response = oip.InferResponse(self.request.model_name, "1", parameters=parameters, outputs=outputs)
        message = oip.write_response(response, self.request)
        headers = {**message.headers, wire.REQUEST_ID_HEADER: request_id}
        return httpx.Response(200, headers=headers, content=b"".join(message.buffers))

    def _output(self, name: str, results: Sequence[SmallResult | None]) -> oip.OutputTensor:
        if name == names.PIXELS:
            return pixels_of(results)
        if name == names.SHAPES:
            shapes = np.array([(0, 0, 0) if result is None else result.image.shape for result in results], "<i4")
            return oip.OutputTensor(name, "INT32", shapes.shape, [shapes.tobytes()])
        if name == names.STATUS:
            status = np.array([422 if result is None else 0 for result in results], "<i4")
            return oip.OutputTensor(name, "INT32", status.shape, [status.tobytes()])
        if name == names.PROBLEMS:
            document = json.dumps(corrupt_document()).encode()
            return strings(name, [document if result is None else b"" for result in results])
        if name == names.ENCODED:
            media_type = str(self.request.parameters.get("format", wire.NPY))
            files = [b"" if result is None else self._file(result, media_type) for result in results]
            return strings(name, files, {names.CONTENT_TYPE_KEY: media_type})
        part = {**names.TARGETS, names.RECIPE: wire.RECORD_PART}[name]
        return strings(name, [b"" if result is None else part_of(result, part) for result in results])

    def _file(self, result: SmallResult, media_type: str) -> bytes:
        alone = not self.params and all(sample.is_image for sample in self.samples)
        return encode(result.image, media_type) if alone or media_type != wire.SAFETENSORS else encode_archive(result)


def asked(request: httpx.Request) -> oip.InferRequest:
    """What a request of the Open Inference Protocol asks for."""
    length = oip.read_head_length(request.headers.get(oip.HEAD_LENGTH_HEADER), len(request.content))
    return oip.read_request(request.content, length, request.url.path.split("/")[-2])


def take_pixels(pixels: oip.Tensor, samples: Sequence[SmallSample]) -> None:
    """Give every sample its image, its clip or its frames."""
    part = {names.IMAGE: wire.IMAGE_PART, names.FRAMES: wire.FRAME_PART}[pixels.name]
    each = len(pixels.data) // len(samples)
    for i, sample in enumerate(samples):
        for element in pixels.data[i * each : (i + 1) * each]:
            if len(element) or each == 1:
                sample.take(part, bytes(element), "")


def take_targets(tensor: oip.Tensor, part: str, samples: Sequence[SmallSample]) -> None:
    """Give the samples that have such a target theirs."""
    for sample, element in zip(samples, tensor.data, strict=True):
        body = bytes(element)
        kind = wire.PNG if body.startswith(b"\x89PNG") else wire.NPY
        options = [f"{key}={value}" for key, value in tensor.parameters.items()]
        if body:
            sample.take(part, body, "; ".join([kind, *options]))


def pixels_of(results: Sequence[SmallResult | None]) -> oip.OutputTensor:
    """One block where all are good and of one shape, else each by itself."""
    images = [None if result is None else np.ascontiguousarray(result.image) for result in results]
    if len({None if image is None else image.shape for image in images}) > 1 or images[0] is None:
        bodies = [b"" if image is None else image.tobytes() for image in images]
        return strings(names.PIXELS, bodies, {names.DATATYPE_KEY: "UINT8"})
    block = np.stack(images)
    return oip.OutputTensor(names.PIXELS, "UINT8", block.shape, [block.tobytes()])


def part_of(result: SmallResult, part: str) -> bytes:
    """The body that is called ``part`` among the files of a result; empty where it has none."""
    disposition = wire.attachment(part)["Content-Disposition"]
    found = (body for headers, body in write_files(result, wire.NPY) if headers["Content-Disposition"] == disposition)
    return next(found, b"")


def strings(name: str, bodies: Sequence[bytes], parameters: dict[str, Any] | None = None) -> oip.OutputTensor:
    return oip.OutputTensor(name, oip.BYTES, (len(bodies),), oip.write_strings(bodies), parameters or {})
