"""Results of several parts as bytes: one safetensors file, or a part for each."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from augserve import wire
from augserve.wire import (
    BOXES_PART,
    FRAME_PART,
    IMAGE_PART,
    JSON,
    KEYPOINTS_PART,
    LABELS_PART,
    MASKS_PART,
    NPY,
    PNG,
    RECORD_PART,
    Buffer,
)
from augserve_pipelines.tv_tensors.interop import metadata
from augserve_server.codecs import encode
from augserve_server.errors import NotAcceptable
from augserve_server.masks import encode_mask, fits_png
from augserve_server.work import Augmented

Body: TypeAlias = list[Buffer]
"""Bytes to send one after another."""

PICTURE_DTYPE, PICTURE_CHANNELS = torch.uint8, (1, 3)


@dataclass(frozen=True, slots=True)
class NamedBody:
    """One part of a result."""

    name: str
    content_type: str
    body: Body


@dataclass(frozen=True, slots=True)
class Several:
    """A result that is sent in several parts."""

    parts: Sequence[NamedBody]


def write_file(result: Augmented) -> Body:
    """The safetensors file of a result: its tensors by name, and what there is to say about them."""
    tensors = {name: raw(leaf) for name, leaf in result.leaves.items()}
    boxes, points = (metadata(result.leaves.get(name)) for name in (BOXES_PART, KEYPOINTS_PART))
    canvas_size = {**points, **boxes}.get("canvas_size")
    about = wire.Metadata(
        boxes_format=boxes["format"].value if boxes else None,
        clamping_mode=boxes["clamping_mode"] if boxes else None,
        canvas_size=_size(canvas_size) if canvas_size else None,
        record=_record(result),
    )
    return wire.write_safetensors(tensors, about.write())


def write_parts(result: Augmented, media_type: str, quality: int) -> Several:
    """The parts of a result, its pixels in ``media_type``. Raises NotAcceptable where they cannot be written so."""
    return Several([*_pixel_parts(result, media_type, quality), *write_targets(result)])


def can_be_picture(image: Tensor) -> bool:
    """Whether an image, or each frame of a clip, can be written as a picture."""
    return image.dtype == PICTURE_DTYPE and image.shape[-3] in PICTURE_CHANNELS


def _pixel_parts(result: Augmented, media_type: str, quality: int) -> Iterator[NamedBody]:
    image = result.leaves.get(IMAGE_PART)
    if image is None:
        return
    pixels = image.as_subclass(Tensor)
    if media_type == NPY:
        yield NamedBody(IMAGE_PART, NPY, _npy(_array(pixels)))
    elif not can_be_picture(pixels):
        raise NotAcceptable(media_type, [NPY, wire.SAFETENSORS])
    elif pixels.ndim == 3:
        yield NamedBody(IMAGE_PART, media_type, [encode(pixels, media_type, quality)])
    else:
        for frame in pixels.flatten(0, -4):
            yield NamedBody(FRAME_PART, media_type, [encode(frame, media_type, quality)])


def write_targets(result: Augmented) -> Iterator[NamedBody]:
    """The parts of a result that are no pixels: its targets, and its record where it has one."""
    leaves = result.leaves
    if BOXES_PART in leaves:
        yield NamedBody(BOXES_PART, JSON, [_boxes(leaves[BOXES_PART])])
    if MASKS_PART in leaves:
        yield _mask_part(_array(leaves[MASKS_PART]))
    if KEYPOINTS_PART in leaves:
        yield NamedBody(KEYPOINTS_PART, JSON, [_keypoints(leaves[KEYPOINTS_PART])])
    if LABELS_PART in leaves:
        yield NamedBody(LABELS_PART, JSON, [wire.write_labels(_array(leaves[LABELS_PART]))])
    if (record := _record(result)) is not None:
        yield NamedBody(RECORD_PART, JSON, [record.encode()])


def _mask_part(mask: npt.NDArray[Any]) -> NamedBody:
    if mask.dtype != np.bool_ and fits_png(mask):
        return NamedBody(MASKS_PART, PNG, [encode_mask(mask)])
    return NamedBody(MASKS_PART, NPY, _npy(mask))


def _boxes(leaf: Tensor) -> bytes:
    said = metadata(leaf)
    if not said:  # ToPureTensor has made plain numbers of them
        return wire.write_labels(_array(leaf))
    boxes = wire.Boxes(_array(leaf), said["format"].value, said["clamping_mode"], _size(said["canvas_size"]))
    return wire.write_boxes(boxes)


def _keypoints(leaf: Tensor) -> bytes:
    said = metadata(leaf)
    return wire.write_keypoints(wire.KeyPoints(_array(leaf), _size(said["canvas_size"]) if said else None))


def _size(size: Sequence[int]) -> tuple[int, int]:
    return int(size[0]), int(size[1])


def _record(result: Augmented) -> str | None:
    return None if result.record is None else json.dumps(result.record.to_json(), separators=(",", ":"))


def raw(leaf: Tensor) -> tuple[str, tuple[int, ...], Buffer]:
    """Element type, shape and bytes of a tensor, in its own memory."""
    tensor = (leaf if type(leaf) is Tensor else leaf.as_subclass(Tensor)).contiguous()
    bits = tensor.view(torch.int16) if tensor.dtype == torch.bfloat16 else tensor  # numpy has no bfloat16
    return str(tensor.dtype).removeprefix("torch."), tuple(tensor.shape), _memory(bits.numpy())


def _array(leaf: Tensor) -> npt.NDArray[Any]:
    values: npt.NDArray[Any] = leaf.as_subclass(Tensor).contiguous().numpy()
    return values


def _npy(values: npt.NDArray[Any]) -> Body:
    return [wire.write_npy_header(values.dtype.name, values.shape), _memory(values)]


def _memory(values: npt.NDArray[Any]) -> Buffer:
    return values.reshape(-1).data.cast("B") if values.size else b""
