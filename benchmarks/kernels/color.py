"""``python -m benchmarks.kernels.color``: colours of a dense batch on CUDA, against torchvision image by image."""

from __future__ import annotations

import statistics
import sys
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
from benchmarks.oracle import v2

SHAPE = (256, 3, 224, 224)
ROUNDS = 20
COLORS = ("Brightness", "Color", "Contrast", "Sharpness", "Posterize", "Solarize", "AutoContrast", "Equalize")


def main() -> None:
    """Measure ColorJitter and RandAugment's operations of colours, and a copy in the same run."""
    if not torch.cuda.is_available():
        sys.exit("this benchmark needs a CUDA device, and there is none")
    images = torch.randint(0, 256, SHAPE, dtype=torch.uint8, device="cuda")
    bandwidth = 2 * images.numel() / _seconds(lambda: images.clone(), ROUNDS)
    print(f"{torch.cuda.get_device_name()}, torch {torch.__version__}; a copy runs at {bandwidth / 1e9:.0f} GB/s")
    ranges = (0.4, 0.4, 0.4, 0.1)
    jitter = T.ColorJitter(*ranges).draw(Lanes(range(SHAPE[0])), Frames.of(list(images)))
    _show("ColorJitter", jitter, v2.ColorJitter(*ranges), images, bandwidth)
    _show("two of RandAugment's colours", _random_colors(images), _their_colors, images, bandwidth)


def _show(name: str, op: Op, theirs: Callable[[Tensor], Tensor], images: Tensor, bandwidth: float) -> None:
    ops = plan(op, Frames.of(list(images))).ops
    ours = _seconds(lambda: _run(ops, images), ROUNDS)
    alone = _seconds(lambda: [theirs(image) for image in images], 3)
    least = 2 * images.numel() / ours  # each byte read once and written once, however many launches it takes
    print(
        f"{name}: {len(images) / ours:,.0f} images/s, torchvision {len(images) / alone:,.0f}: {alone / ours:.1f} times"
    )
    print(f"    {least / 1e9:.0f} GB/s of reading and writing once, {least / bandwidth:.0%} of the copy")


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


def _seconds(work: Callable[[], object], rounds: int) -> float:
    """The median time of a round on the device, of which the first three are not counted."""
    times = []
    for _ in range(rounds + 3):
        start, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
        start.record()
        work()
        end.record()
        end.synchronize()
        times.append(start.elapsed_time(end) / 1e3)
    return statistics.median(times[3:])


if __name__ == "__main__":
    main()
