"""Gaussian blurs of a batch on CUDA, against torchvision image by image."""

from __future__ import annotations

import numpy as np
from torch import Tensor

from augserve_pipelines.kernels.blur import gaussian_taps
from augserve_pipelines.transforms.blur import Blur
from benchmarks.kernels.throughput import Contender, Row, make_batch, measure, over
from benchmarks.torchvision_v2 import tv_functional


def run(rounds: int, seconds: float) -> list[Row]:
    """Compare a small kernel and that of SimCLR."""
    batch = make_batch()
    return [
        row
        for taps in (5, 23)
        for row in measure(f"Gaussian blur, {taps} x {taps}", _contenders(batch, taps), rounds, seconds)
    ]


def _contenders(batch: Tensor, taps: int) -> list[Contender]:
    from augserve_pipelines.kernels.blur_triton import blur

    sigmas = np.linspace(0.1, 2.0, len(batch), dtype=np.float32)
    table = gaussian_taps(taps, sigmas)
    op = Blur((taps, taps), sigmas)

    def theirs() -> None:
        for image, sigma in zip(batch, sigmas.tolist(), strict=True):
            tv_functional.gaussian_blur_image(image, [taps, taps], [sigma, sigma])

    return [
        over(batch, "the kernel", lambda: blur(batch, table, table)),
        over(batch, "with its taps", lambda: op.image(batch)),
        over(batch, "torchvision, image by image", theirs),
    ]
