"""Resize images."""

import torch
import torch.nn.functional as F
from torch import Tensor

from augserve_pipelines.scripting.dtypes import rounded
from augserve_pipelines.scripting.fixed_point import resize_bytes
from augserve_pipelines.scripting.form import Form
from augserve_pipelines.scripting.sizes import decomposes, greatest, holds, least

__all__ = ["PillowResize", "Resize", "resize"]


def resize(image: Tensor, height: int, width: int, mode: str, antialias: bool) -> Tensor:
    """Resize ``[..., C, H, W]``, with torchvision's bytes."""
    if holds(image.shape[-2] == height) and holds(image.shape[-1] == width):
        return image
    smooth = mode != "nearest" and mode != "nearest-exact"
    # torch has no such kernel for other devices, and it decomposes this one into arithmetic on floats if it may
    if smooth and image.dtype == torch.uint8 and (image.device.type != "cpu" or (decomposes() and not antialias)):
        return resize_bytes(image, height, width, mode, antialias, "torchvision", False)
    flat = image.reshape(-1, image.shape[-3], image.shape[-2], image.shape[-1])
    flat = _interpolated(flat, height, width, mode, smooth, antialias)
    return flat.reshape(image.shape[:-3] + flat.shape[-3:])


def _interpolated(image: Tensor, height: int, width: int, mode: str, smooth: bool, antialias: bool) -> Tensor:
    align_corners: bool | None = None
    if smooth:
        align_corners = False
    if image.dtype == torch.float32 or image.dtype == torch.float64 or image.dtype == torch.uint8:
        if smooth and image.dtype == torch.uint8:
            image = image.contiguous(memory_format=torch.channels_last)
        return F.interpolate(image, [height, width], None, mode, align_corners, None, antialias and smooth)
    resized = F.interpolate(
        image.to(torch.float32), [height, width], None, mode, align_corners, None, antialias and smooth
    )
    if image.dtype == torch.uint16 or image.dtype == torch.bool:
        return resized.to(image.dtype)
    return resized.to(image.dtype) if image.is_floating_point() else rounded(resized, image.dtype)


class Resize(Form):
    """See the transform. ``size`` has no, one or two numbers."""

    def __init__(self, size: tuple[int, ...], mode: str, max_size: int | None, antialias: bool) -> None:
        super().__init__()
        self.height = size[0] if len(size) == 2 else 0
        self.width = size[1] if len(size) == 2 else 0
        self.short = size[0] if len(size) == 1 else 0
        self.long = 0 if max_size is None else max_size
        self.mode = mode
        self.antialias = antialias

    def forward(self, image: Tensor) -> Tensor:
        height, width = self.sides(image.shape[-2], image.shape[-1])
        return resize(image, height, width, self.mode, self.antialias)

    def sides(self, rows: int, columns: int) -> tuple[int, int]:
        """The size that an image gets."""
        if self.height > 0:
            return self.height, self.width
        height, width = self.side(rows, rows, columns), self.side(columns, rows, columns)
        if height < 1 or width < 1:
            raise ValueError(f"the result would have {height} x {width} pixels; at least 1 x 1 is needed")
        return height, width

    def side(self, side: int, rows: int, columns: int) -> int:
        """The length that a side of an image gets. Integers divide as floats do here: sizes are far below 2**26."""
        short, long = least(rows, columns), greatest(rows, columns)
        if self.short == 0:
            return self.long * side // long
        new = self.short * side // short
        return least(new, self.long * new // (self.short * long // short)) if self.long > 0 else new


class PillowResize(Resize):
    """Resize with Pillow's bytes, antialiased, bilinear or bicubic; for export alone.

    Args:
        size: as of ``Resize``.
        mode: ``bilinear`` or ``bicubic``.
        max_size: as of ``Resize``.
        may_go_down_first: whether to go down before across where the height shrinks by more than twice the pixels that
            the width does, as Pillow does from 13 on.
    """

    def __init__(self, size: tuple[int, ...], mode: str, max_size: int | None, may_go_down_first: bool) -> None:
        super().__init__(size, mode, max_size, True)
        self.may_go_down_first = may_go_down_first

    def forward(self, image: Tensor) -> Tensor:
        height, width = self.sides(image.shape[-2], image.shape[-1])
        fewer_rows, fewer_columns = image.shape[-2] - height, image.shape[-1] - width
        if holds(fewer_rows == 0) and holds(fewer_columns == 0):
            return image
        if not self.may_go_down_first or holds(fewer_rows <= 0) or holds(fewer_rows <= 2 * fewer_columns):
            return resize_bytes(image, height, width, self.mode, True, "pillow", False)
        down_first = resize_bytes(image, height, width, self.mode, True, "pillow", True)
        if holds(fewer_rows > 0) and holds(fewer_rows > 2 * fewer_columns):
            return down_first
        across_first = resize_bytes(image, height, width, self.mode, True, "pillow", False)
        rows, columns = torch.full([], fewer_rows), torch.full([], fewer_columns)
        mostly_in_height = (rows > 0) & (rows > 2 * columns)
        return torch.where(mostly_in_height.to(image.device), down_first, across_first)
