"""The results of a request as tensors: pixels in one piece, and beside them what there is to say of each."""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import prod
from types import MappingProxyType
from typing import Any, Final, TypeAlias

import numpy as np
import torch
from torch import Tensor

from augserve.wire import IMAGE_PART, RECORD_PART, SAFETENSORS, Buffer, oip
from augserve_server.errors import NotAcceptable, OutputTooLarge, ServiceError
from augserve_server.negotiation import TENSOR_TYPES
from augserve_server.oip.names import (
    CLIP,
    CONTENT_TYPE_KEY,
    DATATYPE_KEY,
    ENCODED,
    ERRORS,
    PIXELS,
    PROBLEMS,
    RECIPE,
    SHAPES,
    STATUS,
    TARGETS,
)
from augserve_server.oip.options import OnError
from augserve_server.orders import Order
from augserve_server.results import Form, adjacent, stack, write_one
from augserve_server.sample_bodies import Body, can_be_picture, raw, write_file, write_targets
from augserve_server.work import Augmented, Result

Outcome: TypeAlias = Result | ServiceError

_LENGTH: Final = struct.Struct("<I")
_PARTS: Final[Mapping[str, str]] = {**TARGETS, RECIPE: RECORD_PART}
"""The part of an answer that each element of an output is."""


@dataclass(frozen=True, slots=True)
class Packing:
    """How results become outputs: which of them, and what stands for a result that failed."""

    order: Order
    on_error: OnError
    is_clip: bool
    limit: int
    """Most bytes of an output."""
    is_list: bool = False
    """Whether pixels come one by one where they are not all of one shape, and not filled up with zeros."""
    request_id: str | None = None

    def pack(self, outcomes: Sequence[Outcome], names: Sequence[str]) -> list[oip.OutputTensor]:
        """The outputs of these names. Raises OutputTooLarge where filling results up makes them too large.

        To be called in a thread: it may copy pixels, and encode them.
        """
        results = [*outcomes]
        if ENCODED in names:
            bodies = [self._encode(outcome) for outcome in outcomes]
            results = [
                body if isinstance(body, ServiceError) else one for body, one in zip(bodies, results, strict=True)
            ]
            self.check(results)
        kept = [i for i, one in enumerate(results) if self.on_error is OnError.FILL or not _failed(one)]
        makers: Mapping[str, Callable[[], oip.OutputTensor]] = {
            PIXELS: lambda: self._pixels(PIXELS, [results[i] for i in kept]),
            CLIP: lambda: self._pixels(CLIP, [results[i] for i in kept]),
            SHAPES: lambda: self._shapes([results[i] for i in kept]),
            STATUS: lambda: _integers(STATUS, [one.status if isinstance(one, ServiceError) else 0 for one in results]),
            ERRORS: lambda: _strings(ERRORS, [_message(one) for one in results]),
            PROBLEMS: lambda: _strings(PROBLEMS, [self._problem(i, one) for i, one in enumerate(results)]),
            ENCODED: lambda: _strings(
                ENCODED, [_body(bodies[i]) for i in kept], {CONTENT_TYPE_KEY: self.order.form.media_type}
            ),
        }
        parts = [_parts(results[i]) if any(name in _PARTS for name in names) else {} for i in kept]
        return [
            makers[name]() if name in makers else _strings(name, [one.get(_PARTS[name], []) for one in parts])
            for name in names
        ]

    def check(self, outcomes: Sequence[Outcome]) -> None:
        """Raise the error of the first sample that failed, where the request fails with it."""
        if self.on_error is not OnError.FAIL:
            return
        for i, outcome in enumerate(outcomes):
            if isinstance(outcome, ServiceError):
                raise outcome.of_sample(i // self.order.views)

    def copied_bytes(self, outcomes: Sequence[Outcome], names: Sequence[str]) -> int:
        """Bytes of memory that the pixels need besides the results' own. Raises OutputTooLarge."""
        images = [_image(one) for one in outcomes if not isinstance(one, ServiceError)]
        count = len(outcomes) if self.on_error is OnError.FILL else len(images)
        if not {PIXELS, CLIP} & {*names} or not images or (count == len(images) and _lie_together(images)):
            return 0
        if self.is_list and (count > len(images) or len({image.shape for image in images}) > 1):
            return 0
        size = count * prod(self._shape([image.shape for image in images])) * images[0].itemsize
        self._check_size(size)
        return size

    def is_cheap(self, outcomes: Sequence[Outcome], names: Sequence[str]) -> bool:
        """Whether nothing is copied or encoded, so that no thread is needed."""
        plain = all(isinstance(outcome, Tensor) for outcome in outcomes)
        return plain and not {ENCODED, *_PARTS} & {*names} and _lie_together(outcomes)

    def _problem(self, index: int, outcome: Outcome) -> Body:
        """The problem document of a result that failed."""
        return [outcome.problem(self.request_id, index=index).to_json()] if isinstance(outcome, ServiceError) else []

    def _encode(self, outcome: Outcome) -> Body | ServiceError:
        form = self.order.form
        if isinstance(outcome, ServiceError):
            return outcome
        try:
            return _write(outcome, form)
        except ServiceError as exc:
            return exc.alone()
        except ValueError:  # a side that the format does not have
            return NotAcceptable(form.media_type, TENSOR_TYPES)

    def _pixels(self, name: str, outcomes: Sequence[Outcome]) -> oip.OutputTensor:
        """All pixels in one tensor: the results' own memory where it is in one piece; zeros where there are none."""
        good = {i: _image(one) for i, one in enumerate(outcomes) if not isinstance(one, ServiceError)}
        dtype = next(iter(good.values())).dtype if good else self._dtype
        if len(good) == len(outcomes) and len({image.shape for image in good.values()}) == 1:
            pixels = stack([*good.values()])
        elif self.is_list:
            return _listed(name, good, len(outcomes), dtype)
        else:
            shape = self._shape([image.shape for image in good.values()])
            self._check_size(len(outcomes) * prod(shape) * dtype.itemsize)
            pixels = torch.zeros((len(outcomes), *shape), dtype=dtype)
            for i, image in good.items():
                pixels[i][tuple(slice(side) for side in image.shape)] = image
        known, shape, data = raw(pixels)
        return oip.OutputTensor(name, oip.OF_DTYPE[known], shape, [data])

    def _shapes(self, outcomes: Sequence[Outcome]) -> oip.OutputTensor:
        rank = 4 if self.is_clip else 3
        shapes = [(0,) * rank if isinstance(one, ServiceError) else _image(one).shape for one in outcomes]
        numbers = np.array(shapes, "<i4").reshape(len(outcomes), rank)
        return oip.OutputTensor(SHAPES, "INT32", numbers.shape, [numbers.tobytes()])

    def _shape(self, shapes: Sequence[Sequence[int]]) -> tuple[int, ...]:
        """The largest of every side; where there are no results, what is known of them."""
        if shapes:
            return tuple(max(sides) for sides in zip(*shapes, strict=True))
        signature = self.order.served.signature
        known = (signature.channels or 0, signature.height or 0, signature.width or 0)
        return (0, *known) if self.is_clip else known

    @property
    def _dtype(self) -> torch.dtype:
        dtype: torch.dtype = getattr(torch, self.order.served.signature.dtype or "uint8")
        return dtype

    def _check_size(self, size: int) -> None:
        if size > self.limit:
            raise OutputTooLarge(size, self.limit)


def _failed(outcome: Outcome) -> bool:
    return isinstance(outcome, ServiceError)


def _image(result: Result) -> Tensor:
    return result.leaves[IMAGE_PART].as_subclass(Tensor) if isinstance(result, Augmented) else result


def _lie_together(outcomes: Sequence[Any]) -> bool:
    return len({outcome.shape for outcome in outcomes}) <= 1 and (not outcomes or adjacent(outcomes))


def _write(result: Result, form: Form) -> Body:
    """The file of a result: of its pixels, or of all that belongs to it where a file holds that."""
    if isinstance(result, Augmented) and form.media_type == SAFETENSORS:
        return write_file(result)
    image = _image(result)
    if not form.stacks and (image.ndim != 3 or not can_be_picture(image)):
        raise NotAcceptable(form.media_type, TENSOR_TYPES)
    return write_one(image, form)


def _message(outcome: Outcome) -> Body:
    return [outcome.detail.encode(errors="replace")] if isinstance(outcome, ServiceError) else []


def _body(body: Body | ServiceError) -> Body:
    return [] if isinstance(body, ServiceError) else body


def _parts(outcome: Outcome) -> dict[str, Body]:
    return {part.name: part.body for part in write_targets(outcome)} if isinstance(outcome, Augmented) else {}


def _integers(name: str, values: Sequence[int]) -> oip.OutputTensor:
    return oip.OutputTensor(name, "INT32", (len(values),), [np.array(values, "<i4").tobytes()])


def _listed(name: str, good: Mapping[int, Tensor], count: int, dtype: torch.dtype) -> oip.OutputTensor:
    """The bytes of each result, and none of those that there are not."""
    bodies: list[Body] = [[raw(good[i])[2]] if i in good else [] for i in range(count)]
    return _strings(name, bodies, {DATATYPE_KEY: _datatype(dtype)})


def _strings(name: str, bodies: Sequence[Body], parameters: oip.Parameters = MappingProxyType({})) -> oip.OutputTensor:
    buffers: list[Buffer] = []
    for body in bodies:
        buffers += [_LENGTH.pack(sum(memoryview(buffer).nbytes for buffer in body)), *body]
    return oip.OutputTensor(name, oip.BYTES, (len(bodies),), buffers, parameters)


def _datatype(dtype: torch.dtype) -> str:
    return oip.OF_DTYPE[str(dtype).removeprefix("torch.")]
