"""Whether a device gives the bytes of the CPU: random crops by the thousand, and every pipeline that ships."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from augserve_pipelines import Pipeline
from augserve_pipelines import transforms as T
from benchmarks.peers import torchvision as reference
from benchmarks.photographs import decoded, jpegs, mixed_jpegs
from benchmarks.results import Section
from benchmarks.shipped import names, shipped
from benchmarks.torchvision_v2 import tv_tensors, v2

CROPS = 10_000
BATCH = 100

ABOUT = (
    "The same samples and seeds on the CPU and on the device, every value compared. Crops are of 48 photographs whose "
    "longer sides are 200 to 4,000 pixels, of another photograph and another seed each."
)


@dataclass(frozen=True, slots=True)
class Equality:
    """How far results of the device are from those of the CPU."""

    pipeline: str
    samples: int
    samples_that_differ: int
    values_that_differ: float  # share
    largest_difference: float
    equal: bool


def run(device: str = "cuda", crops: int = CROPS) -> list[Section]:
    """Compare a device with the CPU."""
    photographs = [_tensor(picture) for picture in decoded(mixed_jpegs(48))]
    kinds = {
        "RandomResizedCrop(224)": (T.RandomResizedCrop(224), crops),
        "RandomResizedCrop((97, 131), bicubic)": (T.RandomResizedCrop((97, 131), interpolation="bicubic"), crops // 10),
        "RandomResizedCrop(64, antialias=False)": (T.RandomResizedCrop(64, antialias=False), crops // 10),
    }
    rows = [_crops(name, Pipeline([step]), photographs, count, device) for name, (step, count) in kinds.items()]
    rows += [compare_shipped(name, device) for name in names()]
    return [Section.of("equality", ABOUT, rows)]


def _crops(name: str, pipeline: Pipeline, photographs: Sequence[Tensor], count: int, device: str) -> Equality:
    there = [photograph.to(device) for photograph in photographs]
    tally = _Tally()
    for start in range(0, count, BATCH):
        seeds = range(start, min(start + BATCH, count))
        places = [seed % len(photographs) for seed in seeds]
        here = pipeline([photographs[place] for place in places], seeds)
        for one, other in zip(here, pipeline([there[place] for place in places], seeds), strict=True):
            tally.add([(one, other)])
    return tally.row(name)


def compare_shipped(name: str, device: str) -> Equality:
    """One pipeline of those that ship, over photographs."""
    pipeline, samples, tally = Pipeline.load(shipped(name)), _samples(name), _Tally()
    seeds = range(len(samples))
    for one, other in zip(pipeline(samples, seeds), pipeline(samples, seeds, device=device), strict=True):
        tally.add(zip(_tensors(one), _tensors(other), strict=True))
    return tally.row(name)


def _samples(name: str) -> list[Any]:
    """Photographs with what the pipeline is for: boxes, masks, labels, or clips of 20 frames."""
    pictures = decoded(jpegs(32))
    if name == "detection":
        return [reference.detection_sample(picture, seed) for seed, picture in enumerate(pictures)]
    images = [_tensor(picture) for picture in pictures]
    if name == "segmentation":
        return [
            {"image": tv_tensors.Image(image), "mask": tv_tensors.Mask((image[0] // 64).contiguous())}
            for image in images
        ]
    if name == "imagenet_cutmix":
        crops = [v2.functional.center_crop(image, [300, 300]) for image in images]
        return [(tv_tensors.Image(image), torch.tensor(label % 7)) for label, image in enumerate(crops)]
    if name == "video":
        return [{"video": tv_tensors.Video(image.repeat(20, 1, 1, 1))} for image in images[:4]]
    return images


def _tensor(picture: Any) -> Tensor:
    image: Tensor = v2.ToImage()(picture).as_subclass(Tensor)
    return image


def _tensors(value: Any) -> Iterator[Tensor]:
    for leaf in torch.utils._pytree.tree_leaves(value):
        if isinstance(leaf, Tensor):
            yield leaf.as_subclass(Tensor)


class _Tally:
    """Counts of what differs."""

    def __init__(self) -> None:
        self._samples = self._different = self._values = self._unequal = 0
        self._largest = 0.0

    def add(self, pairs: Any) -> None:
        """The tensors of one sample, of the CPU and of the device."""
        unequal = 0
        for here, there in pairs:
            if here.shape != there.shape:
                raise SystemExit(f"shapes differ: {[*here.shape]} on the CPU, {[*there.shape]} on the device")
            difference = (here.double() - there.cpu().double()).abs()
            unequal += int((difference != 0).sum())
            self._values += difference.numel()
            self._largest = max(self._largest, float(difference.max()) if difference.numel() else 0.0)
        self._samples += 1
        self._different += bool(unequal)
        self._unequal += unequal

    def row(self, pipeline: str) -> Equality:
        """What was counted."""
        share = self._unequal / max(1, self._values)
        return Equality(pipeline, self._samples, self._different, share, self._largest, self._different == 0)
