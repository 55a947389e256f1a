"""CV-CUDA: crop, antialiased resize and flip in one call, image by image, on the GPU."""

from __future__ import annotations

import random

import cvcuda
import torch
from PIL import Image
from torch import Tensor

from benchmarks.peers import Peer
from benchmarks.peers.crops import MEAN, STD, draw_crop
from benchmarks.torchvision_v2 import v2


def peer() -> Peer:
    """Tensors [H, W, 3] uint8 on the GPU in; results are float32 [3, 224, 224]."""
    remark = "not the same pixels: resizes in float"
    return Peer("CV-CUDA", remark, _take, {"imagenet_train": _ImageNetTrain()})


def _take(picture: Image.Image) -> Tensor:
    image: Tensor = v2.ToImage()(picture).as_subclass(Tensor)
    return image.permute(1, 2, 0).contiguous().cuda()


class _ImageNetTrain:
    def __init__(self) -> None:
        self._scale = torch.from_numpy(1 / (255 * STD)).float().cuda()[:, None, None]
        self._shift = torch.from_numpy(-MEAN / STD).float().cuda()[:, None, None]

    def __call__(self, image: Tensor) -> Tensor:
        left, top, width, height = draw_crop(image.shape[1], image.shape[0])
        columns = (left, left + width) if random.random() < 0.5 else (left + width, left)  # the latter mirrors
        stream = cvcuda.as_stream(torch.cuda.current_stream().cuda_stream)
        crop = cvcuda.hq_resize(
            cvcuda.as_tensor(image, "HWC"),
            (224, 224),
            antialias=True,
            roi=(top, columns[0], top + height, columns[1]),
            interpolation=cvcuda.Interp.LINEAR,
            stream=stream,
        )
        result = torch.as_tensor(crop.cuda()).permute(2, 0, 1).float()
        return torch.addcmul(self._shift, result, self._scale)
