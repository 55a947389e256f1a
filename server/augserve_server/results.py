"""The encode stage: result tensors to the bytes of a media type, in worker threads."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

import torch
from torch import Tensor

from augserve.wire import IMAGE_MEDIA_TYPES, NPY, SAFETENSORS, TENSOR_NAME, write_npy_header, write_safetensors
from augserve_server.codecs import encode
from augserve_server.errors import NotAcceptable, ServiceError
from augserve_server.negotiation import TYPES
from augserve_server.pools import Meter, Pool
from augserve_server.sample_bodies import Body, Several, raw, write_file, write_parts
from augserve_server.work import Augmented

__all__ = ["Body", "Encoder", "Form", "Several", "stack", "write_all", "write_one", "write_tensor"]

Made = TypeVar("Made")

# Images that a worker encodes at a time.
PIECE = 2


@dataclass(frozen=True, slots=True)
class Form:
    """How results are to be written: the media type and its quality."""

    media_type: str
    quality: int

    @property
    def stacks(self) -> bool:
        """Whether several results of one shape can go into one body."""
        return self.media_type not in IMAGE_MEDIA_TYPES


class Encoder:
    """Encodes on a pool of threads."""

    def __init__(self, threads: int | None) -> None:
        self._pool = Pool("encode", threads)

    async def run(self, work: Callable[[], Made], meter: Meter | None = None) -> Made:
        """What ``work`` gives, called in a thread."""
        return await self._pool.run(work, meter)

    async def each(
        self, results: Sequence[Tensor], form: Form, meter: Meter | None = None
    ) -> list[Body | ServiceError]:
        """A body for each result [C, h, w], or why it has none (WebP ends at 16,383 pixels a side)."""
        if form.stacks and all(result.is_contiguous() for result in results):
            return [_try_one(result, form) for result in results]  # nothing but a few bytes in front is written
        return await self._pool.map(lambda some: [_try_one(result, form) for result in some], results, PIECE, meter)

    async def in_parts(
        self, results: Sequence[Augmented], form: Form, meter: Meter | None = None
    ) -> list[Body | Several | ServiceError]:
        """The body of each result of several parts, or its bodies where the form holds pixels only."""
        return await self._pool.map(lambda some: [_try_parts(result, form) for result in some], results, 1, meter)

    async def together(self, results: Sequence[Tensor], form: Form, meter: Meter | None = None) -> Body:
        """One tensor body [R, C, h, w] for all results, which are of one shape and dtype."""
        if adjacent(results):
            return write_all(results, form)
        return await self._pool.run(partial(write_all, results, form), meter)

    def close(self) -> None:
        """End the threads."""
        self._pool.close()


Written = TypeVar("Written")


def _try(write: Callable[[], Written], form: Form) -> Written | ServiceError:
    try:
        return write()
    except ServiceError as exc:
        return exc.alone()
    except ValueError:  # a side that the format does not have
        return NotAcceptable(form.media_type, [media_type for media_type in TYPES if media_type != form.media_type])


def _try_one(result: Tensor, form: Form) -> Body | ServiceError:
    return _try(partial(write_one, result, form), form)


def _try_parts(result: Augmented, form: Form) -> Body | Several | ServiceError:
    if form.media_type == SAFETENSORS:
        return _try(partial(write_file, result), form)
    return _try(partial(write_parts, result, form.media_type, form.quality), form)


def write_one(result: Tensor, form: Form) -> Body:
    """The body of one result [C, h, w]."""
    if not form.stacks:
        return [encode(result, form.media_type, form.quality)]
    return write_tensor(result, form.media_type)


def write_all(results: Sequence[Tensor], form: Form) -> Body:
    """The body of several results of one shape, [R, C, h, w]."""
    return write_tensor(stack(results), form.media_type)


def write_tensor(tensor: Tensor, media_type: str) -> Body:
    """An npy or safetensors file of ``tensor``, around its own memory."""
    dtype, shape, data = raw(tensor)
    if media_type == NPY:
        return [write_npy_header(dtype, shape), data]
    return write_safetensors({TENSOR_NAME: (dtype, shape, data)})


def stack(results: Sequence[Tensor]) -> Tensor:
    """``torch.stack``, without a copy where the results lie one after another in memory: as a whole batch does."""
    if len(results) == 1:
        return results[0].unsqueeze(0)
    if not adjacent(results):
        return torch.stack(list(results))
    first = results[0]
    return first.as_strided((len(results), *first.shape), (first.numel(), *first.stride()))


def adjacent(results: Sequence[Tensor]) -> bool:
    """Whether results of one shape and dtype lie one after another in one piece of memory."""
    first = results[0]
    if len(results) == 1:
        return first.is_contiguous()
    step, start = first.numel() * first.element_size(), first.data_ptr()
    end = first.storage_offset() * first.element_size() + len(results) * step
    return end <= first.untyped_storage().nbytes() and all(  # neighbours by accident are not one memory
        result.is_contiguous() and result.data_ptr() == start + i * step for i, result in enumerate(results)
    )
