"""Ragged batches resampled on CUDA differ from the CPU's in no byte: run with ``pytest -m gpu`` where there is one."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from augserve_pipelines import Pipeline
from augserve_pipelines import transforms as T
from factories import make_image, make_noise

pytestmark = pytest.mark.gpu

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
FINISH = [T.ToDtype(torch.float32, scale=True), T.Normalize(MEAN, STD), T.ToDtype(torch.float16)]
COUNT, BATCH = 10_000, 500


def ragged(count: int, channels: int = 3) -> list[torch.Tensor]:
    """Photographs and noise of many sizes, every other one pixel by pixel in memory."""
    sizes = np.random.default_rng(0).integers(1, 400, (count, 2)).tolist()
    makers = (make_image, make_noise)
    images = [makers[place // 2 % 2](tuple(size), channels=channels) for place, size in enumerate(sizes)]
    return [
        image.permute(1, 2, 0).contiguous().permute(2, 0, 1) if i % 4 < 2 else image for i, image in enumerate(images)
    ]


def differing(pipeline: Pipeline, images: list[torch.Tensor], seeds: range) -> int:
    here = pipeline(images, seeds)
    there = pipeline([image.cuda() for image in images], seeds)
    assert all(image.is_cuda for image in there)
    return sum(int((a.cpu() != b).sum()) for a, b in zip(there, here, strict=True))


def test_ten_thousand_random_crops_differ_in_no_byte() -> None:
    images = ragged(BATCH)
    pipeline = Pipeline([T.RandomResizedCrop(64), T.RandomHorizontalFlip(), *FINISH])
    starts = range(0, COUNT, BATCH)
    assert sum(differing(pipeline, images, range(start, start + BATCH)) for start in starts) == 0


@pytest.mark.parametrize("parity", ["torchvision", "pillow"])
@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic", "lanczos"])
def test_filters_and_parities(interpolation: str, parity: str) -> None:
    steps = [T.RandomResizedCrop((57, 43), interpolation=interpolation), T.RandomHorizontalFlip()]
    assert differing(Pipeline(steps, parity=parity), ragged(200), range(200)) == 0


@pytest.mark.parametrize("interpolation", ["nearest", "bilinear", "bicubic"])
def test_without_antialias(interpolation: str) -> None:
    steps = [T.RandomResizedCrop(43, interpolation=interpolation, antialias=False)]
    assert differing(Pipeline(steps), ragged(200), range(200)) == 0


@pytest.mark.parametrize("channels", [1, 3])
def test_tables_of_each_sample(channels: int) -> None:
    steps = [T.RandomResizedCrop(43), T.RandomPosterize(3), T.RandomSolarize(90), T.RandomInvert()]
    values = [T.ToDtype(torch.float32, scale=True), T.Normalize([0.4], [0.3])]
    for chain in (steps, [*steps, *values], [T.CenterCrop(43), *steps[1:], *values]):
        assert differing(Pipeline(chain), ragged(200, channels), range(200)) == 0
