"""Where batches run: a device, and the way of images to it and of results back."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from augserve_pipelines import Pipeline
from augserve_pipelines.transfer import IN_FLIGHT, Transfer


class Place:
    """A device, and where it is not the CPU the transfer that takes batches through it. For several threads."""

    def __init__(self, device: torch.device, transfer: Transfer | None = None) -> None:
        self.device = device
        self._transfer = transfer

    @property
    def lanes(self) -> int:
        """How many batches are run at a time, so that one is computed while others are on their way."""
        return 1 if self._transfer is None else IN_FLIGHT

    def run(self, pipeline: Pipeline, images: Sequence[Tensor], seeds: Sequence[int]) -> Sequence[Tensor]:
        """The results for images [C, H, W] in host memory. Raises InvalidInput where one cannot be run."""
        if self._transfer is not None:
            return self._transfer.run(pipeline, images, seeds)
        return pipeline(images, seeds, device=self.device)

    def close(self) -> None:
        """Give back the memory of what has run."""
        if self._transfer is not None:
            self._transfer.close()
