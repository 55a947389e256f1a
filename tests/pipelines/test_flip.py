"""Flips against torchvision."""

from __future__ import annotations

import pytest
import torch
from parity import assert_parity, make_images

from augserve_pipelines import transforms
from oracle import v2


@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32])
@pytest.mark.parametrize("p", [0.0, 0.3, 0.5, 1.0])
@pytest.mark.parametrize("name", ["RandomHorizontalFlip", "RandomVerticalFlip"])
def test_flips(name: str, p: float, dtype: torch.dtype) -> None:
    assert_parity(getattr(transforms, name)(p), getattr(v2, name)(p), make_images(dtype))
