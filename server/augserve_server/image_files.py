"""Image files as input of pipelines, read with the same codecs and under the same limits as by the service."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from augserve_pipelines import InputRule
from augserve_server.codecs import DEFAULT_LIMITS, ImageLimits, decode, peek


@dataclass(frozen=True, slots=True)
class ImageReader:
    """Reads images by a pipeline's input rule."""

    rule: InputRule
    limits: ImageLimits = DEFAULT_LIMITS

    def __call__(self, path: Path) -> Tensor:
        """An image file as [C, H, W] uint8. Raises OSError, or a ServiceError for what is not an allowed image."""
        data = path.read_bytes()
        return torch.from_numpy(decode(data, peek(data, self.limits), self.rule)).permute(2, 0, 1)
