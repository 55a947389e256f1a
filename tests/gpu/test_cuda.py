"""CUDA gives the bytes of the CPU: run with ``pytest -m gpu`` where there is a device."""

from __future__ import annotations

import pytest
import torch
from benchmarks.gpu.equality import compare_shipped
from benchmarks.shipped import names

from augserve_pipelines import Pipeline
from augserve_pipelines import transforms as T
from factories import SIZES, make_image, make_noise

pytestmark = pytest.mark.gpu

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)

# Integer or separately rounded arithmetic: not one byte may differ.
EXACT = [
    T.RandomResizedCrop((48, 65)),
    T.RandomResizedCrop(48, interpolation="bicubic"),
    T.RandomResizedCrop(48, antialias=False),
    T.Resize(40),
    T.Resize((33, 31), "nearest"),
    T.Resize((33, 31), "lanczos"),
    T.ScaleJitter((80, 60), (0.7, 1.5)),
    T.RandomZoomOut(7, p=1.0),
    T.TenCrop(7),
    T.CenterCrop((50, 70)),
    T.RandomCrop(40, pad_if_needed=True, fill=[1, 2, 3]),
    T.Pad([1, 2, 3, 4], padding_mode="symmetric"),
    T.RandomHorizontalFlip(),
    T.RandomVerticalFlip(),
    T.RandomInvert(),
    T.RandomPosterize(3),
    T.RandomSolarize(128),
    T.RandomEqualize(1.0),
    T.RandomChannelPermutation(),
    T.JPEG((10, 90)),
    T.RandomErasing(1.0, value=7),
    T.Compose([T.ToDtype(torch.float32, scale=True), T.Normalize(MEAN, STD)]),
    T.RandomApply([T.RandomChoice([T.Resize(24), T.CenterCrop(30)])]),
]

# Sampling positions and weighted sums are in float32, which the two devices round differently.
WITHIN_ONE = [
    T.RandomRotation(30, "bilinear", expand=True),
    T.RandomAffine(15, (0.1, 0.1), (0.9, 1.1), 10, "bilinear"),
    T.GaussianBlur(5),
    T.ColorJitter(0.4, 0.4, 0.4, 0.1),
    T.Grayscale(3),
    T.RandomPhotometricDistort(),
    T.RandomAutocontrast(1.0),
    T.RandomAdjustSharpness(1.7, p=1.0),
    T.GaussianNoise(),
]


def images() -> list[torch.Tensor]:
    sizes = [size for size in SIZES if min(size) > 6]
    return [make_image(size) for size in sizes] + [make_noise(size) for size in sizes]


def difference(steps: list[T.Transform]) -> float:
    pipeline, inputs = Pipeline(steps), images()
    seeds = range(len(inputs))
    there = pipeline([image.cuda() for image in inputs], seeds)
    here = pipeline(inputs, seeds)
    assert all(image.is_cuda for image in there)
    return max(float((a.cpu().double() - b.double()).abs().max()) for a, b in zip(there, here, strict=True))


@pytest.mark.parametrize("transform", EXACT, ids=str)
def test_exact_transforms_differ_in_no_byte(transform: T.Transform) -> None:
    assert difference([transform]) == 0


@pytest.mark.parametrize("transform", WITHIN_ONE, ids=str)
def test_other_transforms_differ_by_one_level_at_most(transform: T.Transform) -> None:
    assert difference([transform]) <= 1


@pytest.mark.parametrize("name", names())
def test_shipped_pipelines_differ_in_no_byte(name: str) -> None:
    assert compare_shipped(name, "cuda").equal
