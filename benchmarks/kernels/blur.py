"""Gaussian blurs of a batch on CUDA, against torchvision image by image: ``python -m benchmarks.kernels.blur``."""

from __future__ import annotations

import numpy as np
from torch import Tensor

from augserve_pipelines.kernels.blur import gaussian_taps
from augserve_pipelines.transforms.blur import Blur
from benchmarks.kernels.throughput import make_batch, show
from benchmarks.torchvision_v2 import tv_functional


def main() -> None:
    """Compare a small kernel and that of SimCLR."""
    batch = make_batch()
    for taps in (5, 23):
        compare(batch, taps)


def compare(batch: Tensor, taps: int) -> None:
    from augserve_pipelines.kernels.blur_triton import blur

    sigmas = np.linspace(0.1, 2.0, len(batch), dtype=np.float32)
    table = gaussian_taps(taps, sigmas)
    op = Blur((taps, taps), sigmas)

    def theirs() -> None:
        for image, sigma in zip(batch, sigmas.tolist(), strict=True):
            tv_functional.gaussian_blur_image(image, [taps, taps], [sigma, sigma])

    contenders = {
        "the kernel": lambda: blur(batch, table, table),
        "with its taps": lambda: op.image(batch),
        "torchvision, image by image": theirs,
    }
    show(f"Gaussian blur, {taps} x {taps}", batch, contenders)


if __name__ == "__main__":
    main()
