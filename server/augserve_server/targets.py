"""Boxes, masks, keypoints and labels as they came, to tensors that know what they are."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from math import prod
from typing import Any, Final, TypeAlias, TypeVar

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from augserve import wire
from augserve.wire import BOXES_PART, KEYPOINTS_PART, LABELS_PART, MASKS_PART
from augserve_pipelines import tv_tensors
from augserve_server.errors import ServiceError, TargetInvalid, TargetTooLarge
from augserve_server.headers import Header, ImageLimits
from augserve_server.masks import decode_mask, peek_mask
from augserve_server.uploads import Target

Array: TypeAlias = npt.NDArray[Any]
Size: TypeAlias = tuple[int, int]  # height, width
Read = TypeVar("Read")

JSON_BYTES_A_ROW: Final = 256
"""A box of eight numbers at full precision has 160 in one line."""

COORDINATES: Final = ("float32", "float64", "float16", "int64", "int32")
LABELS: Final = ("int64", "int32", "int16", "int8", "uint8", "bool", "float32", "float64", "float16")


@dataclass(frozen=True, slots=True)
class TargetLimits:
    """Bounds of the targets of one sample; ``image`` those of a mask in PNG."""

    rows: int
    image: ImageLimits


@dataclass(frozen=True, slots=True)
class EncodedMask:
    """A mask in PNG, and what its header says."""

    data: bytes
    header: Header


@dataclass(frozen=True, slots=True, eq=False)
class Targets:
    """The targets of one sample, read and checked but for how they fit their image; a mask in PNG is not decoded."""

    boxes: wire.Boxes | None = None
    masks: Array | EncodedMask | None = None
    keypoints: wire.KeyPoints | None = None
    labels: Array | None = None

    @property
    def is_empty(self) -> bool:
        """Whether there are none."""
        return self.boxes is None and self.masks is None and self.keypoints is None and self.labels is None

    @property
    def mask_count(self) -> int:
        """Pictures that the masks are."""
        if isinstance(self.masks, EncodedMask):
            return 1
        return 0 if self.masks is None else prod(self.masks.shape[:-2])

    @property
    def mask_pixels(self) -> int:
        """Of all masks together."""
        if isinstance(self.masks, EncodedMask):
            return self.masks.header.pixels
        return 0 if self.masks is None else self.masks.size

    def bytes_at(self, pixels: int) -> int:
        """Of all targets, where each mask has so many pixels."""
        boxes = 0 if self.boxes is None else self.boxes.values.nbytes
        keypoints = 0 if self.keypoints is None else self.keypoints.values.nbytes
        labels = 0 if self.labels is None else self.labels.nbytes
        return self._mask_bytes(pixels) + boxes + keypoints + labels

    def with_label(self) -> Targets:
        """The same, with the one label of a list by itself."""
        return replace(self, labels=None if self.labels is None else self.labels.reshape(()))

    def _mask_bytes(self, pixels: int) -> int:
        if isinstance(self.masks, EncodedMask):
            return pixels * np.dtype(np.int32).itemsize
        return 0 if self.masks is None else pixels * prod(self.masks.shape[:-2]) * self.masks.itemsize

    def tensors(self, canvas: Size) -> dict[str, Tensor]:
        """The targets by name, on an upright image of this size. Raises ``TargetInvalid`` and what masks may."""
        return {
            **({} if self.boxes is None else {BOXES_PART: _boxes(self.boxes, canvas)}),
            **({} if self.masks is None else {MASKS_PART: _mask(self.masks, canvas)}),
            **({} if self.keypoints is None else {KEYPOINTS_PART: _keypoints(self.keypoints, canvas)}),
            **({} if self.labels is None else {LABELS_PART: torch.from_numpy(self.labels)}),
        }


def read_targets(given: Mapping[str, Target], limits: TargetLimits) -> Targets:
    """The targets of a sample. Raises ``TargetInvalid``, ``TargetTooLarge`` or what is wrong with a mask in PNG."""
    return Targets(
        boxes=_read(given, BOXES_PART, _read_boxes, limits),
        masks=_read(given, MASKS_PART, _read_masks, limits),
        keypoints=_read(given, KEYPOINTS_PART, _read_keypoints, limits),
        labels=_read(given, LABELS_PART, _read_labels, limits),
    )


def _read(
    given: Mapping[str, Target], name: str, read: Callable[[Target, TargetLimits], Read], limits: TargetLimits
) -> Read | None:
    if name not in given:
        return None
    try:
        return read(given[name], limits)
    except (TargetInvalid, TargetTooLarge):
        raise
    except wire.InvalidBody as exc:
        raise TargetInvalid(name, str(exc)) from exc
    except ServiceError as exc:
        raise exc.within(name, name) from exc


def _read_boxes(target: Target, limits: TargetLimits) -> wire.Boxes:
    _check_json(BOXES_PART, target, limits)
    boxes = wire.read_boxes(target.data, target.content_type)
    _check(BOXES_PART, boxes.values, len(boxes.values), limits, COORDINATES)
    if boxes.values.dtype.kind != "f" and tv_tensors.is_rotated_bounding_format(boxes.format):
        raise TargetInvalid(BOXES_PART, f"rotated boxes are floats, not {boxes.values.dtype}")
    return boxes


def _read_keypoints(target: Target, limits: TargetLimits) -> wire.KeyPoints:
    _check_json(KEYPOINTS_PART, target, limits)
    keypoints = wire.read_keypoints(target.data, target.content_type)
    _check(KEYPOINTS_PART, keypoints.values, _lists(keypoints.values), limits, COORDINATES)
    return keypoints


def _read_labels(target: Target, limits: TargetLimits) -> Array:
    _check_json(LABELS_PART, target, limits)
    labels = wire.read_labels(target.data, target.content_type)
    _check(LABELS_PART, labels, max(_lists(labels), len(labels) if labels.ndim else 1), limits, LABELS)
    return _own(labels)


def _read_masks(target: Target, limits: TargetLimits) -> Array | EncodedMask:
    if not wire.is_npy(target.data, target.content_type):
        return EncodedMask(target.data, peek_mask(target.data, limits.image))
    masks = wire.read_masks(target.data)
    _check(MASKS_PART, masks, len(masks) if masks.ndim == 3 else 1, limits, wire.MASK_DTYPES)
    return masks


def _lists(values: Array) -> int:
    """Innermost lists of an array in JSON, at most: a header of a few bytes can say that there are many empty ones."""
    return prod(max(side, 1) for side in values.shape[:-1])


def _check_json(name: str, target: Target, limits: TargetLimits) -> None:
    """JSON is bounded before it is parsed: a list of numbers takes ten times its bytes."""
    limit = limits.rows * JSON_BYTES_A_ROW
    if len(target.data) > limit and not wire.is_npy(target.data, target.content_type):
        raise TargetTooLarge(name, "bytes", len(target.data), limit)


def _check(name: str, values: Array, rows: int, limits: TargetLimits, dtypes: tuple[str, ...]) -> None:
    if rows > limits.rows:
        raise TargetTooLarge(name, "rows", rows, limits.rows)
    if values.dtype.name not in dtypes:
        raise TargetInvalid(name, f"of {values.dtype}; allowed: {', '.join(dtypes)}", allowed=list(dtypes))


def _boxes(boxes: wire.Boxes, canvas: Size) -> Tensor:
    return tv_tensors.BoundingBoxes(
        torch.from_numpy(_own(boxes.values)),
        format=boxes.format,
        canvas_size=canvas,
        clamping_mode=boxes.clamping_mode,
    )


def _keypoints(keypoints: wire.KeyPoints, canvas: Size) -> Tensor:
    return tv_tensors.KeyPoints(torch.from_numpy(_own(keypoints.values)), canvas_size=canvas)


def _mask(masks: Array | EncodedMask, canvas: Size) -> Tensor:
    numbers = _decoded(masks) if isinstance(masks, EncodedMask) else _own(masks)
    if numbers.shape[-2:] != canvas:
        height, width = numbers.shape[-2:]
        raise TargetInvalid(
            MASKS_PART,
            f"they are {height} x {width} (height x width), and the upright image is {canvas[0]} x {canvas[1]}",
            value=[height, width],
            allowed=list(canvas),
        )
    return tv_tensors.Mask(torch.from_numpy(numbers))


def _decoded(mask: EncodedMask) -> Array:
    try:
        return decode_mask(mask.data, mask.header)
    except TargetInvalid:
        raise
    except ServiceError as exc:
        raise exc.within(MASKS_PART, MASKS_PART) from exc


def _own(values: Array) -> Array:
    """A writable copy in the machine's byte order: what torch takes without a word."""
    return np.array(values, values.dtype.newbyteorder("="), order="C")
