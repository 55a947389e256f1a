"""Where batches run: a device, and the way of images to it and of results back."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from time import perf_counter

import torch
from torch import Tensor

from augserve_pipelines import Pipeline
from augserve_pipelines.deferred import Deferred
from augserve_pipelines.executor import load
from augserve_pipelines.transfer import Transfer
from augserve_server.decoding import Later, Unwanted
from augserve_server.errors import ImageCorrupt, ServiceError
from augserve_server.nvimage import DeviceDecoder, has_nvimagecodec, takes


class Place:
    """A device, and where it is not the CPU the transfer that takes batches through it. For several threads."""

    def __init__(self, device: torch.device, transfer: Transfer | None = None) -> None:
        self.device = device
        self._transfer = transfer
        self._decodes = transfer is not None and has_nvimagecodec()
        self._decoder: DeviceDecoder | None = None
        self._making = threading.Lock()

    @property
    def direct(self) -> bool:
        """Whether batches run where their images lie, with no way to a device and back."""
        return self._transfer is None and self.device.type == "cpu"

    def responds(self) -> bool:
        """Whether the device computes at all."""
        return self._transfer is None or self._transfer.responds()

    def make_room(self) -> None:
        """Give back the device memory that nothing uses."""
        if self._transfer is not None:
            self._transfer.trim()

    def abandon(self) -> None:
        """Leave a device that has failed as it is: nothing can be given back to it."""
        if self._transfer is not None:
            self._transfer.abandon()

    def run(self, pipeline: Pipeline, images: Sequence[Tensor], seeds: Sequence[int]) -> Sequence[Tensor]:
        """The results for images [C, H, W], in host memory. Raises InvalidInput where one cannot be run."""
        if self._transfer is not None:
            return self._transfer.run(pipeline, images, seeds)
        return pipeline(images, seeds, device=self.device)

    def load(self, pipeline: Pipeline, images: Sequence[Deferred]) -> list[Tensor | Exception]:
        """Decode images: by the device what the pipeline lets it, the rest on the engine's threads.

        Those that nobody waits for any more by the end are Unwanted: they need not go to the device.
        """
        mine = {} if not self._decodes else {id(one): one for one in images if _goes_there(pipeline, one)}
        wanted = [one for one in mine.values() if isinstance(one, Later) and one.wanted()]
        found: dict[int, Tensor | Exception] = dict.fromkeys(mine, Unwanted())
        if wanted:
            for one in wanted:
                one.metrics.decoded()
            began = perf_counter()
            decoded = self._device_decoder().decode([one.image for one in wanted], pipeline.input, pipeline.decode)
            _share(perf_counter() - began, wanted)
            found |= {id(one): _as_announced(one, result) for one, result in zip(wanted, decoded, strict=True)}
        left = iter(load([one for one in images if id(one) not in mine]))
        return [_if_wanted(one, found[id(one)] if id(one) in mine else next(left)) for one in images]

    def close(self) -> None:
        """Give back the memory of what has run."""
        if self._transfer is not None:
            self._transfer.close()

    def _device_decoder(self) -> DeviceDecoder:
        with self._making:
            if self._decoder is None:
                self._decoder = DeviceDecoder(self.device)
            return self._decoder


def _goes_there(pipeline: Pipeline, image: Deferred) -> bool:
    return isinstance(image, Later) and takes(image.image, pipeline.decode)


def _share(seconds: float, images: Sequence[Later]) -> None:
    """Count what images took that were decoded together, to each the same."""
    for image in images:
        image.watch.seconds += seconds / len(images)
        image.metrics.decode_took(image.image.format, seconds / len(images))


def _if_wanted(image: Deferred, result: Tensor | Exception) -> Tensor | Exception:
    if isinstance(result, Exception) or not isinstance(image, Later) or image.wanted():
        return result
    image.metrics.wasted("decode", image.image.pixels)
    return Unwanted()


def _as_announced(image: Later, result: Tensor | Exception) -> Tensor | Exception:
    if isinstance(result, Tensor) and tuple(result.shape) != image.shape:
        result = ImageCorrupt(image.image.format, "it has another size than its header says")
    if isinstance(result, ServiceError):
        image.metrics.decode_error(result.slug, image.image.format)
    return result
