"""AlbumentationsX (AGPL): image by image on arrays. Asked to send nothing home."""

from __future__ import annotations

import os

os.environ |= {"NO_ALBUMENTATIONS_UPDATE": "1", "ALBUMENTATIONS_NO_TELEMETRY": "1"}  # read when it is imported

import albumentations as A
import numpy as np

from benchmarks.peers import Peer

_MEAN, _STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def peer() -> Peer:
    """Arrays [H, W, 3] in; results stay float32 [H, W, 3]."""
    crop = [A.RandomResizedCrop(size=(224, 224)), A.HorizontalFlip(p=0.5)]
    colours = [
        A.ColorJitter((0.2, 1.8), (0.2, 1.8), (0.2, 1.8), (-0.2, 0.2), p=0.8),
        A.ToGray(p=0.2),
        A.GaussianBlur((23, 23), (0.1, 2.0), p=0.5),
    ]
    end = [A.Normalize(_MEAN, _STD)]
    steps = {"imagenet_train": [*crop, *end], "simclr": [*crop, *colours, *end]}
    recipes = {name: A.Compose(chain, telemetry=False) for name, chain in steps.items()}
    remark = "not the same pixels: resizes without antialiasing"
    functions = {name: (lambda image, chain=chain: chain(image=image)["image"]) for name, chain in recipes.items()}
    return Peer("AlbumentationsX", remark, np.asarray, functions)
