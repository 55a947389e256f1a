"""Warps and blurs on CUDA give the bytes of the CPU: run with ``pytest -m gpu`` where there is a device."""

from __future__ import annotations

import pytest
import torch

from augserve_pipelines import Pipeline
from augserve_pipelines import transforms as T
from augserve_pipelines.transforms.warp import _products_round_each_step
from factories import SIZES, make_image, make_noise

pytestmark = pytest.mark.gpu

# One matrix multiplication gives the CPU's points. On processors where it is fused (Intel's, by MKL) they are another
# float32, so that a picked pixel may be its neighbour and a blended one differs by a level.
BY_MATRICES = [
    T.RandomAffine(30, (0.2, 0.2), (0.7, 1.3), 10),
    T.RandomAffine(30, (0.2, 0.2), (0.7, 1.3), 10, "bilinear", fill=[7, 8, 9]),
    T.RandomRotation(90, "bilinear", expand=True),
    T.RandomRotation(45, center=[3, 4]),
    T.RandomPerspective(0.6, 1.0, fill=3),
    T.RandomPerspective(0.6, 0.5, "nearest"),
]
ALWAYS = [
    T.ElasticTransform(50.0, 0.7),
    T.ElasticTransform(50.0, [0.7, 0.5], "nearest", fill=[1, 2, 3]),
    T.GaussianBlur(5),
    T.GaussianBlur((3, 9), (0.1, 2.0)),
    T.RandomApply([T.GaussianBlur(11, 30.0)]),
]


def images(dtype: torch.dtype) -> list[torch.Tensor]:
    sizes = [size for size in SIZES if min(size) > 6]
    return [make(size, dtype) for size in sizes for make in (make_image, make_noise)]


def assert_no_byte_differs(transform: T.Transform, dtype: torch.dtype) -> None:
    inputs, pipeline = images(dtype), Pipeline([transform])
    seeds = range(len(inputs))
    there = pipeline([image.cuda() for image in inputs], seeds)
    for row, here in enumerate(pipeline(inputs, seeds)):
        assert there[row].is_cuda
        assert torch.equal(there[row].cpu(), here), f"{transform}, image {row}"


@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32], ids=str)
@pytest.mark.parametrize("transform", BY_MATRICES, ids=str)
def test_warps_by_matrices_differ_in_no_byte(transform: T.Transform, dtype: torch.dtype) -> None:
    if not _products_round_each_step():
        pytest.skip("this CPU fuses the products of matrices, so its own points are others")
    assert_no_byte_differs(transform, dtype)


@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32], ids=str)
@pytest.mark.parametrize("transform", ALWAYS, ids=str)
def test_displacements_and_blurs_differ_in_no_byte(transform: T.Transform, dtype: torch.dtype) -> None:
    assert_no_byte_differs(transform, dtype)
