"""Answers of the Open Inference Protocol: tensors into results and errors."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from augserve.bodies import Reader
from augserve.errors import ResponseInvalid, ServiceError, service_error
from augserve.inference import in_parts, is_dense
from augserve.parcels import Parcel
from augserve.requests import Call
from augserve.wire import (
    IMAGE_PART,
    RECORD_PART,
    Buffer,
    Finish,
    Part,
    Problem,
    RawTensor,
    attachment,
    oip,
)
from augserve.wire.oip import names

_DTYPES: Final[Mapping[str, str]] = {datatype: dtype for dtype, datatype in oip.OF_DTYPE.items()}
_PARTS: Final[Mapping[str, str]] = {**names.TARGETS, names.RECIPE: RECORD_PART}


@dataclass(frozen=True, slots=True)
class Inferred:
    """The results of an answer, the media type of those that are files, and what it says of itself."""

    items: Sequence[Any]
    block: Any
    media_type: str | None
    parameters: oip.Parameters


def read_inferred(
    body: Buffer, head_length: str | None, call: Call, portion: range, parcels: Sequence[Parcel], reader: Reader
) -> Inferred:
    """The results in an answer to ``build_inference``; arrays and tensors lie in its memory.

    Raises:
        InvalidBody, ResponseInvalid: It is not what was asked for.
    """
    response = oip.read_response(body, oip.read_head_length(head_length, memoryview(body).nbytes))
    answer = _Answer(response, call, parcels, len(portion) * call.results_per_image)
    _check_seed(response.parameters, call, portion)
    finish = response.parameters.get(names.FINISH_KEY)
    if finish is not None:
        if call.wire is None:
            raise ResponseInvalid("the answer is to be finished here, and wire='uint8' was not asked for")
        reader = reader.finishing(Finish.read(str(finish)))
    errors = answer.errors()
    if is_dense(call, parcels):
        items, block = answer.dense(reader, errors)
        return Inferred(items, block, None, response.parameters)
    media_type = answer.media_type() if len(errors) < answer.count else None
    return Inferred(answer.encoded(reader, errors, media_type), None, media_type, response.parameters)


@dataclass(frozen=True, slots=True)
class _Answer:
    """A response, and what it is the answer to."""

    response: oip.InferResponse
    call: Call
    parcels: Sequence[Parcel]
    count: int

    def media_type(self) -> str:
        """Of encoded results."""
        return str(self._output(names.ENCODED).parameters.get(names.CONTENT_TYPE_KEY, ""))

    def errors(self) -> dict[int, ServiceError]:
        """What is wrong with each result that failed."""
        failed = np.flatnonzero(_numbers(self._output(names.STATUS), self.count))
        problems = self._elements(names.PROBLEMS)
        return {i: service_error(Problem.model_validate_json(bytes(problems[i]))) for i in failed.tolist()}

    def dense(self, reader: Reader, errors: Mapping[int, ServiceError]) -> tuple[list[Any], Any]:
        """Each result, and the block [R, C, H, W] that they are views of, where they are of one shape and all good."""
        pixels = self._output(names.PIXELS)
        if len(errors) == self.count:
            return [errors[i] for i in range(self.count)], None
        if pixels.datatype == oip.BYTES:
            return self._ragged(reader, pixels, errors), None
        if pixels.shape[:1] != (self.count,):
            raise ResponseInvalid(f"{names.PIXELS} are of shape {list(pixels.shape)}, not {self.count} results")
        block = reader.raw(_raw(pixels.datatype, pixels.shape, _only(pixels)))
        items = [errors.get(i, item) for i, item in enumerate(block)]
        return items, None if errors else block

    def encoded(self, reader: Reader, errors: Mapping[int, ServiceError], media_type: str | None) -> list[Any]:
        """Results of a body each: files, or all that belongs to a sample."""
        files = [_part(IMAGE_PART, file, media_type or "") for file in self._elements(names.ENCODED)]
        beside = {part: self._elements(name) for name, part in _PARTS.items() if self._has(name)}
        more = [[_part(name, each[i]) for name, each in beside.items() if len(each[i])] for i in range(self.count)]
        return [errors[i] if i in errors else self._result(reader, i, [files[i], *more[i]]) for i in range(self.count)]

    def _result(self, reader: Reader, index: int, parts: Sequence[Part]) -> Any:
        if not in_parts(self.call, self.parcels):
            return reader.one(parts[0].body, parts[0].media_type)
        augmented = reader.augmented(parts)
        if augmented.image is None:
            raise ResponseInvalid(f"the answer has no image for result {index}")
        parcel = self.parcels[index // self.call.results_per_image]
        return augmented if self.call.params or parcel.has_targets else augmented.image

    def _ragged(self, reader: Reader, pixels: oip.OutputTensor, errors: Mapping[int, ServiceError]) -> list[Any]:
        datatype = str(pixels.parameters.get(names.DATATYPE_KEY))
        shapes = _numbers(self._output(names.SHAPES), self.count)
        return [
            errors[i] if i in errors else reader.raw(_raw(datatype, tuple(shape), element))
            for i, (shape, element) in enumerate(zip(shapes.tolist(), self._elements(names.PIXELS), strict=True))
        ]

    def _elements(self, name: str) -> list[Buffer]:
        output = self._output(name)
        if output.datatype != oip.BYTES or output.shape != (self.count,):
            raise ResponseInvalid(f"{name} are {output.datatype} {list(output.shape)}, not BYTES [{self.count}]")
        return [*output.buffers[1::2]]  # a length goes before each

    def _output(self, name: str) -> oip.OutputTensor:
        return next(self._outputs(name), None) or _absent(name, self.response)

    def _has(self, name: str) -> bool:
        return any(self._outputs(name))

    def _outputs(self, name: str) -> Iterator[oip.OutputTensor]:
        return (output for output in self.response.outputs if output.name == name)


def _absent(name: str, response: oip.InferResponse) -> oip.OutputTensor:
    found = ", ".join(output.name for output in response.outputs)
    raise ResponseInvalid(f"the answer has no output {name!r}, but {found or 'none'}; is this an augserve server?")


def _check_seed(parameters: oip.Parameters, call: Call, portion: range) -> None:
    expected, found = call.first_seed(portion.start), parameters.get(names.SEED_KEY)
    if found != expected:
        raise ResponseInvalid(f"the answer has {names.SEED_KEY} {found}, not {expected}; is this an augserve server?")


def _raw(datatype: str, shape: tuple[int, ...], data: Buffer) -> RawTensor:
    dtype, view = _DTYPES.get(datatype), memoryview(data)
    if dtype is None or view.nbytes != oip.size_of(datatype, shape):
        raise ResponseInvalid(f"a result of {datatype} {list(shape)} has {view.nbytes} bytes")
    return RawTensor(dtype, shape, view)


def _only(output: oip.OutputTensor) -> Buffer:
    return output.buffers[0] if len(output.buffers) == 1 else b"".join(output.buffers)


def _numbers(output: oip.OutputTensor, count: int) -> np.ndarray[Any, np.dtype[np.int32]]:
    """The integers of an output, [count] or [count, rank]."""
    if output.datatype != "INT32" or output.shape[:1] != (count,):
        raise ResponseInvalid(f"{output.name} are {output.datatype} {list(output.shape)}, not INT32 of {count} results")
    return np.frombuffer(_only(output), "<i4").reshape(output.shape)


def _part(name: str, body: Buffer, media_type: str = "") -> Part:
    headers = {header.lower(): value for header, value in attachment(name).items()}
    return Part({**headers, "content-type": media_type}, [body])
