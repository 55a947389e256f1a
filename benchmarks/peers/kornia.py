"""Kornia: floats all the way, image by image where sizes differ, on the CPU or a GPU."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import kornia.augmentation as K
import torch
from kornia.augmentation.auto import RandAugment
from PIL import Image
from torch import Tensor

from benchmarks.peers import Peer
from benchmarks.torchvision_v2 import v2

_MEAN, _STD = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])


def peer(device: str = "cpu") -> Peer:
    """Tensors [3, H, W] uint8 in, made floats in [0, 1] first; results are float32 [1, 3, 224, 224]."""
    remark = "not the same pixels: works in float, and resizes without antialiasing"

    def take(picture: Image.Image) -> Tensor:
        image: Tensor = v2.ToImage()(picture).as_subclass(Tensor).to(device)
        return image

    return Peer("Kornia", remark, take, {name: _run(steps, device) for name, steps in _recipes().items()})


def _recipes() -> dict[str, list[Any]]:
    start = [K.RandomResizedCrop((224, 224)), K.RandomHorizontalFlip()]
    end = [K.Normalize(_MEAN, _STD)]
    colours = [
        K.ColorJitter(0.8, 0.8, 0.8, 0.2, p=0.8),
        K.RandomGrayscale(p=0.2),
        K.RandomGaussianBlur((23, 23), (0.1, 2.0), p=0.5),
    ]
    return {
        "imagenet_train": [*start, *end],
        "simclr": [*start, *colours, *end],
        "imagenet_randaugment": [*start, RandAugment(n=2, m=9), *end, K.RandomErasing(p=0.1)],
    }


def _run(steps: list[Any], device: str) -> Callable[[Tensor], Tensor]:
    chain = torch.nn.Sequential(*steps).to(device)

    def run(image: Tensor) -> Tensor:
        with torch.inference_mode():
            result: Tensor = chain(image.unsqueeze(0).float().div_(255))
        return result

    return run
