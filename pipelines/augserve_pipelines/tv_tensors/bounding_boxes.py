"""Bounding boxes, upright or rotated, with the format of their coordinates and the size of their canvas."""

from __future__ import annotations

from enum import Enum
from typing import Any, Literal, TypeAlias

import torch

from augserve_pipelines.errors import InvalidInput
from augserve_pipelines.tv_tensors.tv_tensor import TVTensor

__all__ = ["BoundingBoxFormat", "BoundingBoxes", "ClampingMode", "is_rotated_bounding_format"]

ClampingMode: TypeAlias = Literal["soft", "hard"] | None


class BoundingBoxFormat(Enum):
    """What the numbers of a bounding box are; the angle ``R`` is in degrees, counter-clockwise in the image.

    * ``XYXY``: the upper left and the lower right corner.
    * ``XYWH``: the upper left corner, width and height.
    * ``CXCYWH``: the centre, width and height.
    * ``XYWHR``: the corner that was the upper left one before the rotation, width, height and angle.
    * ``CXCYWHR``: the centre, width, height and angle.
    * ``XYXYXYXY``: the corners that were the upper left, upper right, lower right and lower left one before that.

    ``BoundingBoxFormat(x)`` takes a name in any case or a member, torchvision's included.
    """

    XYXY = "XYXY"
    XYWH = "XYWH"
    CXCYWH = "CXCYWH"
    XYWHR = "XYWHR"
    CXCYWHR = "CXCYWHR"
    XYXYXYXY = "XYXYXYXY"

    @classmethod
    def _missing_(cls, value: object) -> BoundingBoxFormat | None:
        name = value.name if isinstance(value, Enum) else value
        return cls.__members__.get(name.upper()) if isinstance(name, str) else None


_ROTATED = frozenset({BoundingBoxFormat.XYWHR, BoundingBoxFormat.CXCYWHR, BoundingBoxFormat.XYXYXYXY})


def is_rotated_bounding_format(format: BoundingBoxFormat | str) -> bool:
    """Whether boxes of this format are rotated.

    Raises:
        ValueError: if it is no format.
    """
    return BoundingBoxFormat(format) in _ROTATED


class BoundingBoxes(TVTensor):
    """Bounding boxes, ``[N, K]``: K is 4, for rotated boxes 5 or, in format ``XYXYXYXY``, 8.

    Args:
        data: anything that ``torch.as_tensor`` takes; one box ``[K]`` becomes ``[1, K]``.
        format: what the K numbers are.
        canvas_size: height and width of the image, in pixels.
        clamping_mode: how transforms clamp boxes that reach out of the image: ``"soft"``, ``"hard"`` (which differs for
            rotated boxes only) or None, not at all.
        dtype: None keeps that of the data. Rotated boxes are floating.
        device: None keeps that of the data.
        requires_grad: None keeps that of the data.

    Raises:
        InvalidInput: for other shapes or modes, or for rotated boxes of integers.
        ValueError: if there is no such format.
    """

    format: BoundingBoxFormat
    canvas_size: tuple[int, int]
    clamping_mode: ClampingMode

    def __new__(
        cls,
        data: Any,
        *,
        format: BoundingBoxFormat | str,
        canvas_size: tuple[int, int],
        clamping_mode: ClampingMode = "soft",
        dtype: torch.dtype | None = None,
        device: torch.device | str | int | None = None,
        requires_grad: bool | None = None,
    ) -> BoundingBoxes:
        tensor = cls._tensor(data, dtype, device, requires_grad)
        if is_rotated_bounding_format(format) and not tensor.is_floating_point():
            raise InvalidInput(f"rotated bounding boxes are floating point tensors, not {tensor.dtype}")
        return cls._of(tensor, format, canvas_size, clamping_mode)

    @classmethod
    def wrap(cls, tensor: torch.Tensor, like: BoundingBoxes, **metadata: Any) -> BoundingBoxes:
        """``tensor`` as boxes, with the metadata of ``like`` where ``metadata`` says nothing else."""
        known = {"format": like.format, "canvas_size": like.canvas_size, "clamping_mode": like.clamping_mode}
        return cls._of(tensor, **{name: metadata.get(name, value) for name, value in known.items()})

    @classmethod
    def _of(
        cls, tensor: torch.Tensor, format: Any, canvas_size: tuple[int, int], clamping_mode: ClampingMode
    ) -> BoundingBoxes:
        if tensor.ndim not in (1, 2):
            raise InvalidInput(f"bounding boxes have 1 or 2 dimensions, [N, K], not {tensor.ndim}")
        if clamping_mode not in (None, "hard", "soft"):
            raise InvalidInput(f"clamping_mode must be None, 'hard' or 'soft', not {clamping_mode!r}")
        boxes = (tensor.unsqueeze(0) if tensor.ndim == 1 else tensor).as_subclass(cls)
        boxes.format = BoundingBoxFormat(format)
        boxes.canvas_size = (canvas_size[0], canvas_size[1])
        boxes.clamping_mode = clamping_mode
        return boxes

    def __repr__(self, *, tensor_contents: Any = None) -> str:  # type: ignore[override]  # the stub lacks the parameter
        return self._described(format=self.format, canvas_size=self.canvas_size, clamping_mode=self.clamping_mode)
