"""A pipeline over encoded images in this process: with the service's decoders, and its bytes."""

from __future__ import annotations

from collections.abc import Sequence
from os import PathLike
from typing import Literal

import torch
from torch import Tensor

from augserve_pipelines import Pipeline, PipelinesError
from augserve_pipelines.deferred import Deferred, Loaded
from augserve_server.codecs import DEFAULT_LIMITS, ImageLimits, peek
from augserve_server.decoding import Decoder, Encoded
from augserve_server.errors import ServiceError
from augserve_server.metrics import Metrics

__all__ = ["InProcess"]


class InProcess:
    """What a loader of ``augserve.torch`` falls back to while the service is away. Threads may share one.

    Args:
        pipeline: The pipeline, or the path of its YAML file. It must not mix the images of a batch.
        limits: The largest image that is taken; the service's own by default.

    Raises:
        InvalidPipeline: The file cannot be read or is wrong.
        ValueError: The pipeline mixes the images of a batch (MixUp, CutMix).
    """

    def __init__(self, pipeline: Pipeline | str | PathLike[str], limits: ImageLimits = DEFAULT_LIMITS) -> None:
        self._pipeline = pipeline if isinstance(pipeline, Pipeline) else Pipeline.load(pipeline)
        if self._pipeline.batched:
            raise ValueError(f"{self._pipeline!r} mixes the images of a batch: what a sample becomes depends on others")
        self._limits = limits
        self._decoder = Decoder(1, Metrics())

    @property
    def fingerprint(self) -> str:
        """Of the pipeline."""
        return self._pipeline.fingerprint

    def augment(
        self,
        files: Sequence[bytes],
        seeds: Sequence[int],
        dtype: Literal["float16", "bfloat16", "float32"] | None = None,
    ) -> list[Tensor | Exception]:
        """The result of each encoded image [C, h, w], on the CPU, or what is wrong with it.

        Args:
            files: Images of the formats that the service takes.
            seeds: One for each, 0 to 2**63 - 1.
            dtype: What floats are cast to; None: as the pipeline gives them.
        """
        pipeline = self._pipeline if dtype is None else self._pipeline.giving(getattr(torch, dtype))
        found = [self._look(file) for file in files]
        good = [(one, seed) for one, seed in zip(found, seeds, strict=True) if not isinstance(one, Exception)]
        results = iter(_run(pipeline, [one for one, _ in good], [seed for _, seed in good]))
        return [one if isinstance(one, Exception) else next(results) for one in found]

    def _look(self, file: bytes) -> Deferred | Exception:
        try:
            image = Encoded(file, peek(file, self._limits))
            rule = self._pipeline.input
            later = self._decoder.later(image, rule, self._pipeline.decode, lambda: True)
            return later or Loaded(image.decode(rule, lambda: True))
        except ServiceError as exc:
            return exc


def _run(pipeline: Pipeline, images: Sequence[Deferred], seeds: Sequence[int]) -> list[Tensor | Exception]:
    """The results; where one of them cannot be run whatever its pixels are, it fails alone."""
    if not images:
        return []
    try:
        return pipeline.decode_and_run(images, seeds)
    except PipelinesError as exc:
        if len(images) == 1:
            return [exc]
        return [result for one, seed in zip(images, seeds, strict=True) for result in _run(pipeline, [one], [seed])]
