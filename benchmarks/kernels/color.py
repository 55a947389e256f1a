"""Colours of a dense batch on CUDA, against torchvision image by image."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor

from augserve_pipelines import transforms as T
from augserve_pipelines.batch import Batch, Block
from augserve_pipelines.frames import Frames
from augserve_pipelines.interpolation import InterpolationMode
from augserve_pipelines.lanes import Lanes
from augserve_pipelines.ops import Chain, Op
from augserve_pipelines.plan import plan
from augserve_pipelines.transforms.augmentation_space import augmentations
from benchmarks.kernels.throughput import Contender, Row, make_batch, measure, over
from benchmarks.torchvision_v2 import v2

COLORS = ("Brightness", "Color", "Contrast", "Sharpness", "Posterize", "Solarize", "AutoContrast", "Equalize")


def run(rounds: int, seconds: float) -> list[Row]:
    """Compare ColorJitter and RandAugment's operations of colours."""
    batch, ranges = make_batch(), (0.4, 0.4, 0.4, 0.1)
    jitter = T.ColorJitter(*ranges).draw(Lanes(range(len(batch))), Frames.of(list(batch)))
    tasks = {
        "ColorJitter": _contenders(batch, jitter, v2.ColorJitter(*ranges)),
        "two of RandAugment's colours": _contenders(batch, _random_colors(batch), _their_colors),
    }
    return [row for task, contenders in tasks.items() for row in measure(task, contenders, rounds, seconds)]


def _contenders(batch: Tensor, op: Op, theirs: Callable[[Tensor], Tensor]) -> list[Contender]:
    ops = plan(op, Frames.of(list(batch))).ops
    return [
        over(batch, "the engine, parameters drawn before", lambda: _run(ops, batch)),
        over(batch, "torchvision, image by image", lambda: [theirs(image) for image in batch]),
    ]


def _run(ops: Sequence[Op], images: Tensor) -> Batch:
    batch = Batch([Block(np.arange(len(images)), images)])
    for op in ops:
        batch = op.run(batch)
    return batch


def _random_colors(images: Tensor) -> Op:
    rng, frames = np.random.default_rng(0), Frames.of(list(images))
    steps = []
    for _ in range(2):
        names = rng.choice(COLORS, len(images))
        magnitudes = np.where(names == "Posterize", 6.0, np.where(names == "Solarize", 0.7, 0.27))
        steps.append(augmentations(names, magnitudes, frames, InterpolationMode.NEAREST, None))
    return Chain(tuple(steps))


def _their_colors(image: Tensor) -> Tensor:
    calls: dict[str, Callable[[Tensor], Tensor]] = {
        "Brightness": lambda x: v2.functional.adjust_brightness(x, 1.27),
        "Color": lambda x: v2.functional.adjust_saturation(x, 1.27),
        "Contrast": lambda x: v2.functional.adjust_contrast(x, 1.27),
        "Sharpness": lambda x: v2.functional.adjust_sharpness(x, 1.27),
        "Posterize": lambda x: v2.functional.posterize(x, 6),
        "Solarize": lambda x: v2.functional.solarize(x, 178.5),
        "AutoContrast": v2.functional.autocontrast,
        "Equalize": v2.functional.equalize,
    }
    for place in torch.randint(0, len(COLORS), (2,)).tolist():
        image = calls[COLORS[place]](image)
    return image
