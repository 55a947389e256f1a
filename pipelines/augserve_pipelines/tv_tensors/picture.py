"""The pixels of a PIL image as a tensor."""

from __future__ import annotations

import numpy as np
import PIL.Image
import torch

__all__ = ["pil_to_tensor"]


def pil_to_tensor(pic: PIL.Image.Image) -> torch.Tensor:
    """The pixels of a PIL image, ``[C, H, W]``, in the dtype that Pillow gives them: no value changes.

    The tensor owns its memory and is a view of ``[H, W, C]``, as torchvision's.
    """
    pixels = torch.as_tensor(np.array(pic, copy=True))
    return pixels.view(pic.height, pic.width, len(pic.getbands())).permute(2, 0, 1)
