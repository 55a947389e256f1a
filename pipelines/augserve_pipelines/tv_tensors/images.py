"""Tensors of pixels: images, videos and masks."""

from __future__ import annotations

from typing import Any

import PIL.Image
import torch

from augserve_pipelines.errors import InvalidInput
from augserve_pipelines.tv_tensors.picture import pil_to_tensor
from augserve_pipelines.tv_tensors.tv_tensor import TVTensor

__all__ = ["Image", "Mask", "Video"]


class Image(TVTensor):
    """An image, ``[..., C, H, W]``.

    Args:
        data: a PIL image, or anything that ``torch.as_tensor`` takes; ``[H, W]`` gets a channel dimension.
        dtype: None keeps that of the data.
        device: None keeps that of the data.
        requires_grad: None keeps that of the data.

    Raises:
        InvalidInput: if the data has less than two dimensions.
    """

    def __new__(
        cls,
        data: Any,
        *,
        dtype: torch.dtype | None = None,
        device: torch.device | str | int | None = None,
        requires_grad: bool | None = None,
    ) -> Image:
        pixels = pil_to_tensor(data) if isinstance(data, PIL.Image.Image) else data
        tensor = cls._tensor(pixels, dtype, device, requires_grad)
        if tensor.ndim < 2:
            raise InvalidInput(f"an image has at least 2 dimensions, [..., C, H, W], not {tensor.ndim}")
        return (tensor.unsqueeze(0) if tensor.ndim == 2 else tensor).as_subclass(cls)

    def __repr__(self, *, tensor_contents: Any = None) -> str:  # type: ignore[override]  # the stub lacks the parameter
        return self._described()


class Video(TVTensor):
    """A video, ``[..., T, C, H, W]``.

    Args:
        data: anything that ``torch.as_tensor`` takes.
        dtype: None keeps that of the data.
        device: None keeps that of the data.
        requires_grad: None keeps that of the data.

    Raises:
        InvalidInput: if the data has less than four dimensions.
    """

    def __new__(
        cls,
        data: Any,
        *,
        dtype: torch.dtype | None = None,
        device: torch.device | str | int | None = None,
        requires_grad: bool | None = None,
    ) -> Video:
        tensor = cls._tensor(data, dtype, device, requires_grad)
        if tensor.ndim < 4:
            raise InvalidInput(f"a video has at least 4 dimensions, [..., T, C, H, W], not {tensor.ndim}")
        return tensor.as_subclass(cls)

    def __repr__(self, *, tensor_contents: Any = None) -> str:  # type: ignore[override]  # the stub lacks the parameter
        return self._described()


class Mask(TVTensor):
    """A mask, ``[..., H, W]``: ``[H, W]`` with a class in each pixel, or ``[N, H, W]`` with one mask for each object.

    Args:
        data: a PIL image (``[1, H, W]``), or anything that ``torch.as_tensor`` takes.
        dtype: None keeps that of the data.
        device: None keeps that of the data.
        requires_grad: None keeps that of the data.
    """

    def __new__(
        cls,
        data: Any,
        *,
        dtype: torch.dtype | None = None,
        device: torch.device | str | int | None = None,
        requires_grad: bool | None = None,
    ) -> Mask:
        pixels = pil_to_tensor(data) if isinstance(data, PIL.Image.Image) else data
        return cls._tensor(pixels, dtype, device, requires_grad).as_subclass(cls)
