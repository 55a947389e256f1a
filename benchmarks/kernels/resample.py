"""The kernel for ragged batches against a copy in the device's memory."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from augserve_pipelines import Frames, Pipeline
from augserve_pipelines import transforms as T
from augserve_pipelines.batch import Batch
from augserve_pipelines.transforms.resample import Resample
from benchmarks.kernels.throughput import NO_DEVICE, Contender, Row, measure

BATCH = 1024  # images of half a megabyte each: ten times the second-level cache of an H100
SIZES = ((375, 500), (500, 375), (333, 500), (500, 500), (400, 300), (600, 450), (240, 320), (480, 640))
FINISH = (T.ToDtype(torch.float32, scale=True), T.Normalize((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))


def run(rounds: int, seconds: float) -> list[Row]:
    """Compare outputs of bytes and of standardised float16.

    Raises:
        RuntimeError: there is no CUDA device.
    """
    if not torch.cuda.is_available():
        raise RuntimeError(NO_DEVICE)
    images = _images()
    contenders = [each for name, steps in _tails().items() for each in _crops(name, images, steps)]
    return measure("RandomResizedCrop 224 and flip", contenders, rounds, seconds)


def _tails() -> dict[str, list[T.Transform]]:
    return {"uint8": [], "float16": [*FINISH, T.ToDtype(torch.float16)]}


def _images() -> list[Tensor]:
    """Noise of the sizes that ImageNet has, pixel by pixel as decoders leave it."""
    generator = torch.Generator("cuda").manual_seed(0)
    sizes = np.random.default_rng(0).permutation(np.resize(np.array(SIZES), (BATCH, 2))).tolist()
    options = {"dtype": torch.uint8, "device": "cuda", "generator": generator}
    return [torch.randint(0, 256, (height, width, 3), **options).permute(2, 0, 1) for height, width in sizes]


def _crops(name: str, images: list[Tensor], tail: list[T.Transform]) -> list[Contender]:
    """The one op that the pipeline becomes: the kernel alone, and with what the CPU prepares for it."""
    from augserve_pipelines.kernels.resample_triton import launcher

    pipeline = Pipeline([T.RandomResizedCrop(224), T.RandomHorizontalFlip(), *tail])
    (op,) = pipeline.plan(Frames.of(images), range(len(images))).ops
    assert isinstance(op, Resample)
    batch = Batch.of(images)
    out = op.run(batch).stack()
    tables = None if op.tail is None else op.tail.tables(3)
    size = 3 * int(op.source[:, 2:].prod(axis=1).sum()) + out.nbytes
    alone, prepared = launcher(images, op.windows(), out, tables), f"{name}, prepared each time"
    return [
        Contender(name, alone, len(images), size),
        Contender(prepared, lambda: op.run_into(batch, out), len(images), size),
    ]
