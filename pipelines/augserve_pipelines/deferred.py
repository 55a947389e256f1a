"""Images that are decoded when their turn comes: what is drawn for them follows from the size in their headers."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from augserve_pipelines.errors import InvalidInput
from augserve_pipelines.frames import Frames, is_interleaved

__all__ = ["Deferred", "Loaded", "Once", "foreseen", "once_each", "pieces", "put"]


class Deferred(Protocol):
    """An image that is not decoded yet."""

    @property
    def shape(self) -> tuple[int, int, int]:
        """Channels, height and width that it will have."""

    @property
    def most_factor(self) -> int:
        """The largest factor, 1 to 8, that its sides may be divided by as it is decoded."""

    @property
    def mirrored(self) -> tuple[bool, bool]:
        """Whether decoding mirrors its rows, and its columns, to turn it upright."""

    def at(self, factor: int) -> Deferred:
        """The same image, with its sides divided and rounded up."""

    def load(self) -> Tensor:
        """The image ``[C, H, W]``, uint8, laid pixel by pixel as decoders do. Raises what is wrong with it."""

    def load_into(self, room: NDArray[np.uint8]) -> None:
        """Have the image in ``room``, ``[H, W, C]``. Raises what is wrong with it, and then leaves anything there."""


@dataclass(frozen=True, slots=True, eq=False)
class Loaded:
    """An image that is there already."""

    image: Tensor

    @property
    def shape(self) -> tuple[int, int, int]:
        channels, height, width = self.image.shape
        return channels, height, width

    @property
    def most_factor(self) -> int:
        return 1

    @property
    def mirrored(self) -> tuple[bool, bool]:
        return False, False

    def at(self, factor: int) -> Loaded:
        return self

    def load(self) -> Tensor:
        return self.image

    def load_into(self, room: NDArray[np.uint8]) -> None:
        put(self.image.movedim(0, -1).numpy(), room)


class Once:
    """Loads an image for so many uses once, at the first, and lets go of it at the last. For several threads."""

    def __init__(self, image: Deferred, uses: int) -> None:
        self._image = image
        self._uses = uses
        self._lock = threading.Lock()
        self._found: Tensor | Exception | None = None

    def take(self) -> Tensor | Exception:
        """The image, or why it cannot be had."""
        with self._lock:
            if self._found is None:
                self._found = self._load()
            found = self._found
            self._uses -= 1
            if self._uses == 0:
                self._found = InvalidInput("the image was taken more often than was said")
            return found

    def _load(self) -> Tensor | Exception:
        try:
            image = self._image.load()
        except Exception as exc:  # noqa: BLE001  # a decoder may fail in any way on hostile bytes: only this image
            return exc.with_traceback(None)  # whose frames hold this error and whole images, in a cycle
        if tuple(image.shape) != tuple(self._image.shape):
            return _other_size(image.shape, self._image.shape)
        return image


def put(pixels: NDArray[np.uint8], room: NDArray[np.uint8]) -> None:
    """Have pixels ``[H, W, C]`` in a room of theirs, if they are not there yet.

    Raises:
        InvalidInput: they are of another size.
    """
    if pixels is room:
        return
    if pixels.shape != room.shape:
        height, width, channels = pixels.shape
        raise _other_size((channels, height, width), (room.shape[2], *room.shape[:2]))
    np.copyto(room, pixels)


def foreseen(images: Sequence[Deferred]) -> Frames:
    """What is known of images before they are decoded; of those that are there already, also how they lie."""
    frames = Frames.decoded([image.shape for image in images])
    for row, image in enumerate(images):
        if isinstance(image, Loaded):
            frames.dtypes[row] = image.image.dtype
            assert frames.interleaved is not None
            frames.interleaved[row] = is_interleaved(image.image)
    return frames


def _other_size(found: Sequence[int], said: Sequence[int]) -> InvalidInput:
    return InvalidInput(f"the image has the shape {[*found]}; {[*said]} was said before it was decoded")


def once_each(images: Sequence[Deferred]) -> list[Once]:
    """One for each image; those of one and the same image, as of its views, are one."""
    uses = Counter(map(id, images))
    found: dict[int, Once] = {}
    return [found.setdefault(id(image), Once(image, uses[id(image)])) for image in images]


def pieces(images: Sequence[Deferred | Tensor], most: int, most_pixels: int) -> Iterator[slice]:
    """Neighbouring images: ``most`` of them, of so many pixels together, a repeated one counted once; at least one."""
    start, pixels = 0, 0
    for row, own in enumerate(_pixels(images)):
        if row > start and (row - start == most or pixels + own > most_pixels):
            yield slice(start, row)
            start, pixels = row, 0
        pixels += own
    if len(images) > start:
        yield slice(start, len(images))


def _pixels(images: Iterable[Deferred | Tensor]) -> Iterator[int]:
    before: Deferred | Tensor | None = None
    for image in images:
        yield 0 if image is before else image.shape[1] * image.shape[2]
        before = image
