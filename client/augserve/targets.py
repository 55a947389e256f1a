"""Targets as parts of a form: numbers as npy, which is exact, and masks that are files as they are."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from augserve.errors import InvalidInput
from augserve.foreign import is_picture, is_tensor, to_numpy
from augserve.inputs import Source, from_bytes, from_path
from augserve.samples import Sample
from augserve.wire import (
    BOX_COLUMNS,
    NPY,
    NPY_MAGIC,
    PNG,
    Boxes,
    KeyPoints,
    boxes_type,
    check_masks,
    write_npy_header,
)
from augserve.wire.dtypes import ELEMENT_TYPES, flat

Checked = TypeVar("Checked")

_PNG_MAGIC = b"\x89PNG"
# What Pillow holds as numbers rather than colours, and the exact element type of each.
_MASK_MODES = {"1": "bool", "L": "uint8", "P": "uint8", "I": "int32", "I;16": "int32", "I;16B": "int32"}


def read_boxes(sample: Sample) -> Source:
    """The boxes of a sample that has some.

    Raises:
        InvalidInput: They are no boxes of their format, or there is no such format.
    """
    format, clamping_mode = _format(sample), getattr(sample.boxes, "clamping_mode", sample.clamping_mode)
    values = _rows(_array("boxes", sample.boxes, "float32"), BOX_COLUMNS.get(format, 0))
    return _npy(values, boxes_type(_checked(lambda: Boxes(values, format, clamping_mode))))


def read_keypoints(sample: Sample) -> Source:
    """The keypoints of a sample that has some; raises InvalidInput where they are not [..., 2]."""
    values = _rows(_array("keypoints", sample.keypoints, "float32"), 2)
    return _npy(_checked(lambda: KeyPoints(values)).values)


def read_labels(sample: Sample) -> Source:
    """The labels of a sample that has some; raises InvalidInput where they are no numbers."""
    return _npy(_array("labels", sample.labels, None))


def read_masks(sample: Sample) -> Source:
    """The masks of a sample that has some.

    Raises:
        InvalidInput: They are neither of a shape and dtype that masks have, nor a PNG or npy file.
        OSError: They are a path, and there is no such file.
    """
    masks = sample.masks
    if isinstance(masks, str | os.PathLike):
        return from_path(masks, NPY if os.fspath(masks).lower().endswith(".npy") else PNG)
    if isinstance(masks, bytes | bytearray | memoryview):
        return from_bytes(masks, _mask_type(bytes(memoryview(masks)[:8])))
    values = _picture(masks) if is_picture(masks) else _array("masks", masks, None)
    return _npy(_checked(lambda: check_masks(values)))


def _format(sample: Sample) -> Any:
    """The format of the boxes: what was said, or what they say of themselves."""
    own = getattr(sample.boxes, "format", None) if hasattr(sample.boxes, "canvas_size") else None
    own = getattr(own, "value", own)  # an enum of strings
    if own is not None and sample.box_format not in (None, own):
        raise InvalidInput(f"box_format is {sample.box_format!r}, but the boxes say that they are {own}")
    return sample.box_format or own or "XYXY"


def _array(name: str, values: Any, dtype_of_lists: str | None) -> NDArray[Any]:
    """The numbers in ``values``; lists become ``dtype_of_lists``, or int64 and float32 as they hold."""
    if is_tensor(values):
        array = to_numpy(values)
    elif isinstance(values, np.ndarray):
        array = values
    else:
        array = _from_lists(name, values, dtype_of_lists)
    if array.dtype.newbyteorder("<") not in [kind.numpy for kind in ELEMENT_TYPES.values()]:
        raise InvalidInput(f"{name} of {array.dtype} do not travel; they are numbers of 8 to 64 bits, or bool")
    return array


def _from_lists(name: str, values: Any, dtype: str | None) -> NDArray[Any]:
    items = values if isinstance(values, list | tuple) else ()
    parts = [to_numpy(item) if is_tensor(item) else item for item in items]
    try:
        array = np.asarray(parts or values)
    except ValueError as exc:
        raise InvalidInput(f"{name} are not regular: lists at one depth have different lengths") from exc
    if array.dtype.kind not in "biuf":
        raise InvalidInput(f"{name} are numbers: an array, a tensor or lists, not {type(values).__qualname__}")
    if any(isinstance(part, np.ndarray) for part in parts):  # they have an element type
        return array
    return array.astype(dtype or _dtype_of_numbers(array))


def _dtype_of_numbers(array: NDArray[Any]) -> str:
    """What torch makes of Python's numbers; of none, what labels are."""
    if array.size == 0:
        return "int64"
    return "float32" if array.dtype.kind == "f" else array.dtype.name


def _rows(values: NDArray[Any], columns: int) -> NDArray[Any]:
    """An empty list has no columns: here they are."""
    return values.reshape(0, columns) if values.shape == (0,) else values


def _picture(picture: Any) -> NDArray[Any]:
    if picture.mode not in _MASK_MODES:
        raise InvalidInput(f"a Pillow image of mode {picture.mode} is no mask; one of {', '.join(_MASK_MODES)}")
    return np.asarray(picture).astype(_MASK_MODES[picture.mode])


def _mask_type(head: bytes) -> str:
    if head.startswith(_PNG_MAGIC):
        return PNG
    if head.startswith(NPY_MAGIC):
        return NPY
    raise InvalidInput(f"masks as bytes are a PNG or an npy file, not {head!r}...")


def _checked(check: Callable[[], Checked]) -> Checked:
    try:
        return check()
    except ValueError as exc:
        raise InvalidInput(str(exc)) from exc


def _npy(values: NDArray[Any], media_type: str = NPY) -> Source:
    header = write_npy_header(values.dtype.name, values.shape)

    def read() -> list[bytes | memoryview]:
        data = np.ascontiguousarray(values, values.dtype.newbyteorder("<"))
        return [header, flat(data.data)]

    return Source(media_type, len(header) + values.nbytes, read)
