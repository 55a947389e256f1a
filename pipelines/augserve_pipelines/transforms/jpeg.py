"""Compress images as JPEG and back."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

import numpy as np
import torch
from PIL import Image as Picture
from PIL.JpegImagePlugin import JpegImageFile
from pydantic import AfterValidator, Field
from torch import Tensor

from augserve_pipelines.arguments import Words, shown
from augserve_pipelines.constraints import Items
from augserve_pipelines.dispatch import Call, functional
from augserve_pipelines.errors import InvalidInput, WrongKind
from augserve_pipelines.frames import Frames, IntArray
from augserve_pipelines.lanes import Lanes
from augserve_pipelines.ops import Kernels, Op, each_row
from augserve_pipelines.transforms.base import Transform
from augserve_pipelines.transforms.channels import check_channels, check_gray_or_rgb, tensors

__all__ = ["JPEG", "Compress", "jpeg", "jpeg_image"]


def _increasing(values: Sequence[int]) -> Sequence[int]:
    low, high = values
    if low > high:
        raise ValueError(f"{shown(values)} is not [low, high]: {low} is greater than {high}")
    return values


_Percent = Annotated[int, Field(ge=1, le=100)]
Quality = Annotated[
    _Percent | Annotated[Sequence[_Percent], Items((2,)), AfterValidator(_increasing)],
    Words("an integer or two integers [low, high]", example=[30, 95]),
]


def jpeg_image(image: Tensor, quality: int) -> Tensor:
    """Compress each image of ``[..., 1 or 3, H, W]`` uint8, and decode it again.

    The codec is Pillow's libjpeg-turbo on the CPU with the library's defaults, which torchvision's codec has too:
    colours of half the resolution, integer transforms, smooth enlargement of the colours.

    Args:
        image: images of uint8.
        quality: 1 to 100.

    Raises:
        ValueError: the quality is another number.
        TypeError: the images are not uint8, or have other channels.
    """
    if not 1 <= quality <= 100:
        raise ValueError(f"quality is {quality}; 1 to 100 is allowed")
    check_gray_or_rgb(image)
    if image.dtype != torch.uint8:
        raise WrongKind(f"JPEG takes uint8, got {image.dtype}")
    if not image.numel():
        return image.clone()
    pixels = image.movedim(-3, -1).contiguous().cpu()
    decoded = torch.empty(image.shape, dtype=torch.uint8)
    for picture, planes in zip(pixels.view(-1, *pixels.shape[-3:]), decoded.view(-1, *image.shape[-3:]), strict=True):
        planes.copy_(_decoded(picture, quality))
    return decoded.to(image.device)


def _decoded(pixels: Tensor, quality: int) -> Tensor:
    """``[H, W, C]`` to ``[C, H, W]``."""
    picture = Picture.fromarray(pixels.numpy() if pixels.shape[-1] == 3 else pixels[..., 0].numpy())
    compressed = torch.from_numpy(np.array(_jpeg_picture(picture, quality)))
    return compressed.unsqueeze(0) if compressed.ndim == 2 else compressed.permute(2, 0, 1)


def _jpeg_picture(image: Picture.Image, quality: int) -> Picture.Image:
    file = io.BytesIO()
    try:
        image.save(file, format="JPEG", quality=quality)
    except OSError as error:
        size = f"{image.width} x {image.height} pixels"
        raise InvalidInput(f"JPEG cannot hold {size} of mode {image.mode}: {error}") from error
    file.seek(0)
    with JpegImageFile(file) as decoded:  # Image.open would refuse a large one as a bomb
        return decoded.copy()


@functional(image=jpeg_image, picture=_jpeg_picture)
def jpeg(image: Any, quality: int) -> Any:
    """Compress an image as JPEG of this quality, 1 to 100, and decode it again."""


@dataclass(frozen=True, slots=True)
class Compress(Op):
    """Compress each sample as JPEG of a quality of its own, and decode it again."""

    kernels: ClassVar[Kernels] = Kernels(0, 3)
    planar: ClassVar[bool] = True

    quality: IntArray  # [N]

    def image(self, x: Tensor) -> Tensor:
        return each_row(jpeg_image, x, self.quality)

    def calls(self) -> Iterator[Call]:
        yield Call(jpeg, self.row("quality"))


class JPEG(Transform):
    """Compress the image as JPEG and decode it again, for the traces that leaves.

    Draws: one integer for ``quality``, always.

    Args:
        quality: 1 to 100, or the range to draw it from [low, high], both included.

    Raises:
        InvalidInput: the image is not uint8, or has neither 1 nor 3 channels.
    """

    def __init__(self, quality: Quality) -> None:
        super().__init__()
        self.quality = (quality, quality) if isinstance(quality, int) else tuple(quality)

    def draw(self, lanes: Lanes, frames: Frames) -> Op:
        low, high = self.quality
        quality = lanes.integers(low, high + 1)
        check_channels(frames, type(self).__name__)
        for dtype in set(frames.dtypes[tensors(frames)].tolist()):
            if dtype != torch.uint8:
                cure = "ToDtype(uint8, scale=True) goes before it"
                raise InvalidInput(f"JPEG takes uint8, got {str(dtype).removeprefix('torch.')}: {cure}")
        return Compress(quality)
