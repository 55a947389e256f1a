"""Decoding as the tests compare it: by the service, and by Pillow."""

from __future__ import annotations

from io import BytesIO

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps

from augserve_pipelines import InputRule
from augserve_server.codecs import decode, peek

Pixels = npt.NDArray[np.uint8]


def decoded(data: bytes, **rule: str) -> Pixels:
    """The pixels of a file under an input rule."""
    return decode(data, peek(data), InputRule.model_validate(rule))


def by_pillow(data: bytes, mode: str = "RGB") -> Pixels:
    """What Pillow users do; L by way of RGB."""
    with Image.open(BytesIO(data)) as image:
        image.info.pop("transparency", None)
        upright = ImageOps.exif_transpose(image).convert("RGB")
    pixels = np.array(upright.convert(mode))
    return pixels.reshape(*pixels.shape[:2], -1)
