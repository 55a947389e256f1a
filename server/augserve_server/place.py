"""Where batches run: a device, and the way of images to it and of results back."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from augserve_pipelines import Pipeline
from augserve_pipelines.deferred import Deferred, Loaded
from augserve_pipelines.transfer import Transfer
from augserve_server.decoding import Later
from augserve_server.nvimage import Decoding, DeviceDecoder, has_nvimagecodec, takes


class Place:
    """A device, and where it is not the CPU the transfer that takes batches through it. For several threads."""

    def __init__(self, device: torch.device, transfer: Transfer | None = None) -> None:
        self.device = device
        self._transfer = transfer or (None if device.type == "cpu" else Transfer(device))
        self._decodes = self._transfer is not None and has_nvimagecodec()
        self._decoder: DeviceDecoder | None = None
        self._making = threading.Lock()

    @property
    def direct(self) -> bool:
        """Whether batches run where their images lie, with no way to a device and back."""
        return self._transfer is None

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

    def warm_up(self, pipeline: Pipeline) -> None:
        """Make what decodes on the device, where the pipeline lets it: it takes seconds."""
        if self._decodes and pipeline.decode.jpeg == "fast":
            self._device_decoder()

    def run(self, pipeline: Pipeline, images: Sequence[Tensor], seeds: Sequence[int]) -> Sequence[Tensor]:
        """The results for images [C, H, W], in host memory. Raises InvalidInput where one cannot be run."""
        if self._transfer is not None:
            return self._transfer.run(pipeline, images, seeds)
        return pipeline(images, seeds)

    def decode_and_run(
        self, pipeline: Pipeline, images: Sequence[Deferred], seeds: Sequence[int], nearly_done: Callable[[], None]
    ) -> list[Tensor | Exception]:
        """The results for images that are decoded on the way, in host memory, or what is wrong with each.

        Decoded by the device where the pipeline lets it, else by the engine's threads. Images that nobody waits for any
        more are Unwanted. ``nearly_done`` is called when the last one is begun. Raises InvalidInput where one cannot
        be run.
        """
        if self._transfer is None:
            return pipeline.decode_and_run(images, seeds, nearly_done)
        begun = self._begin_there(pipeline, images) if self._decodes else _Begun()
        there = begun.images
        sources = [there.get(id(image), image) for image in images]
        after = None if begun.decoding is None else begun.decoding.done
        results = self._transfer.decode_and_run(pipeline, sources, seeds, nearly_done, after)
        begun.count()
        return results

    def close(self) -> None:
        """Give back the memory of what has run."""
        if self._transfer is not None:
            self._transfer.close()

    def _begin_there(self, pipeline: Pipeline, images: Sequence[Deferred]) -> _Begun:
        """Have the device decode what the pipeline lets it, each image once; not those that nobody waits for."""
        mine = {id(one): one for one in images if isinstance(one, Later) and takes(one.image, pipeline.decode)}
        wanted = [one for one in mine.values() if one.wanted()]
        if not wanted:
            return _Begun()
        decoding = self._device_decoder().decode([one.image for one in wanted], pipeline.input)
        pairs = zip(wanted, decoding.images, strict=True)
        return _Begun(decoding, {one: image for one, image in pairs if image is not None})

    def _device_decoder(self) -> DeviceDecoder:
        with self._making:
            if self._decoder is None:
                self._decoder = DeviceDecoder(self.device)
            return self._decoder


@dataclass(frozen=True, slots=True)
class _Begun:
    """Images that the device decodes."""

    decoding: Decoding | None = None
    found: Mapping[Later, Tensor] = field(default_factory=dict)

    @property
    def images(self) -> dict[int, Loaded]:
        """By the identity of what they were."""
        return {id(one): Loaded(image) for one, image in self.found.items()}

    def count(self) -> None:
        """Count them, once they are decoded, and what they took together, to each the same."""
        if self.decoding is None or not self.found:
            return
        seconds = self.decoding.seconds / len(self.found)
        for one in self.found:
            one.metrics.decoded()
            one.watch.seconds += seconds
            one.metrics.decode_took(one.image.format, seconds)
