"""The engine: bytes → peek → admit → batch → draw → decode → run → encode → bytes."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, repeat
from typing import TypeAlias

from torch import Tensor

from augserve_server.admission import Load, Ticket
from augserve_server.batcher import Batcher, BatchLimits, Outcome, Ran
from augserve_server.codecs import peek
from augserve_server.decoding import Decoded, Decoder, Encoded, Later, Ready, Wanted
from augserve_server.errors import ImageUnsuitable, OutputTooLarge, ServiceError
from augserve_server.executor import Executor
from augserve_server.inspection import EncodedSample, Inspector, raw_header
from augserve_server.ledger import REPLAYS, Ledger, Price
from augserve_server.orders import Order, ReplayOrder
from augserve_server.pools import Meter
from augserve_server.replays import EncodedReplay, ReplayInspector
from augserve_server.results import Body, Encoder, Form, Several
from augserve_server.timings import Timings
from augserve_server.uploads import SampleUpload, Upload
from augserve_server.work import Augmented, Result, pictures

Item: TypeAlias = Encoded | Ready | EncodedSample
Prices: TypeAlias = Mapping[int, Price]
"""By the place of an image in its request."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What one sample, one batch and one result may be, and how many bytes of results one request may make."""

    inspector: Inspector
    batch: BatchLimits
    output_bytes: int
    output_side: int


@dataclass(frozen=True, slots=True)
class Together:
    """All results in one tensor body."""

    body: Body
    count: int


Results: TypeAlias = Together | list[Body | Several | ServiceError]
"""All results in one body, or each in its own or in several, or why it has none."""


@dataclass(frozen=True, slots=True)
class Done:
    """What came of every view of every image, in order; and the pixels of what was worked on, each view's apart."""

    results: Sequence[Result | ServiceError]
    pixels: int


@dataclass(frozen=True, slots=True)
class Replayed:
    """The results of a replay, how they were written, and the seed in each one's record."""

    results: Results
    form: Form
    seeds: Sequence[int | None]


class Engine:
    """The stages in order, for one request at a time; many requests are in it at once."""

    def __init__(
        self,
        decoder: Decoder,
        batcher: Batcher,
        executor: Executor,
        encoder: Encoder,
        limits: Limits,
        ledger: Ledger,
    ) -> None:
        self._decoder = decoder
        self._batcher = batcher
        self._executor = executor
        self._encoder = encoder
        self._limits = limits
        self._ledger = ledger

    async def augment(self, order: Order, uploads: Sequence[Upload], ticket: Ticket, timings: Timings) -> Results:
        """The results of every view of every image, in order, as the order's form has them."""
        done = await self.run(order, uploads, ticket, timings)
        with self._ledger.wanted(done.pixels, timings), timings.at("encode"):
            return await self._encode(order.served.name, order.form, done.results, ticket)

    async def run(self, order: Order, uploads: Sequence[Upload], ticket: Ticket, timings: Timings) -> Done:
        """What comes of every view of every image, in order; an image that fails, fails alone.

        ``ticket`` holds what the request takes up, ``timings`` tells how far it is. When the caller is cancelled, what
        has not been begun is never done. Raises what is wrong with the request as a whole.
        """
        order = order.for_uploads(uploads)
        with timings.at("decode"):
            items = await self._look(order, uploads)
        prices = self._admit(order, items, uploads, ticket)
        ran = await self._compute(order, items, prices, ticket, timings)
        timings.ran([one for one in ran if isinstance(one, Ran)])
        results = [self._checked(one.result) if isinstance(one, Ran) else one for one in ran]
        pixels = sum([item.pixels for item in items if not isinstance(item, ServiceError)]) * order.views
        if order.mixes and any(isinstance(result, Augmented) for result in results):
            with self._ledger.wanted(pixels, timings), timings.at("mix"):
                results = await self._mix(order, results)
        return Done(results, pixels)

    async def replay(self, order: ReplayOrder, uploads: Sequence[Upload], ticket: Ticket, timings: Timings) -> Replayed:
        """What the records make of the samples that they came with, in order; a sample that fails, fails alone."""
        with timings.at("decode"):
            looked = await self._decoder.each(ReplayInspector(self._limits.inspector, uploads).look, uploads)
        good = [(one, upload) for one, upload in zip(looked, uploads, strict=True) if isinstance(one, EncodedReplay)]
        load = Load.total(self._ledger.price_of_replay(*one) for one in good)
        self._check_output(load.bytes)
        ticket.take(load)
        with timings.at("run"):
            meter = Meter()
            done = iter(await self._decoder.replay([one for one, _ in good], order.rule, meter))
        self._ledger.replayed(good, meter)
        results = [one if isinstance(one, ServiceError) else self._checked(next(done)) for one in looked]
        form = order.form([one for one in results if isinstance(one, Augmented)])
        with timings.at("encode"):
            bodies = await self._encode(REPLAYS, form, results, ticket)
        return Replayed(bodies, form, [one.record.seed if isinstance(one, EncodedReplay) else None for one in looked])

    async def _look(self, order: Order, uploads: Sequence[Upload]) -> Sequence[Item | ServiceError]:
        """What is known of the images before they are decoded."""
        if not order.in_parts:
            return [self._peek(upload) for upload in uploads]
        look = self._limits.inspector.look

        def look_and_check(upload: Upload, wanted: Wanted) -> EncodedSample:
            return order.check(look(upload, wanted))

        return await self._decoder.each(look_and_check, uploads)

    def _peek(self, upload: Upload) -> Encoded | Ready | ServiceError:
        if isinstance(upload, ServiceError):
            return upload
        assert not isinstance(upload, SampleUpload)
        limits = self._limits.inspector.image
        try:
            if isinstance(upload, bytes):
                return Encoded(upload, peek(upload, limits))
            limits.check(raw_header(upload))
            return Ready(upload)
        except ServiceError as exc:
            self._decoder.refused(exc)
            return exc.alone()

    def _admit(
        self, order: Order, items: Sequence[Item | ServiceError], uploads: Sequence[Upload], ticket: Ticket
    ) -> Prices:
        prices = {
            i: self._ledger.price(order, item, uploads[i], ticket)
            for i, item in enumerate(items)
            if not isinstance(item, ServiceError)
        }
        load = Load.total([price.load for price in prices.values()])
        self._check_output(load.bytes)
        ticket.take(load)
        return prices

    def _checked(self, result: Result | ServiceError) -> Result | ServiceError:
        """A result, or what is wrong with its size."""
        if isinstance(result, ServiceError):
            return result
        side = max([max(picture.shape[-2:]) for picture in pictures(result)], default=0)
        if side <= self._limits.output_side:
            return result
        return ImageUnsuitable(f"the result has a side of {side} pixels; at most {self._limits.output_side} are sent")

    def _check_output(self, size: int) -> None:
        if size > self._limits.output_bytes:
            raise OutputTooLarge(size, self._limits.output_bytes)

    async def _compute(
        self, order: Order, items: Sequence[Item | ServiceError], prices: Prices, ticket: Ticket, timings: Timings
    ) -> list[Ran | ServiceError]:
        outcomes = {i: [_known(e)] * order.views for i, e in enumerate(items) if isinstance(e, ServiceError)}
        try:
            for group in self._groups(order, items):
                with timings.at("decode"):
                    outcomes |= await self._decode(order, group, prices)
            with timings.at("run"):
                return await self._collect([outcomes[i] for i in range(len(items))], prices, ticket)
        except asyncio.CancelledError:
            for i, price in prices.items():
                self._ledger.abandoned(outcomes.get(i, ()), price.load.pixels)
            raise
        finally:
            self._batcher.withdraw(chain.from_iterable(outcomes.values()))

    async def _collect(
        self, outcomes: Sequence[Sequence[Outcome]], prices: Prices, ticket: Ticket
    ) -> list[Ran | ServiceError]:
        """What came of each, as soon as all are there; what images took up is given back before more is waited for."""
        done: list[Ran | ServiceError] = []
        freed: list[Load] = []
        for i, of_image in enumerate(outcomes):
            for outcome in of_image:
                if not outcome.done():
                    if freed:
                        ticket.give(Load.total(freed))
                        freed.clear()
                    await outcome
                done.append(outcome.result())
            if i in prices:
                freed.append(prices[i].freed)
        ticket.give(Load.total(freed))
        return done

    async def _decode(
        self, order: Order, group: Sequence[tuple[int, Item]], prices: Prices
    ) -> dict[int, list[Outcome]]:
        """Queue a group, decoded or to be: from then on, only the queue and the device hold it."""
        outcomes: dict[int, list[Outcome]] = {i: [] for i, _ in group}
        ready = {i: self._ready(order, item, outcomes[i]) for i, item in group}
        first = [item for i, item in group if ready[i] is None and not isinstance(item, Ready)]
        decoded = iter(await self._decode_now(order, first) if first else ())
        for i, _ in group:
            found = ready[i]
            outcomes[i] += self._submit(order, i, next(decoded) if found is None else found, prices[i])
        return outcomes

    async def _decode_now(
        self, order: Order, items: Sequence[Encoded | EncodedSample]
    ) -> Sequence[Decoded | ServiceError]:
        with self._ledger.metered(order.served.name) as meter:
            return await self._decoder.decode(items, order.served.pipeline.input, meter)

    def _ready(self, order: Order, item: Item, outcomes: Sequence[Outcome]) -> Tensor | Later | None:
        """An image as it is, or to be decoded when its batch runs, where its header says all that is drawn from."""
        if isinstance(item, Ready):
            return item.tensor
        if order.in_parts or not isinstance(item, Encoded):
            return None
        pipeline = order.served.pipeline
        return self._decoder.later(
            item, pipeline.input, pipeline.decode, lambda: not all(one.done() for one in outcomes)
        )

    def _groups(self, order: Order, items: Sequence[Item | ServiceError]) -> Iterator[list[tuple[int, Item]]]:
        """The good images with their places, in groups that fill a batch: one is decoded while another runs."""
        group: list[tuple[int, Item]] = []
        pixels = 0
        for i, item in enumerate(items):
            if isinstance(item, ServiceError):
                continue
            pixels += item.pixels * order.views
            full = len(group) * order.views >= self._limits.batch.images or pixels > self._limits.batch.pixels
            if group and full:
                yield group
                group, pixels = [], item.pixels * order.views
            group.append((i, item))
        if group:
            yield group

    def _submit(self, order: Order, image: int, item: Decoded | ServiceError, price: Price) -> list[Outcome]:
        if isinstance(item, ServiceError):
            return [_known(item)] * order.views
        return [self._batcher.submit(order.work, item, seed, price.claim) for seed in order.seeds(image)]

    async def _mix(self, order: Order, results: Sequence[Result | ServiceError]) -> list[Result | ServiceError]:
        """Mix the good results of a request with one another; the bad ones stay where they are."""
        good = [result for result in results if isinstance(result, Augmented)]
        mixed: Iterator[Augmented | ServiceError]
        try:
            mixed = iter(await self._executor.mix(order.served.pipeline, good, order.seed + len(results)))
        except ServiceError as exc:
            mixed = repeat(exc.alone())
        return [result if isinstance(result, ServiceError) else next(mixed) for result in results]

    async def _encode(self, name: str, form: Form, results: Sequence[Result | ServiceError], ticket: Ticket) -> Results:
        with self._ledger.metered(name, encoding=True) as meter:
            written = await self._write(form, results, meter)
        if ticket.held.microseconds:
            ticket.give(Load(microseconds=ticket.held.microseconds))  # what is left is the client's to take
        return written

    async def _write(self, form: Form, results: Sequence[Result | ServiceError], meter: Meter) -> Results:
        good = [result for result in results if not isinstance(result, ServiceError)]
        self._check_output(sum(result.nbytes for result in good))
        images = [result for result in good if isinstance(result, Tensor)]
        kinds = {(image.shape, image.dtype) for image in images}
        if 1 < len(results) == len(images) and len(kinds) == 1 and form.stacks:
            return Together(await self._encoder.together(images, form, meter), len(images))
        bodies: Iterator[Body | Several | ServiceError]
        if images:
            bodies = iter(await self._encoder.each(images, form, meter))
        else:
            parts = [one for one in good if isinstance(one, Augmented)]
            bodies = iter(await self._encoder.in_parts(parts, form, meter))
        return [one if isinstance(one, ServiceError) else next(bodies) for one in results]


def _known(error: ServiceError) -> Outcome:
    """An outcome that is there already."""
    outcome: Outcome = asyncio.get_running_loop().create_future()
    outcome.set_result(error)
    return outcome
