"""The decode stage: encoded images and samples to tensors, in worker threads, for as long as somebody wants them."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Final, Generic, TypeAlias, TypeVar

import torch
from torch import Tensor

from augserve.wire import IMAGE_PART
from augserve_pipelines import DecodeRule, InputRule
from augserve_pipelines.deferred import put
from augserve_pipelines.scaled import scaled_side
from augserve_server.codecs import EXACT, Header, Way, decode, most_factor
from augserve_server.errors import InternalError, ServiceError
from augserve_server.inspection import EncodedSample, Leaves
from augserve_server.metrics import Metrics
from augserve_server.origins import Origin, origin
from augserve_server.pixels import Pixels, mirrors
from augserve_server.pools import Meter, Pool
from augserve_server.replays import EncodedReplay
from augserve_server.stopwatch import Stopwatch
from augserve_server.uploads import RawImage
from augserve_server.work import Augmented

# Images that a worker takes at a time: a hand-over costs as much as a twentieth of a photograph's decoding.
PIECE = 2

logger = logging.getLogger(__name__)

Item = TypeVar("Item")
Made = TypeVar("Made")
Wanted: TypeAlias = Callable[[], bool]


@dataclass(slots=True)
class Encoded:
    """An image as it came, and what its header says."""

    data: bytes
    header: Header

    @property
    def format(self) -> str:
        """The name of its format."""
        return self.header.format

    @property
    def size(self) -> tuple[int, int]:
        """Height and width as stored."""
        return self.header.height, self.header.width

    @property
    def pixels(self) -> int:
        """What decoding gives."""
        return self.header.pixels

    @property
    def frames(self) -> int:
        """Pictures to decode."""
        return 1

    def decode(self, rule: InputRule, wanted: Wanted) -> Tensor:
        """The image, [C, H, W] uint8. Raises what is wrong with it."""
        return torch.from_numpy(decode(self.data, self.header, rule)).permute(2, 0, 1)

    def shape(self, rule: InputRule) -> tuple[int, int, int] | None:
        """Channels, height and width of what ``decode`` gives; None where only decoding tells which way up it is."""
        if self.header.orientation is None:
            return None
        height, width = self.size
        turned = rule.orientation == "apply" and self.header.orientation >= 5
        return (rule.channels, width, height) if turned else (rule.channels, height, width)


@dataclass(frozen=True, slots=True, eq=False)
class Ready:
    """An image that came as its pixels: there is nothing to decode."""

    image: RawImage

    @property
    def size(self) -> tuple[int, int]:
        """Height and width."""
        return self.image.size

    @property
    def pixels(self) -> int:
        """Height times width."""
        return self.image.area

    @property
    def frames(self) -> int:
        """One picture."""
        return 1

    @property
    def tensor(self) -> Tensor:
        """The pixels, [C, H, W] uint8, where they lie."""
        return torch.from_numpy(self.image.pixels)


@dataclass(slots=True, eq=False)
class Later:
    """An image that the device's threads decode when its batch runs: a ``Deferred`` of the engine."""

    image: Encoded
    rule: InputRule
    shape: tuple[int, int, int]
    metrics: Metrics
    wanted: Wanted
    way: Way = EXACT
    watch: Stopwatch = field(default_factory=Stopwatch)
    """How long decoding has taken, at whatever size."""
    origin: Origin = field(default_factory=origin)

    @property
    def most_factor(self) -> int:
        """The largest factor that its sides may be divided by as it is decoded."""
        return most_factor(self.image.header)

    @property
    def mirrored(self) -> tuple[bool, bool]:
        """Whether its rows, and its columns, are mirrored to turn it upright."""
        return mirrors(self.image.header.orientation or 1) if self.rule.orientation == "apply" else (False, False)

    def at(self, factor: int) -> Later:
        """The same image, decoded with its sides divided by a factor."""
        channels, height, width = self.shape
        shape = channels, scaled_side(height, factor), scaled_side(width, factor)
        return replace(self, shape=shape, way=replace(self.way, factor=factor))

    def load(self) -> Tensor:
        """The image, [C, H, W] uint8. Raises what is wrong with it, or Unwanted."""
        return torch.from_numpy(self._decoded()).permute(2, 0, 1)

    def load_into(self, room: Pixels) -> None:
        """Have the image in ``room``, [H, W, C]. Raises what is wrong with it, or Unwanted, before it or by its end."""
        put(self._decoded(room), room)
        if not self.wanted():  # it need not go to the device
            self.metrics.wasted("decode", self.image.pixels)
            raise Unwanted

    def _decoded(self, room: Pixels | None = None) -> Pixels:
        if not self.wanted():
            raise Unwanted
        self.metrics.decoded()
        try:
            with self.metrics.decoding(self.image.format, self.watch):
                return decode(self.image.data, self.image.header, self.rule, self.way, room)
        except ServiceError:
            raise
        except Exception as exc:  # a decoder may fail in any way on hostile bytes: only this image
            logger.error("decoding failed", exc_info=exc, extra={"about": {"request": self.origin.request_id}})
            raise InternalError from None


class Unwanted(Exception):
    """Nobody waits for an image any more, so it was left alone."""


Decoded: TypeAlias = Tensor | Leaves | Later
"""An image alone, decoded or not; or a sample of several parts."""


def pixels_of(item: Decoded) -> int:
    """What an item costs: the pixels of its source image, or of all its frames."""
    if isinstance(item, Later):
        return item.image.pixels
    image = item if isinstance(item, Tensor) else item[IMAGE_PART]
    return image.numel() // image.shape[-3]


def stopwatch_of(item: Decoded) -> Stopwatch | None:
    """How long an item took to be decoded, where that happens in its batch."""
    return item.watch if isinstance(item, Later) else None


class Decoder:
    """Decodes on a pool of threads. When a caller is cancelled, what has not been begun is left alone."""

    def __init__(self, threads: int | None, metrics: Metrics) -> None:
        self._pool = Pool("decode", threads)
        self._metrics = metrics

    async def decode(
        self, images: Sequence[Encoded | EncodedSample], rule: InputRule, meter: Meter | None = None
    ) -> list[Decoded | ServiceError]:
        """A tensor [C, H, W] uint8 for each image, a structure for each sample, or what is wrong with it."""

        def decode_one(image: Encoded | EncodedSample, wanted: Wanted) -> Decoded:
            self._metrics.decoded(image.frames)
            with self._metrics.decoding(image.format):
                decoded = image.decode(rule, wanted)
            if not wanted():
                self._metrics.wasted("decode", image.pixels)
            return decoded

        return await self.each(decode_one, images, meter)

    def later(self, image: Encoded, rule: InputRule, decode: DecodeRule, wanted: Wanted) -> Later | None:
        """The image for the device's threads to decode; None where its size is known only then."""
        shape = image.shape(rule)
        return None if shape is None else Later(image, rule, shape, self._metrics, wanted, _way(decode.jpeg))

    async def replay(
        self, replays: Sequence[EncodedReplay], rule: InputRule, meter: Meter | None = None
    ) -> list[Augmented | ServiceError]:
        """What a record makes of each sample, decoded here too; or what is wrong with it."""

        def replay_one(replay: EncodedReplay, wanted: Wanted) -> Augmented:
            self._metrics.decoded(replay.sample.frames)
            return replay.run(rule, wanted)  # which decodes; there is no telling how much of it that is

        return await self.each(replay_one, replays, meter)

    async def each(
        self, work: Callable[[Item, Wanted], Made], items: Sequence[Item], meter: Meter | None = None
    ) -> list[Made | ServiceError]:
        """What ``work`` makes of each item, or the error that it raises; it may ask whether that is still wanted."""
        job = _Job(work)
        try:
            return await self._pool.map(job.run, items, PIECE, meter)
        finally:
            job.abandoned = True

    def refused(self, error: ServiceError) -> None:
        """An image is not even decoded, for its header is bad."""
        self._metrics.decode_error(error.slug, error.members.get("format", "unknown"))

    def close(self) -> None:
        """End the threads."""
        self._pool.close()


_way: Final = cache(Way)


class _Job(Generic[Item, Made]):
    """The work on one group of items; abandoned once nobody waits for it."""

    def __init__(self, work: Callable[[Item, Wanted], Made]) -> None:
        self.abandoned = False
        self._work = work

    def run(self, items: Sequence[Item]) -> list[Made | ServiceError]:
        return [self._try(item) for item in items if not self.abandoned]

    def _try(self, item: Item) -> Made | ServiceError:
        try:
            return self._work(item, lambda: not self.abandoned)
        except ServiceError as exc:
            return exc.alone()
        except Exception as exc:  # a decoder may fail in any way on hostile bytes: only this item
            logger.error("decoding failed", exc_info=exc)
            return InternalError()
