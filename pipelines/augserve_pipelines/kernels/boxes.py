"""Bounding boxes of any format, as plain tensors with their metadata or as BoundingBoxes: convert, clamp, sanitize."""

from __future__ import annotations

from typing import Literal, TypeAlias

import torch
from torch import Tensor

from augserve_pipelines.errors import InvalidInput
from augserve_pipelines.kernels import rotated_boxes, rotated_clamp, upright_boxes
from augserve_pipelines.tv_tensors import BoundingBoxes, BoundingBoxFormat, ClampingMode, is_rotated_bounding_format
from augserve_pipelines.tv_tensors.interop import kind_of, like, metadata

__all__ = [
    "ClampingModeOrAuto",
    "clamp_bounding_boxes",
    "convert_bounding_box_format",
    "sanitize_bounding_boxes",
    "valid_bounding_boxes",
]

ClampingModeOrAuto: TypeAlias = ClampingMode | Literal["auto"]


def convert_bounding_box_format(
    inpt: Tensor,
    old_format: BoundingBoxFormat | str | None = None,
    new_format: BoundingBoxFormat | str | None = None,
    inplace: bool = False,
) -> Tensor:
    """The same boxes in another format; boxes that are in it already come back as they are, not copied.

    Args:
        inpt: boxes, or a tensor ``[..., K]`` of their coordinates.
        old_format: the format of a pure tensor; not given for boxes, which know theirs.
        new_format: the format to convert to, rotated where the old one is.
        inplace: whether to write the coordinates into ``inpt``; where the new format has another number of them,
            ``inpt`` stays as it is.

    Raises:
        TypeError: ``new_format`` is missing, or the input is neither boxes nor a pure tensor.
        ValueError: ``old_format`` is given for boxes or missing for a tensor, a format is none, or one of the two
            formats is rotated and the other one is not.
    """
    if new_format is None:
        raise TypeError("convert_bounding_box_format() needs new_format")
    new_format = BoundingBoxFormat(new_format)
    if not _are_boxes(inpt):
        if old_format is None:
            raise InvalidInput("a pure tensor needs old_format")
        return _convert(inpt, BoundingBoxFormat(old_format), new_format, inplace)
    if old_format is not None:
        raise InvalidInput(f"boxes know their format: old_format={old_format!r} must not be given")
    converted = _convert(_plain(inpt), metadata(inpt)["format"], new_format, inplace)
    return like(inpt, converted, format=new_format)


def clamp_bounding_boxes(
    inpt: Tensor,
    format: BoundingBoxFormat | str | None = None,
    canvas_size: tuple[int, int] | None = None,
    clamping_mode: ClampingModeOrAuto = "auto",
) -> Tensor:
    """Boxes cut down to their canvas, as a copy.

    Args:
        inpt: boxes, or a tensor ``[..., K]`` of their coordinates.
        format: the format of a pure tensor; not given for boxes.
        canvas_size: height and width of the image of a pure tensor; not given for boxes.
        clamping_mode: None clamps nothing. ``"hard"`` and ``"soft"`` are the same for upright boxes; rotated ones keep
            their angle and end within the canvas (hard), or are the smallest ones around what is on the canvas (soft).
            ``"auto"`` takes the mode of the boxes; a pure tensor has none.

    Raises:
        TypeError: the input is neither boxes nor a pure tensor.
        ValueError: metadata are given for boxes or missing for a tensor, or the format or the mode is none.
    """
    if clamping_mode not in (None, "soft", "hard", "auto"):
        raise InvalidInput(f"clamping_mode must be 'soft', 'hard', 'auto' or None, not {clamping_mode!r}")
    if not _are_boxes(inpt):
        if format is None or canvas_size is None or clamping_mode == "auto":
            raise InvalidInput("a pure tensor needs format, canvas_size and clamping_mode")
        return _clamp(inpt, BoundingBoxFormat(format), canvas_size, clamping_mode)
    if format is not None or canvas_size is not None:
        raise InvalidInput("boxes know their format and canvas_size: neither must be given")
    own = metadata(inpt)
    mode = own["clamping_mode"] if clamping_mode == "auto" else clamping_mode
    return like(inpt, _clamp(_plain(inpt), own["format"], own["canvas_size"], mode))


def sanitize_bounding_boxes(
    bounding_boxes: Tensor,
    format: BoundingBoxFormat | str | None = None,
    canvas_size: tuple[int, int] | None = None,
    min_size: float = 1.0,
    min_area: float = 1.0,
) -> tuple[Tensor, Tensor]:
    """The boxes that are worth keeping, and which they are: a mask ``[N]`` to pick labels with.

    Args:
        bounding_boxes: boxes, or a tensor ``[N, K]`` of their coordinates.
        format: the format of a pure tensor; not given for boxes.
        canvas_size: height and width of the image of a pure tensor; not given for boxes.
        min_size: boxes that are narrower or lower go, in pixels.
        min_area: boxes that are smaller go, in square pixels.

    Raises:
        ValueError: metadata are given for boxes or missing for a tensor, the format is none, or the input is neither
            boxes nor a pure tensor.
    """
    kind = kind_of(bounding_boxes)
    if kind is torch.Tensor:
        if format is None or canvas_size is None:
            raise InvalidInput(f"a pure tensor needs format and canvas_size, not {format!r} and {canvas_size!r}")
        valid = valid_bounding_boxes(bounding_boxes, BoundingBoxFormat(format), canvas_size, min_size, min_area)
        return bounding_boxes[valid], valid
    if kind is not BoundingBoxes:
        raise InvalidInput(f"expected boxes or a pure tensor, not {type(bounding_boxes).__name__}")
    if format is not None or canvas_size is not None:
        raise InvalidInput("boxes know their format and canvas_size: neither must be given")
    own, plain = metadata(bounding_boxes), _plain(bounding_boxes)
    valid = valid_bounding_boxes(plain, own["format"], own["canvas_size"], min_size, min_area)
    return like(bounding_boxes, plain[valid]), valid


def valid_bounding_boxes(
    boxes: Tensor, format: BoundingBoxFormat, canvas_size: tuple[int, int], min_size: float, min_area: float
) -> Tensor:
    """Which boxes ``[N, K]`` are large enough and lie on their canvas, ``[N]``."""
    rotated = is_rotated_bounding_format(format)
    corners = _convert(boxes, format, BoundingBoxFormat.XYXYXYXY if rotated else BoundingBoxFormat.XYXY, inplace=False)
    width, height = (
        _rotated_size(corners) if rotated else (corners[:, 2] - corners[:, 0], corners[:, 3] - corners[:, 1])
    )
    large_enough = (width >= min_size) & (height >= min_size) & (width * height >= min_area)
    x, y = corners[:, 0::2], corners[:, 1::2]
    within = (corners >= 0).all(1) & (x <= canvas_size[1]).all(1) & (y <= canvas_size[0]).all(1)
    return large_enough & within


def _rotated_size(corners: Tensor) -> tuple[Tensor, Tensor]:
    """Widths and heights of boxes ``[N, 8]`` as torchvision measures them here."""
    x1, y1, x2, y2, x3, y3, x4, _ = corners.unbind(1)
    width = torch.sqrt((x1 - x2).pow(2) + (y1 - y2).pow(2))
    # Not the height: torchvision takes these columns, and which boxes are kept follows it.
    height = torch.sqrt((y2 - y3).pow(2) + (x3 - x4).pow(2))
    return width, height


def _convert(boxes: Tensor, old_format: BoundingBoxFormat, new_format: BoundingBoxFormat, inplace: bool) -> Tensor:
    if old_format is new_format:
        return boxes
    rotated = is_rotated_bounding_format(old_format)
    if rotated is not is_rotated_bounding_format(new_format):
        raise InvalidInput(f"upright and rotated boxes do not convert: {old_format.name} to {new_format.name}")
    converted = (rotated_boxes if rotated else upright_boxes).convert(boxes, old_format, new_format)
    return boxes.copy_(converted) if inplace and converted.shape == boxes.shape else converted


def _clamp(
    boxes: Tensor, format: BoundingBoxFormat, canvas_size: tuple[int, int], clamping_mode: ClampingMode
) -> Tensor:
    if clamping_mode is None:
        return boxes.clone()
    if is_rotated_bounding_format(format):
        return rotated_clamp.clamp(boxes, format, canvas_size, hard=clamping_mode == "hard")
    return upright_boxes.clamp(boxes, format, canvas_size)


def _are_boxes(inpt: Tensor) -> bool:
    """Whether these are boxes, not a pure tensor."""
    kind = kind_of(inpt)
    if kind not in (BoundingBoxes, torch.Tensor):
        raise TypeError(f"expected boxes or a pure tensor, not {type(inpt).__name__}")
    return kind is BoundingBoxes


def _plain(boxes: Tensor) -> Tensor:
    return boxes.as_subclass(Tensor)
