"""The engine: bytes → peek → admit → decode → batch → draw → run → encode → bytes."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain

import torch
from torch import Tensor

from augserve_server.admission import Load, Ticket
from augserve_server.batcher import Batcher, BatchLimits, Outcome, Ran
from augserve_server.catalog import Served
from augserve_server.codecs import Header, ImageLimits, peek
from augserve_server.decoding import Decoder, Encoded
from augserve_server.errors import OutputTooLarge, ServiceError
from augserve_server.requests import Upload
from augserve_server.results import Body, Encoder, Form
from augserve_server.timings import Timings


@dataclass(frozen=True, slots=True)
class Order:
    """What a request wants done with its images: result ``i * views + v`` has seed ``seed + i * views + v``."""

    served: Served
    seed: int
    views: int
    form: Form

    def seeds(self, image: int) -> range:
        """The seeds of an image's views."""
        return range(self.seed + image * self.views, self.seed + (image + 1) * self.views)

    def output_bytes(self, header: Header) -> int:
        """Bytes of one image's results before they are encoded; where their size depends on it, as large as it is."""
        signature = self.served.signature
        dtype = getattr(torch, signature.dtype or "float32")
        height, width = signature.height or header.height, signature.width or header.width
        return int(self.views * (signature.channels or 3) * height * width * dtype.itemsize)


@dataclass(frozen=True, slots=True)
class Limits:
    """What one image and one batch may be, and how many bytes of results one request may make."""

    image: ImageLimits
    batch: BatchLimits
    output_bytes: int


@dataclass(frozen=True, slots=True)
class Together:
    """All results in one tensor body."""

    body: Body
    count: int


Results = Together | list[Body | ServiceError]
"""All results in one body, or each in its own, or why it has none."""


class Engine:
    """The stages in order, for one request at a time; many requests are in it at once."""

    def __init__(self, decoder: Decoder, batcher: Batcher, encoder: Encoder, limits: Limits) -> None:
        self._decoder = decoder
        self._batcher = batcher
        self._encoder = encoder
        self._limits = limits

    async def augment(self, order: Order, uploads: Sequence[Upload], ticket: Ticket, timings: Timings) -> Results:
        """The results of every view of every image, in order; an image that fails, fails alone.

        ``ticket`` holds what the request takes up, ``timings`` tells how far it is. When the caller is cancelled, what
        has not been begun is never done. Raises what is wrong with the request as a whole.
        """
        images = [self._peek(upload) for upload in uploads]
        self._admit(order, images, ticket)
        ran = await self._compute(order, images, ticket, timings)
        timings.ran(result for result in ran if isinstance(result, Ran))
        with timings.at("encode"):
            return await self._encode(order.form, ran)

    def _peek(self, upload: Upload) -> Encoded | ServiceError:
        if isinstance(upload, ServiceError):
            return upload
        try:
            return Encoded(upload, peek(upload, self._limits.image))
        except ServiceError as exc:
            return exc.alone()

    def _admit(self, order: Order, images: Iterable[Encoded | ServiceError], ticket: Ticket) -> None:
        headers = [image.header for image in images if isinstance(image, Encoded)]
        size = sum(order.output_bytes(header) for header in headers)
        self._check_output(size)
        ticket.take(Load(len(headers) * order.views, sum(header.pixels for header in headers), size))

    def _check_output(self, size: int) -> None:
        if size > self._limits.output_bytes:
            raise OutputTooLarge(size, self._limits.output_bytes)

    async def _compute(
        self, order: Order, images: Sequence[Encoded | ServiceError], ticket: Ticket, timings: Timings
    ) -> list[Ran | ServiceError]:
        outcomes = {i: [_known(e)] * order.views for i, e in enumerate(images) if isinstance(e, ServiceError)}
        try:
            for group in self._groups(order, images):
                with timings.at("decode"):
                    outcomes |= await self._decode(order, group, ticket)
            with timings.at("run"):
                return await asyncio.gather(*(outcome for i in range(len(images)) for outcome in outcomes[i]))
        finally:
            self._batcher.withdraw(order.served, chain.from_iterable(outcomes.values()))

    async def _decode(
        self, order: Order, group: Sequence[tuple[int, Encoded]], ticket: Ticket
    ) -> dict[int, list[Outcome]]:
        """Decode a group and queue it: from then on, only the queue and the device hold the pixels."""
        decoded = await self._decoder.decode([image for _, image in group], order.served.pipeline.input)
        outcomes: dict[int, list[Outcome]] = {}
        for (i, image), pixels in zip(group, decoded, strict=True):
            outcomes[i] = self._submit(order, i, pixels)
            _give_when_done(outcomes[i][-1], ticket, Load(order.views, image.header.pixels))
        return outcomes

    def _groups(self, order: Order, images: Sequence[Encoded | ServiceError]) -> Iterator[list[tuple[int, Encoded]]]:
        """The good images with their places, in groups that fill a batch: one is decoded while another runs."""
        group: list[tuple[int, Encoded]] = []
        pixels = 0
        for i, image in enumerate(images):
            if isinstance(image, ServiceError):
                continue
            pixels += image.header.pixels * order.views
            full = len(group) * order.views >= self._limits.batch.images or pixels > self._limits.batch.pixels
            if group and full:
                yield group
                group, pixels = [], image.header.pixels * order.views
            group.append((i, image))
        if group:
            yield group

    def _submit(self, order: Order, image: int, pixels: Tensor | ServiceError) -> list[Outcome]:
        if isinstance(pixels, ServiceError):
            return [_known(pixels)] * order.views
        return [self._batcher.submit(order.served, pixels, seed) for seed in order.seeds(image)]

    async def _encode(self, form: Form, ran: Sequence[Ran | ServiceError]) -> Results:
        results = [one.result for one in ran if isinstance(one, Ran)]
        self._check_output(sum(result.nbytes for result in results))
        kinds = {(result.shape, result.dtype) for result in results}
        if 1 < len(results) == len(ran) and len(kinds) == 1 and form.stacks:
            return Together(await self._encoder.together(results, form), len(results))
        bodies = iter(await self._encoder.each(results, form))
        return [one if isinstance(one, ServiceError) else next(bodies) for one in ran]


def _known(error: ServiceError) -> Outcome:
    """An outcome that is there already."""
    outcome: Outcome = asyncio.get_running_loop().create_future()
    outcome.set_result(error)
    return outcome


def _give_when_done(outcome: Outcome, ticket: Ticket, load: Load) -> None:
    outcome.add_done_callback(lambda _: ticket.give(load))
