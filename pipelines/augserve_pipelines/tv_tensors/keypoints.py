"""Points in an image, with the size of their canvas."""

from __future__ import annotations

from typing import Any

import torch

from augserve_pipelines.errors import InvalidInput
from augserve_pipelines.tv_tensors.tv_tensor import TVTensor

__all__ = ["KeyPoints"]


class KeyPoints(TVTensor):
    """Points ``[..., 2]``, x and y of each; leading dimensions group them, as ``[polygons, points, 2]``.

    Args:
        data: anything that ``torch.as_tensor`` takes; one point ``[2]`` becomes ``[1, 2]``.
        canvas_size: height and width of the image, in pixels.
        dtype: None keeps that of the data.
        device: None keeps that of the data.
        requires_grad: None keeps that of the data.

    Raises:
        InvalidInput: if the last dimension is not 2.
    """

    canvas_size: tuple[int, int]

    def __new__(
        cls,
        data: Any,
        *,
        canvas_size: tuple[int, int],
        dtype: torch.dtype | None = None,
        device: torch.device | str | int | None = None,
        requires_grad: bool | None = None,
    ) -> KeyPoints:
        return cls._of(cls._tensor(data, dtype, device, requires_grad), canvas_size)

    @classmethod
    def wrap(cls, tensor: torch.Tensor, like: KeyPoints, **metadata: Any) -> KeyPoints:
        """``tensor`` as keypoints, with the canvas of ``like`` where ``metadata`` has no ``canvas_size``."""
        return cls._of(tensor, metadata.get("canvas_size", like.canvas_size))

    @classmethod
    def _of(cls, tensor: torch.Tensor, canvas_size: tuple[int, int]) -> KeyPoints:
        if tensor.ndim != 1 and tensor.shape[-1:] != (2,):
            raise InvalidInput(f"keypoints have the shape [..., 2], not {list(tensor.shape)}")
        points = (tensor.unsqueeze(0) if tensor.ndim == 1 else tensor).as_subclass(cls)
        points.canvas_size = (canvas_size[0], canvas_size[1])
        return points

    def __repr__(self, *, tensor_contents: Any = None) -> str:  # type: ignore[override]  # the stub lacks the parameter
        return self._described(canvas_size=self.canvas_size)
