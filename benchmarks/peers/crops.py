"""What libraries without a RandomResizedCrop are given: the crop as torchvision draws it, from Python's generator."""

from __future__ import annotations

import math
import random

import numpy as np

MEAN, STD = np.float32([0.485, 0.456, 0.406]), np.float32([0.229, 0.224, 0.225])


def draw_crop(width: int, height: int) -> tuple[int, int, int, int]:
    """Left, top, width and height of 8 % to 100 % of the area, with an aspect ratio of 3:4 to 4:3."""
    for _ in range(10):
        area = width * height * random.uniform(0.08, 1.0)
        aspect = math.exp(random.uniform(math.log(3 / 4), math.log(4 / 3)))
        w, h = round(math.sqrt(area * aspect)), round(math.sqrt(area / aspect))
        if 0 < w <= width and 0 < h <= height:
            return random.randint(0, width - w), random.randint(0, height - h), w, h
    side = min(width, height)
    return (width - side) // 2, (height - side) // 2, side, side
