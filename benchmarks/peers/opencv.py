"""OpenCV: the calls of ``imagenet_train`` by hand, on one thread."""

from __future__ import annotations

import random

import cv2
import numpy as np

from benchmarks.peers import Peer
from benchmarks.peers.crops import MEAN, STD, draw_crop

Array = np.ndarray[tuple[int, ...], np.dtype[np.generic]]

_TABLE = ((np.arange(256, dtype=np.float32)[:, None] / 255 - MEAN) / STD)[None]  # [1, 256, 3]


def peer() -> Peer:
    """Arrays [H, W, 3] in; results are float32 [3, 224, 224]."""
    cv2.setNumThreads(1)
    remark = "not the same pixels: area averages instead of a filter"
    return Peer("OpenCV", remark, np.asarray, {"imagenet_train": _imagenet_train})


def _imagenet_train(image: Array) -> Array:
    left, top, width, height = draw_crop(image.shape[1], image.shape[0])
    shrinks = min(width, height) >= 224
    interpolation = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    crop = cv2.resize(image[top : top + height, left : left + width], (224, 224), interpolation=interpolation)
    if random.random() < 0.5:
        crop = cv2.flip(crop, 1)
    return np.ascontiguousarray(cv2.LUT(crop, _TABLE).transpose(2, 0, 1))
