"""torchvision v2: image by image on tensors, and with Pillow's decoder in worker processes."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from functools import cache
from io import BytesIO
from typing import Any

import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from augserve_pipelines import Pipeline
from benchmarks.peers import Peer
from benchmarks.photographs import boxes
from benchmarks.shipped import shipped
from benchmarks.torchvision_v2 import tv_tensors, v2

NAME = "torchvision v2"


def peer() -> Peer:
    """torchvision on tensors as ``ToImage`` gives them: views of Pillow's memory, a pixel's channels side by side."""
    names = ("imagenet_train", "simclr", "imagenet_randaugment", "detection")
    return Peer(NAME, "the reference", v2.ToImage(), {name: composed(name) for name in names})


@cache
def composed(name: str) -> Callable[[Any], Any]:
    """A shipped pipeline as torchvision's transforms."""
    made: Callable[[Any], Any] = Pipeline.load(shipped(name)).to_torchvision()
    return made


def detection_sample(picture: Image.Image, seed: int) -> dict[str, Any]:
    """A photograph with five boxes and their labels."""
    canvas = (picture.height, picture.width)
    placed = torch.from_numpy(boxes(picture.size, 5, seed))
    return {
        "image": v2.ToImage()(picture),
        "boxes": tv_tensors.BoundingBoxes(placed, format="XYXY", canvas_size=canvas),
        "labels": torch.arange(5),
    }


def from_file(name: str, file: bytes) -> Tensor:
    """Decode with Pillow and transform, to float16."""
    result: Tensor = composed(name)(v2.ToImage()(Image.open(BytesIO(file)).convert("RGB")))
    return result.half()


def prepare(name: str) -> None:
    """Make a worker process ready."""
    torch.set_num_threads(1)
    composed(name)


def worker_rate(name: str, files: Sequence[bytes], seconds: float) -> float:
    """Images a second of one process that keeps its results."""
    done, start = 0, time.perf_counter()
    while (passed := time.perf_counter() - start) < seconds:
        from_file(name, files[done % len(files)])
        done += 1
    return done / passed


def loader_rate(name: str, cores: int, files: Sequence[bytes], seconds: float) -> float:
    """Images a second out of a DataLoader of batches of 32."""
    loader = DataLoader(_Files(name, files), batch_size=32, num_workers=cores, multiprocessing_context="fork")
    batches, done = iter(loader), 0
    next(batches)  # the workers are up
    start = time.perf_counter()
    while (passed := time.perf_counter() - start) < seconds:
        done += len(next(batches))
    del batches
    return done / passed


class _Files(Dataset[Tensor]):
    def __init__(self, name: str, files: Sequence[bytes]) -> None:
        self.name, self.files = name, files

    def __len__(self) -> int:
        return 1 << 30

    def __getitem__(self, index: int) -> Tensor:
        return from_file(self.name, self.files[index % len(self.files)])
