"""The engine on CUDA against libraries on CUDA, on the same decoded images in the device's memory."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from augserve_pipelines import Pipeline
from benchmarks import peers
from benchmarks.engine import OURS
from benchmarks.kernels.throughput import copy_rate
from benchmarks.measure import Name, Row, in_turns, rate
from benchmarks.peers import torchvision as reference
from benchmarks.peers.crops import draw_crop
from benchmarks.photographs import decoded, jpegs
from benchmarks.results import Section
from benchmarks.shipped import shipped

IMAGES = 256
BATCHES = (256, 64, 1)
COMPILED = "imagenet_train"
"""What torch.compile is measured with: it takes minutes for each pipeline."""

ABOUT = (
    "Decoded photographs of 500 x 375 pixels in the device's memory, results left there, the device waited for. Ratios "
    "are to torchvision v2 image by image on the same device. The other libraries do not give the same pixels."
)
MOVED_ABOUT = (
    "Bytes that imagenet_train cannot avoid: each crop read once (its area as torchvision draws it, the mean over "
    "10,000 draws) and each float32 result written once, times images a second; and the share of a copy on the device, "
    "measured just before."
)


@dataclass(frozen=True, slots=True)
class Moved:
    """Memory traffic of the engine."""

    setting: str
    images_per_second: float
    bytes_per_image: float
    gigabytes_per_second: float
    share_of_copy: float


def run(rounds: int, seconds: float) -> list[Section]:
    """Compare all on the first device."""
    photographs = decoded(jpegs(IMAGES))
    images = [reference.v2.ToImage()(picture).as_subclass(Tensor).contiguous().cuda() for picture in photographs]
    rows: list[Row] = []
    for name in ("imagenet_train", "simclr", "imagenet_randaugment"):
        contenders = _contenders(name, images, photographs, seconds)
        rows += in_turns(contenders, rounds).rows(f"{name}, {torch.cuda.get_device_name()}")
    return [
        Section.of("engine on CUDA", ABOUT, rows),
        Section.of("bytes moved", MOVED_ABOUT, _moved(rows, photographs)),
    ]


def _contenders(
    name: str, images: Sequence[Tensor], photographs: Sequence[Image.Image], seconds: float
) -> Mapping[Name, Callable[[], float]]:
    theirs, pipeline = reference.composed(name), Pipeline.load(shipped(name))
    found: dict[Name, Callable[[], float]] = {
        (reference.NAME, "image by image"): _each(theirs, images, seconds),
    }
    compiled = _compiled(theirs, images) if name == COMPILED else None
    if compiled is not None:
        found[reference.NAME, "torch.compile, image by image"] = _each(compiled, images, seconds)
    kornia, cvcuda = peers.load("kornia"), peers.load("cvcuda")
    for module, arguments in ((kornia, ("cuda",)), (cvcuda, ())):
        peer = module.peer(*arguments) if module is not None else None
        if peer is not None and name in peer.recipes:
            taken = [peer.take(photograph) for photograph in photographs]
            found[peer.name, f"image by image; {peer.remark}"] = _each(peer.recipes[name], taken, seconds)
    for size in BATCHES:
        setting = f"batches of {size}" if size > 1 else "image by image"
        found[OURS, setting] = _by(size, pipeline, images, seconds)
    return found


def _each(transform: Callable[[Any], Any], images: Sequence[Any], seconds: float) -> Callable[[], float]:
    def work() -> int:
        for image in images:
            transform(image)
        torch.cuda.synchronize()
        return len(images)

    return lambda: rate(work, seconds)


def _by(size: int, pipeline: Pipeline, images: Sequence[Tensor], seconds: float) -> Callable[[], float]:
    def work() -> int:
        for start in range(0, len(images), size):
            pipeline(images[start : start + size])
        torch.cuda.synchronize()
        return len(images)

    return lambda: rate(work, seconds)


def _compiled(transform: Callable[[Any], Any], images: Sequence[Tensor]) -> Callable[[Any], Any] | None:
    """torchvision's transforms compiled, after a pass over the images; None where torch cannot compile them."""
    compiled: Callable[[Any], Any] = torch.compile(transform, dynamic=True)
    try:
        for image in images[:32]:
            compiled(image)
    except Exception as error:  # noqa: BLE001 - the compiler's errors share no base
        print(f"torch.compile of torchvision is left out: {type(error).__name__}: {str(error).splitlines()[0]}")
        return None
    return compiled


def _moved(rows: Sequence[Row], photographs: Sequence[Image.Image]) -> list[Moved]:
    sizes = [photograph.size for photograph in photographs]
    crops = [draw_crop(*sizes[i % len(sizes)]) for i in range(10_000)]
    area = float(np.mean([width * height for _, _, width, height in crops]))
    each, copied = 3 * area + 3 * 224 * 224 * 4, copy_rate()
    found = []
    for row in rows:
        if row.contender == OURS and row.task.startswith("imagenet_train"):
            moved = row.images_per_second * each / 1e9
            found.append(Moved(row.setting, row.images_per_second, each, moved, moved / copied))
    return found
