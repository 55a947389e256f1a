"""The corpus: distinct crops of real photographs as JPEG files, of ImageNet's sizes or of any, always the same ones."""

from __future__ import annotations

import math
from functools import cache
from importlib.util import find_spec
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image

# Files that scikit-image, scikit-learn and matplotlib carry.
_SOURCES = (
    ("skimage", "data/astronaut.png"),
    ("skimage", "data/chelsea.png"),
    ("skimage", "data/coffee.png"),
    ("skimage", "data/hubble_deep_field.jpg"),
    ("skimage", "data/motorcycle_left.png"),
    ("skimage", "data/rocket.jpg"),
    ("sklearn", "datasets/images/china.jpg"),
    ("sklearn", "datasets/images/flower.jpg"),
    ("matplotlib", "mpl-data/sample_data/grace_hopper.jpg"),
)
_LONG_SIDE = 500
_SHORT_SIDES = (333, 375)  # 3:2 and 4:3
_MIXED_SIDES = (200, 4000)
_ASPECTS = (3 / 2, 4 / 3, 16 / 9, 1.0)
_UPRIGHT = 0.3
_QUALITY = 90

Size = tuple[int, int]  # width, height


def jpegs(count: int) -> list[bytes]:
    """``count`` distinct JPEG files of quality 90: 500 x 375 and 500 x 333 pixels, and 30 % of them upright."""
    chance = np.random.default_rng(0)
    return [_jpeg(_original(i), _imagenet_size(chance), chance) for i in range(count)]


def mixed_jpegs(count: int) -> list[bytes]:
    """``count`` distinct JPEG files of quality 90 whose longer sides are 200 to 4,000 pixels.

    As many lie between 200 and 400 as between 2,000 and 4,000; aspect ratios are 3:2, 4:3, 16:9 and 1:1, and 30 % are
    upright. Photographs are enlarged where they are smaller.
    """
    chance = np.random.default_rng(1)
    sizes = [_mixed_size(chance, (i + 0.5) / count) for i in range(count)]
    return [_jpeg(_original(i), sizes[place], chance) for i, place in enumerate(chance.permutation(count))]


def uniform_jpegs(count: int, pixels: float) -> list[bytes]:
    """``count`` distinct JPEG files of quality 90, all of one size of 4:3 and about so many pixels."""
    chance = np.random.default_rng(2)
    size = (round(math.sqrt(pixels * 4 / 3)), round(math.sqrt(pixels * 3 / 4)))
    return [_jpeg(_original(i), size, chance) for i in range(count)]


def mean_pixels(files: list[bytes]) -> float:
    """The mean of width times height."""
    return sum(math.prod(Image.open(BytesIO(file)).size) for file in files) / len(files)


def decoded(files: list[bytes]) -> list[Image.Image]:
    """The files as Pillow decodes them, RGB."""
    return [Image.open(BytesIO(file)).convert("RGB") for file in files]


def boxes(size: Size, count: int, seed: int) -> np.ndarray[tuple[int, int], np.dtype[np.float32]]:
    """``count`` boxes in an image of this size, XYXY [count, 4], of a fifth to half of each side."""
    chance = np.random.default_rng(seed)
    corners = chance.uniform(0, 0.5, (count, 2)) * size
    extents = chance.uniform(0.2, 0.5, (count, 2)) * size
    return np.concatenate([corners, corners + extents], 1).astype(np.float32)


def _imagenet_size(chance: np.random.Generator) -> Size:
    short = int(chance.choice(_SHORT_SIDES))
    return (_LONG_SIDE, short) if chance.random() < 1 - _UPRIGHT else (short, _LONG_SIDE)


def _mixed_size(chance: np.random.Generator, place: float) -> Size:
    low, high = map(math.log, _MIXED_SIDES)
    long = round(math.exp(low + place * (high - low)))
    short = round(long / float(chance.choice(_ASPECTS)))
    return (short, long) if chance.random() < _UPRIGHT else (long, short)


def _original(place: int) -> Image.Image:
    return _photograph(*_SOURCES[place % len(_SOURCES)])


@cache
def _photograph(package: str, path: str) -> Image.Image:
    spec = find_spec(package)
    if spec is None or spec.origin is None:
        raise SystemExit(f"{package} is not installed: pip install 'augserve[dev]' brings the photographs")
    return Image.open(Path(spec.origin).parent / path).convert("RGB")


def _jpeg(original: Image.Image, size: Size, chance: np.random.Generator) -> bytes:
    width = int(original.width * chance.uniform(0.6, 1.0))
    height = min(int(width * size[1] / size[0]), original.height)
    left, top = (int(chance.integers(0, free + 1)) for free in (original.width - width, original.height - height))
    file = BytesIO()
    original.resize(size, Image.Resampling.LANCZOS, (left, top, left + width, top + height)).save(
        file, "JPEG", quality=_QUALITY
    )
    return file.getvalue()
