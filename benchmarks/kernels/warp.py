"""Affine warps of a batch on CUDA, against torchvision image by image."""

from __future__ import annotations

import torch
from torch import Tensor

from augserve_pipelines.interpolation import InterpolationMode
from augserve_pipelines.transforms.matrices import Affinity
from augserve_pipelines.transforms.warp import warp_affinely
from benchmarks.kernels.throughput import Contender, Row, make_batch, measure, over
from benchmarks.torchvision_v2 import tv_functional


def run(rounds: int, seconds: float) -> list[Row]:
    """Compare both modes."""
    batch = make_batch()
    return [
        row
        for mode in (InterpolationMode.NEAREST, InterpolationMode.BILINEAR)
        for row in measure(f"affine, {mode.value}", _contenders(batch, mode), rounds, seconds)
    ]


def _contenders(batch: Tensor, mode: InterpolationMode) -> list[Contender]:
    from augserve_pipelines.kernels.warp_triton import warp

    count, channels, height, width = batch.shape
    angles = [360.0 * row / count - 180 for row in range(count)]
    matrices = [Affinity(angle, (3, -5), 1.1, (5, 2)).inverse((0.0, 0.0)) for angle in angles]
    steps = (torch.tensor(matrices) / torch.tensor([0.5 * width, 0.5 * height])[:, None]).flatten(1)
    blends, colors = torch.ones(count, dtype=torch.bool), torch.zeros(count, channels)
    nearest, size = mode is InterpolationMode.NEAREST, (height, width)
    fills = [0.0] * count
    their_mode = tv_functional.InterpolationMode(mode.value)

    def theirs() -> None:
        for image, angle in zip(batch, angles, strict=True):
            tv_functional.affine_image(image, angle, [3, -5], 1.1, [5, 2], their_mode, 0)

    return [
        over(batch, "the kernel", lambda: warp(batch, steps, size, nearest, blends, colors)),
        over(batch, "with its matrices", lambda: warp_affinely(batch, matrices, size, mode, fills)),
        over(batch, "torchvision, image by image", theirs),
    ]
