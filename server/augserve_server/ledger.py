"""What the parts of a request cost: priced before they are queued, given back as they are done, and learned from."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from contextlib import AbstractContextManager
from typing import NamedTuple

from augserve_server.admission import MICRO, Load, Ticket
from augserve_server.batcher import Outcome, Ran
from augserve_server.costs import Costs, Size
from augserve_server.decoding import Encoded, Ready
from augserve_server.fair_queue import Claim
from augserve_server.inspection import EncodedSample
from augserve_server.metrics import Metrics
from augserve_server.orders import Order
from augserve_server.pools import Meter
from augserve_server.replays import EncodedReplay
from augserve_server.timings import Timings
from augserve_server.uploads import RawImage, SampleUpload, Upload

REPLAYS = "/v1/replay"
"""What replays are learned under: no pipeline has such a name."""


class Price(NamedTuple):
    """Of one image: what each of its results claims, all that they take up, and what of it is free once they ran."""

    claim: Claim
    load: Load
    freed: Load


class Ledger:
    """Prices by what was learned, and learns from what was spent. Used from the event loop only."""

    def __init__(self, costs: Costs, metrics: Metrics) -> None:
        self._costs = costs
        self._metrics = metrics

    def price(self, order: Order, item: Encoded | Ready | EncodedSample, upload: Upload, ticket: Ticket) -> Price:
        """Of an image whose header is known."""
        name, views, pixels, size = order.served.name, order.views, item.pixels, order.size(item, nbytes(upload))
        seconds = self._costs.seconds(name, size)
        claim = Claim(ticket.client, ticket.priority, ticket.deadline, seconds, size)
        microseconds = max(1, round(seconds * MICRO)) * views
        before_encoding = int(microseconds * (1 - self._costs.encoding_share(name)))
        load = Load(views, pixels, order.output_bytes(item), microseconds)
        return Price(claim, load, Load(views, pixels, 0, before_encoding))

    def price_of_replay(self, replay: EncodedReplay, upload: Upload) -> Load:
        """What a sample that is replayed takes up."""
        microseconds = round(self._costs.seconds(REPLAYS, _size(replay, upload)) * MICRO)
        return Load(1, replay.pixels, replay.output_bytes, max(1, microseconds))

    def replayed(self, replays: Iterable[tuple[EncodedReplay, Upload]], meter: Meter) -> None:
        """Samples were replayed."""
        self._costs.spent(REPLAYS, meter.seconds)
        self._costs.done(REPLAYS, Size.total(_size(*one) for one in replays))

    def metered(self, name: str, encoding: bool = False) -> AbstractContextManager[Meter]:
        """What is spent on a pipeline in other threads than the device's."""
        return _Metered(self._costs, name, encoding)

    def wanted(self, pixels: int, timings: Timings) -> AbstractContextManager[None]:
        """What is computed already was computed for nobody, if this is cancelled."""
        return _Wanted(self._metrics, pixels, timings)

    def abandoned(self, outcomes: Iterable[Outcome], pixels: int) -> None:
        """Nobody waits for these results of one image: those that are there were computed for nobody."""
        ran = [one for one in outcomes if one.done() and not one.cancelled() and isinstance(one.result(), Ran)]
        self._metrics.wasted("run", pixels * len(ran))


class _Metered(AbstractContextManager[Meter]):
    def __init__(self, costs: Costs, name: str, encoding: bool) -> None:
        self._costs = costs
        self._name = name
        self._encoding = encoding
        self._meter = Meter()

    def __enter__(self) -> Meter:
        return self._meter

    def __exit__(self, *_: object) -> None:
        self._costs.spent(self._name, self._meter.seconds, self._encoding)


class _Wanted(AbstractContextManager[None]):
    def __init__(self, metrics: Metrics, pixels: int, timings: Timings) -> None:
        self._metrics = metrics
        self._pixels = pixels
        self._timings = timings

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is not None and issubclass(kind, asyncio.CancelledError):
            self._metrics.wasted(self._timings.stage, self._pixels)


def nbytes(upload: Upload) -> int:
    """Of what came; none of what could not be kept."""
    if isinstance(upload, (bytes, RawImage)):
        return len(upload)
    return upload.nbytes if isinstance(upload, SampleUpload) else 0


def _size(replay: EncodedReplay, upload: Upload) -> Size:
    return Size(1, nbytes(upload), replay.sample.pixels, replay.cost.output_pixels * replay.cost.output_pictures)
