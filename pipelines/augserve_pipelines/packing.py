"""A batch in one slab of host memory, copied to a device at once; what is decoded is decoded to its place there."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from augserve_pipelines import executor
from augserve_pipelines.deferred import Deferred
from augserve_pipelines.frames import is_interleaved
from augserve_pipelines.slabs import lay_out

__all__ = ["Packed", "Source", "size_of"]

Source: TypeAlias = Tensor | Deferred
"""An image ``[C, H, W]`` that is there, in host memory or on the device, or one that is decoded into the slab."""


@dataclass(frozen=True, slots=True)
class Packed:
    """Where images lie in one slab: each once, however often it is given. Those on the device already stay there."""

    images: Sequence[Source]
    offsets: Sequence[int]
    size: int
    device: torch.device

    @classmethod
    def of(cls, images: Sequence[Source], device: torch.device) -> Packed:
        """The images one after another."""
        distinct = {id(image): image for image in images}
        layout = lay_out([0 if _is_there(image, device) else size_of(image) for image in distinct.values()])
        offsets = dict(zip(distinct, layout.offsets, strict=True))
        return cls(images, [offsets[id(image)] for image in images], layout.size, device)

    def fill(self, slab: Tensor, nearly_done: Callable[[], None] | None = None) -> dict[int, Exception]:
        """Have the images in the slab, by the engine's threads; what is wrong with those that cannot be had, by row.

        Where those belong, anything is left. ``nearly_done`` is called when a thread takes the last image.
        """
        rows: dict[int, int] = {}
        for row, image in enumerate(self.images):
            if not _is_there(image, self.device):
                rows.setdefault(id(image), row)
        here, memory = [*rows.values()], slab.numpy()
        failed = executor.load(
            [self.images[row] for row in here], lambda i: self._put(here[i], slab, memory), nearly_done
        )
        why = {id(self.images[here[i]]): failure for i, failure in failed.items()}
        return {row: why[id(image)] for row, image in enumerate(self.images) if id(image) in why}

    def views(self, slab: Tensor, rows: Iterable[int]) -> list[Tensor]:
        """Images as they lie in a slab, or in a copy of it: by pixels where decoders write them, else as they lay."""
        return [self._view(row, slab) for row in rows]

    def _view(self, row: int, slab: Tensor) -> Tensor:
        image = self.images[row]
        if not isinstance(image, Tensor):
            channels, height, width = image.shape
            start = slab.storage_offset() + self.offsets[row]
            return slab.as_strided((channels, height, width), (1, width * channels, channels), start)
        if _is_there(image, self.device):
            return image
        data = slab[self.offsets[row] : self.offsets[row] + image.nbytes].view(image.dtype)
        if is_interleaved(image):  # some draws follow how an image lies
            return data.view(image.movedim(-3, -1).shape).movedim(-1, -3)
        return data.view(image.shape)

    def _put(self, row: int, slab: Tensor, memory: NDArray[np.uint8]) -> None:
        image = self.images[row]
        if isinstance(image, Tensor):
            self._view(row, slab).copy_(image)
            return
        channels, height, width = image.shape
        start = self.offsets[row]
        image.load_into(memory[start : start + channels * height * width].reshape(height, width, channels))


def size_of(image: Source) -> int:
    """Bytes that an image has."""
    return image.nbytes if isinstance(image, Tensor) else math.prod(image.shape)


def _is_there(image: Source, device: torch.device) -> bool:
    return isinstance(image, Tensor) and device.type != "cpu" and image.device.type == device.type
