"""Pillow and numpy: the calls of ``imagenet_train`` by hand."""

from __future__ import annotations

import random

import numpy as np
from PIL import Image

from benchmarks.peers import Peer
from benchmarks.peers.crops import MEAN, STD, draw_crop

Array = np.ndarray[tuple[int, ...], np.dtype[np.float32]]

_SCALE = (1 / (255 * STD)).astype(np.float32)[:, None, None]
_SHIFT = (-MEAN / STD).astype(np.float32)[:, None, None]


def peer() -> Peer:
    """Pictures in; results are float32 [3, 224, 224]."""
    remark = "not the same pixels: Pillow's own fixed point"
    return Peer("Pillow + numpy", remark, lambda picture: picture, {"imagenet_train": _imagenet_train})


def _imagenet_train(picture: Image.Image) -> Array:
    left, top, width, height = draw_crop(picture.width, picture.height)
    crop = picture.resize((224, 224), Image.Resampling.BILINEAR, (left, top, left + width, top + height))
    if random.random() < 0.5:
        crop = crop.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    result = np.asarray(crop).transpose(2, 0, 1).astype(np.float32, order="C")
    result *= _SCALE
    result += _SHIFT
    return result
