"""Act on PIL images: by Pillow, or by the kernel for tensors."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from PIL import Image as Picture
from torch import Tensor

from augserve_pipelines.errors import InvalidInput
from augserve_pipelines.tv_tensors.picture import pil_to_tensor

__all__ = ["by_pillow", "by_tensor", "picture_of"]

# The modes that pixels of so many channels and of a dtype may be, the usual one first.
_MODES: Mapping[tuple[int, torch.dtype], tuple[str, ...]] = {
    (1, torch.uint8): ("L",),
    (1, torch.int16): ("I;16",),
    (1, torch.int32): ("I",),
    (1, torch.float32): ("F",),
    (2, torch.uint8): ("LA",),
    (3, torch.uint8): ("RGB", "YCbCr", "HSV"),
    (4, torch.uint8): ("RGBA", "CMYK", "RGBX"),
}


def by_pillow(act: Callable[..., Picture.Image], picture: Picture.Image, *arguments: Any) -> Picture.Image:
    """``act(picture, *arguments)`` of Pillow.

    Raises:
        InvalidInput: Pillow does not do this to images of the mode.
    """
    try:
        return act(picture, *arguments)
    except (OSError, NotImplementedError) as error:
        raise InvalidInput(f"Pillow does not do this to an image of mode {picture.mode}: {error}") from error


def by_tensor(picture: Picture.Image, kernel: Callable[[Tensor], Tensor]) -> Picture.Image:
    """A PIL image, of the same mode, of what a kernel makes of the pixels.

    Raises:
        ValueError: the mode does not say what its pixels are, such as that of a palette.
    """
    return picture_of(kernel(pil_to_tensor(picture)), picture.mode)


def picture_of(pixels: Tensor, mode: str | None) -> Picture.Image:
    """The PIL image of ``[C, H, W]``; a mode that is not given is the usual one."""
    channels, height, width = pixels.shape
    modes = _MODES.get((channels, pixels.dtype), ())
    if not modes or (mode is not None and mode not in modes):
        raise ValueError(f"no PIL image of mode {mode} has {channels} channels of {pixels.dtype}")
    rows = np.ascontiguousarray(pixels.permute(1, 2, 0).numpy(force=True))
    return Picture.frombytes(mode or modes[0], (width, height), rows.tobytes())
