"""The decode stage: encoded images to tensors, in worker threads, for as long as somebody wants them."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from augserve_pipelines import InputRule
from augserve_server.codecs import Header, decode
from augserve_server.errors import InternalError, ServiceError
from augserve_server.metrics import Metrics
from augserve_server.pools import Pool

# Images that a worker takes at a time: a hand-over costs as much as a twentieth of a photograph's decoding.
PIECE = 2

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Encoded:
    """An image as it came, and what its header says."""

    data: bytes
    header: Header


class Decoder:
    """Decodes on a pool of threads."""

    def __init__(self, threads: int | None, metrics: Metrics) -> None:
        self._pool = Pool("decode", threads)
        self._metrics = metrics

    async def decode(self, images: Sequence[Encoded], rule: InputRule) -> list[Tensor | ServiceError]:
        """A tensor [C, H, W] uint8 for each image, or what is wrong with it.

        When the caller is cancelled, images that have not been begun are left alone.
        """
        job = _Job(rule, self._metrics)
        try:
            return await self._pool.map(job.run, images, PIECE)
        finally:
            job.abandoned = True

    def close(self) -> None:
        """End the threads."""
        self._pool.close()


class _Job:
    """The decoding of one group of images; abandoned once nobody waits for it."""

    def __init__(self, rule: InputRule, metrics: Metrics) -> None:
        self.abandoned = False
        self._rule = rule
        self._metrics = metrics

    def run(self, images: Sequence[Encoded]) -> list[Tensor | ServiceError]:
        return [self._decode(image) for image in images if not self.abandoned]

    def _decode(self, image: Encoded) -> Tensor | ServiceError:
        self._metrics.decoded()
        try:
            pixels = decode(image.data, image.header, self._rule)
        except ServiceError as exc:
            return exc.alone()
        except Exception as exc:  # a decoder may fail in any way on hostile bytes: only this image
            logger.error("decoding failed on an image of %d bytes", len(image.data), exc_info=exc)
            return InternalError()
        if self.abandoned:
            self._metrics.wasted("decode", image.header.pixels)
        return torch.from_numpy(pixels).permute(2, 0, 1)
