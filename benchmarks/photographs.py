"""The corpus: distinct crops of real photographs, as JPEG files of the sizes of most of ImageNet's."""

from __future__ import annotations

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
_QUALITY = 90


def jpegs(count: int) -> list[bytes]:
    """``count`` distinct JPEG files of quality 90: 500 x 375 and 500 x 333 pixels, and 30 % of them upright."""
    originals = [_photograph(package, path) for package, path in _SOURCES]
    chance = np.random.default_rng(0)
    return [_jpeg(originals[i % len(originals)], chance) for i in range(count)]


def decoded(files: list[bytes]) -> list[Image.Image]:
    """The files as Pillow decodes them, RGB."""
    return [Image.open(BytesIO(file)).convert("RGB") for file in files]


def _photograph(package: str, path: str) -> Image.Image:
    spec = find_spec(package)
    if spec is None or spec.origin is None:
        raise SystemExit(f"{package} is not installed: pip install 'augserve[dev]' brings the photographs")
    return Image.open(Path(spec.origin).parent / path).convert("RGB")


def _jpeg(original: Image.Image, chance: np.random.Generator) -> bytes:
    short = int(chance.choice(_SHORT_SIDES))
    size = (_LONG_SIDE, short) if chance.random() < 0.7 else (short, _LONG_SIDE)
    width = int(original.width * chance.uniform(0.6, 1.0))
    height = min(int(width * size[1] / size[0]), original.height)
    left, top = (int(chance.integers(0, free + 1)) for free in (original.width - width, original.height - height))
    file = BytesIO()
    original.resize(size, Image.Resampling.LANCZOS, (left, top, left + width, top + height)).save(
        file, "JPEG", quality=_QUALITY
    )
    return file.getvalue()
