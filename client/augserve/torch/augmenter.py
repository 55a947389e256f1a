"""Batches out of tickets: by the service, or in this process while it is away."""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from typing import Any, Literal, NamedTuple, TypeAlias, cast

import torch
from torch import Tensor
from torch.utils.data import default_collate

from augserve.augmented import Augmented
from augserve.client import Client
from augserve.errors import ConnectionFailed, InvalidInput, PipelineChanged, SampleFailed, ServiceUnavailable
from augserve.inputs import read_source
from augserve.requests import DType
from augserve.samples import Clip, Item, Sample
from augserve.torch.fallback import InProcess, Presence
from augserve.torch.tensors import Device
from augserve.torch.tickets import Ticket
from augserve.wire import Wire

OnError: TypeAlias = Literal["raise", "skip"]
Found: TypeAlias = Sequence[Any]
"""Results, and exceptions in the place of those that there are not."""

logger = logging.getLogger(__name__)


class Batch(NamedTuple):
    """What a loader gives: ``for images, labels in loader``."""

    images: Any
    """A tensor [N, C, h, w]; a list where shapes differ, or of :class:`Augmented` where items are samples."""
    labels: Any
    """As ``torch.utils.data.default_collate`` makes them; a list where there is a None among them."""


class Augmenter:
    """How tickets become batches. Threads may share one; processes may not.

    Args:
        client: The service.
        pipeline: The name of a pipeline of it. It must give each sample what it gives it alone: not MixUp or CutMix.
        dtype: What floats are cast to: float16, bfloat16 or float32. None: as the pipeline gives them.
        wire: ``"uint8"``: floats travel as bytes, and are made here, bit for bit the same.
        device: Where batches are to be; None: in host memory.
        timeout: Seconds for each request, its retries included; None: the client's.
        on_error: What happens where a sample fails: ``"raise"`` SampleFailed, or ``"skip"`` it and say so in the log.
        fallback: The same pipeline in this process, for while the service is away; None: then its error is raised.
        ask_again_s: How often a service that is away is asked whether it is back.
    """

    def __init__(
        self,
        client: Client,
        pipeline: str,
        *,
        dtype: DType | None = None,
        wire: Wire | None = None,
        device: Device | None = None,
        timeout: float | None = None,
        on_error: OnError = "raise",
        fallback: InProcess | None = None,
        ask_again_s: float = 5.0,
    ) -> None:
        if on_error not in ("raise", "skip"):
            raise InvalidInput(f"on_error is 'raise' or 'skip', not {on_error!r}")
        self._client = client
        self._pipeline = pipeline
        self._dtype, self._wire, self._device, self._timeout_s = dtype, wire, device, timeout
        self._on_error = on_error
        self._fallback = fallback
        self._presence = Presence(client, ask_again_s)
        self._fingerprint = None if fallback is None else fallback.fingerprint

    @property
    def fingerprint(self) -> str | None:
        """Of the pipeline that batches are made with; None before the first."""
        return self._fingerprint

    def expect(self, fingerprint: str | None) -> None:
        """Make batches with this pipeline only, where one is named.

        Raises:
            PipelineChanged: It is another one than that of batches before, or than the fallback.
        """
        if fingerprint is None:
            return
        if self._fingerprint not in (None, fingerprint):
            raise PipelineChanged(
                f"{self._pipeline!r} was {self._fingerprint}, and is {fingerprint}: batches would be of two pipelines"
            )
        self._fingerprint = fingerprint

    def augment(self, tickets: Sequence[Ticket], seeds: Sequence[int]) -> Batch | None:
        """The batch of some samples, each drawn with its seed; None where all of them failed and are skipped.

        Raises:
            SampleFailed: One of them failed, and is not to be skipped.
            PipelineChanged: The service has another pipeline of this name than before.
            AugserveError: The request failed, and there is no fallback for that.
        """
        files = [_read(ticket.item) for ticket in tickets]
        good = [row for row, file in enumerate(files) if not isinstance(file, OSError)]
        block, found = self._run([files[row] for row in good], [seeds[row] for row in good]) if good else (None, [])
        results = dict(zip(good, found, strict=True))
        rows = [row for row in good if not isinstance(results[row], Exception)]
        if len(rows) < len(tickets):
            self._note([(ticket, results.get(row, files[row])) for row, ticket in enumerate(tickets)])
            block = None
        if not rows:
            return None
        images = _images([results[row] for row in rows]) if block is None else block
        return Batch(images, _labels([tickets[row].label for row in rows]))

    def _run(self, files: Sequence[Any], seeds: Sequence[int]) -> tuple[Tensor | None, Found]:
        """The results as one block, where they came so, and each."""
        if self._fallback is None:
            return self._ask(files, seeds)
        if self._presence.there():
            try:
                return self._ask(files, seeds)
            except (ConnectionFailed, ServiceUnavailable) as error:
                if any(isinstance(file, Sample | Clip) for file in files):
                    raise  # the fallback is for images alone
                self._presence.lost(error)
        return None, self._in_process(self._fallback, files, seeds)

    def _ask(self, files: Sequence[Any], seeds: Sequence[int]) -> tuple[Tensor | None, Found]:
        results = self._client.augment(
            self._pipeline,
            files,
            as_="torch",
            seeds=seeds,
            dtype=self._dtype,
            wire=self._wire,
            device=self._device,
            timeout=self._timeout_s,
        )
        self.expect(results.fingerprint)
        return cast("Tensor | None", results.block), results

    def _in_process(self, fallback: InProcess, files: Sequence[Any], seeds: Sequence[int]) -> Found:
        encoded = [b"".join(read_source(file).read()) for file in files]
        results = fallback.augment(encoded, seeds, self._dtype)
        return [result if isinstance(result, Exception) else result.to(self._device) for result in results]

    def _note(self, outcomes: Sequence[tuple[Ticket, Any]]) -> None:
        """Raise the first failure, or log each."""
        for ticket, outcome in outcomes:
            if isinstance(outcome, Exception):
                failure = SampleFailed(ticket.index, _name(ticket.item), outcome)
                if self._on_error == "raise":
                    raise failure from outcome
                logger.warning("left out: %s", failure)


def _read(item: Item) -> Any:
    """What is sent of an item: of a path the file, or why it cannot be read."""
    if not isinstance(item, str | os.PathLike):
        return item
    try:
        with open(item, "rb") as file:
            return file.read()
    except OSError as error:
        return error


def _name(item: Item) -> str | None:
    """The path of an item that has one."""
    source: Any = item
    while isinstance(source, Sample | Clip):
        source = source.image if isinstance(source, Sample) else source.frames
    return os.fspath(source) if isinstance(source, str | os.PathLike) else None


def _images(results: list[Any]) -> Tensor | list[Any]:
    tensors = [result for result in results if not isinstance(result, Augmented)]
    if len(tensors) < len(results) or len({(tensor.shape, tensor.dtype) for tensor in tensors}) > 1:
        return results
    return torch.stack(tensors)


def _labels(labels: list[Any]) -> Any:
    return labels if any(label is None for label in labels) else default_collate(labels)
