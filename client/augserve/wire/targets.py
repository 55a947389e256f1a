"""Targets on the wire: boxes, keypoints and labels as JSON or npy, masks as npy. What is written can be read again."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal, TypeAlias, TypeVar, get_args

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, NonNegativeInt, ValidationError
from pydantic_core import from_json

from augserve.wire.dtypes import ELEMENT_TYPES, Buffer, InvalidBody, flat
from augserve.wire.names import NPY
from augserve.wire.npy import NPY_MAGIC, read_npy

Array: TypeAlias = npt.NDArray[Any]
BoxFormat: TypeAlias = Literal["XYXY", "XYWH", "CXCYWH", "XYWHR", "CXCYWHR", "XYXYXYXY"]
ClampingMode: TypeAlias = Literal["soft", "hard"]

BOX_COLUMNS: Final[Mapping[str, int]] = {
    "XYXY": 4,
    "XYWH": 4,
    "CXCYWH": 4,
    "XYWHR": 5,
    "CXCYWHR": 5,
    "XYXYXYXY": 8,
}
"""How many numbers a box has in each format; their order is that of torchvision's ``BoundingBoxFormat``."""

MASK_DTYPES: Final = ("bool", "uint8", "int16", "int32", "int64")

_NO_CLAMPING: Final = "none"  # where a mode is a string: in a media type and in metadata
_DTYPES: Final = {name: kind.numpy for name, kind in ELEMENT_TYPES.items() if name != "bfloat16"}


@dataclass(frozen=True, slots=True, eq=False)
class Boxes:
    """Boxes in pixels of the upright image: [N, 4], [N, 5] or [N, 8], as their format has it.

    Raises ``ValueError`` where values and format do not go together.
    """

    values: Array
    format: BoxFormat = "XYXY"
    clamping_mode: ClampingMode | None = "soft"
    canvas_size: tuple[int, int] | None = None
    """Height and width of their image; said in answers."""

    def __post_init__(self) -> None:
        check_format(self.format)
        if self.clamping_mode not in (None, *get_args(ClampingMode)):
            raise ValueError(f"clamping_mode is 'soft', 'hard' or None, not {self.clamping_mode!r}")
        columns = BOX_COLUMNS[self.format]
        if self.values.ndim != 2 or self.values.shape[1] != columns:
            raise ValueError(f"boxes in {self.format} are [N, {columns}], not {list(self.values.shape)}")


@dataclass(frozen=True, slots=True, eq=False)
class KeyPoints:
    """Points x, y in pixels of the upright image: [..., 2].

    Raises ``ValueError`` for another shape.
    """

    values: Array
    canvas_size: tuple[int, int] | None = None
    """Height and width of their image; said in answers."""

    def __post_init__(self) -> None:
        if self.values.ndim == 0 or self.values.shape[-1] != 2:
            raise ValueError(f"keypoints are [..., 2], not {list(self.values.shape)}")


def read_boxes(body: Buffer, content_type: str = "") -> Boxes:
    """Boxes from npy, with ``format`` and ``clamping_mode`` in the media type, or from JSON.

    JSON is a document (``data``, ``format``, ``dtype``, ``clamping_mode``) or a bare list: XYXY, float32.

    Raises:
        InvalidBody: The body is neither, or they are no boxes.
    """
    if is_npy(body, content_type):
        options = media_type_options(content_type)
        clamping_mode = read_clamping_mode(options.get("clamping_mode", "soft"))
        return _boxes(_read_array(body), options.get("format", "XYXY"), clamping_mode, None)
    document = _read_json(body, _BoxesDocument)
    values = document.array("float32")
    if values.size == 0 and values.ndim == 1:
        values = values.reshape(0, BOX_COLUMNS.get(document.format, 4))
    return _boxes(values, document.format, document.clamping_mode, document.canvas_size)


def read_keypoints(body: Buffer, content_type: str = "") -> KeyPoints:
    """Keypoints from npy or JSON: nested lists, float32, or a document with ``data`` and ``dtype``.

    Raises:
        InvalidBody: The body is neither, or they are no points.
    """
    if is_npy(body, content_type):
        values, canvas_size = _read_array(body), None
    else:
        document = _read_json(body, _Document)
        values, canvas_size = document.array("float32"), document.canvas_size
        if values.size == 0 and values.ndim == 1:
            values = values.reshape(0, 2)
    try:
        return KeyPoints(values, canvas_size)
    except ValueError as exc:
        raise InvalidBody(str(exc)) from exc


def read_labels(body: Buffer, content_type: str = "") -> Array:
    """Labels from npy or JSON: a number or nested lists (int64 where all are integers, else float32), or a document.

    Raises:
        InvalidBody: The body is neither.
    """
    return _read_array(body) if is_npy(body, content_type) else _read_json(body, _Document).array(None)


def read_masks(body: Buffer) -> Array:
    """Masks [H, W] or [N, H, W] from npy, of one of :data:`MASK_DTYPES`.

    Raises:
        InvalidBody: The body is no npy, or they are no masks.
    """
    values = _read_array(body)
    try:
        return check_masks(values)
    except ValueError as exc:
        raise InvalidBody(str(exc)) from exc


def check_masks(values: Array) -> Array:
    """The same masks; raises ``ValueError`` for a shape or an element type that masks do not have."""
    if values.dtype.name not in MASK_DTYPES:
        raise ValueError(f"masks are {', '.join(MASK_DTYPES)}, not {values.dtype}")
    if values.ndim not in (2, 3):
        raise ValueError(f"masks are [H, W] or [N, H, W], not {list(values.shape)}")
    return values


def check_format(name: str) -> None:
    """Raise ``ValueError`` unless boxes may have the format ``name``."""
    if name not in BOX_COLUMNS:
        raise ValueError(f"no box format {name!r}; there are {', '.join(BOX_COLUMNS)}")


def write_boxes(boxes: Boxes) -> bytes:
    """The JSON document of boxes."""
    members = {"format": boxes.format, "clamping_mode": boxes.clamping_mode}
    return _write_json(boxes.values, boxes.canvas_size, members)


def write_keypoints(keypoints: KeyPoints) -> bytes:
    """The JSON document of keypoints."""
    return _write_json(keypoints.values, keypoints.canvas_size, {})


def write_labels(labels: Array) -> bytes:
    """The JSON document of labels."""
    return _write_json(labels, None, {})


def boxes_type(boxes: Boxes) -> str:
    """The media type of boxes as npy, which has no room for the rest itself."""
    return f"{NPY}; format={boxes.format}; clamping_mode={write_clamping_mode(boxes.clamping_mode)}"


def read_clamping_mode(text: str) -> ClampingMode | None:
    """The mode that a media type or metadata name; raises InvalidBody for another."""
    if text not in (*get_args(ClampingMode), _NO_CLAMPING):
        raise InvalidBody(f"clamping_mode is soft, hard or {_NO_CLAMPING}, not {text[:80]!r}")
    return None if text == _NO_CLAMPING else text  # type: ignore[return-value]  # the check narrows it


def write_clamping_mode(mode: ClampingMode | None) -> str:
    """The name of the mode in a media type and in metadata."""
    return mode or _NO_CLAMPING


def is_npy(body: Buffer, content_type: str) -> bool:
    """Whether a part is npy: by its media type, or by its first bytes where that says nothing."""
    return content_type.partition(";")[0].strip().lower() == NPY or bytes(flat(body)[: len(NPY_MAGIC)]) == NPY_MAGIC


def media_type_options(content_type: str) -> dict[str, str]:
    """What follows the media type: ``application/x-npy; format=XYWH`` → {"format": "XYWH"}."""
    pairs = (option.partition("=") for option in content_type.split(";")[1:])
    return {name.strip().lower(): value.strip().strip('"') for name, _, value in pairs}


class _Document(BaseModel):
    """Numbers in JSON. null is NaN, and 1e999 infinity: JSON has neither."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    data: Any
    dtype: str | None = None
    canvas_size: tuple[NonNegativeInt, NonNegativeInt] | None = None

    def array(self, default: str | None) -> Array:
        """The numbers as ``dtype``, else as ``default``, else as what they are."""
        return _cast(_read_numbers(self.data), self.dtype or default)


class _BoxesDocument(_Document):
    format: str = "XYXY"
    clamping_mode: ClampingMode | None = "soft"


Document = TypeVar("Document", bound=_Document)


def _read_json(body: Buffer, model: type[Document]) -> Document:
    try:
        value = from_json(bytes(flat(body)), allow_inf_nan=False)
        return model.model_validate(value if isinstance(value, dict) else {"data": value})
    except ValidationError as exc:
        problem = exc.errors(include_url=False, include_input=False, include_context=False)[0]
        place = ".".join(str(part) for part in problem["loc"])
        raise InvalidBody(f"the JSON document is wrong at {place}: {problem['msg']}") from exc
    except ValueError as exc:
        raise InvalidBody(f"not valid JSON: {exc}") from exc


def _read_numbers(data: Any) -> Array:
    try:
        values = np.array(data)
    except (ValueError, OverflowError) as exc:
        raise InvalidBody("data are not a regular array: lists at one depth have different lengths") from exc
    if values.dtype.kind == "O" and all(value is None or isinstance(value, float | int) for value in values.flat):
        values = _as_floats(values)
    if values.dtype.kind not in "biuf":
        raise InvalidBody("data are not numbers alone")
    return values


def _as_floats(values: Array) -> Array:
    try:
        return values.astype(np.float64)
    except OverflowError as exc:
        raise InvalidBody("data have a whole number that is larger than any float64") from exc


def _cast(values: Array, dtype: str | None) -> Array:
    if dtype is None:
        dtype = {"f": "float32", "b": "bool"}.get(values.dtype.kind, "int64") if values.size else "int64"
    if dtype not in _DTYPES:
        raise InvalidBody(f"no element type {dtype[:80]!r} for targets; there are {', '.join(_DTYPES)}")
    with np.errstate(all="ignore"):
        cast = values.astype(_DTYPES[dtype])
    if cast.dtype.kind != "f" and not np.array_equal(cast, values):
        raise InvalidBody(f"not all data are {dtype}")
    return cast


def _read_array(body: Buffer) -> Array:
    values = read_npy(body)
    return np.ascontiguousarray(values, values.dtype.newbyteorder("<")).reshape(values.shape)


def _boxes(values: Array, name: str, clamping_mode: ClampingMode | None, canvas_size: tuple[int, int] | None) -> Boxes:
    try:
        return Boxes(values, name, clamping_mode, canvas_size)  # type: ignore[arg-type]  # it checks the name
    except ValueError as exc:
        raise InvalidBody(str(exc)) from exc


def _write_json(values: Array, canvas_size: Iterable[int] | None, members: Mapping[str, Any]) -> bytes:
    size = {} if canvas_size is None else {"canvas_size": list(canvas_size)}
    document = {**members, "dtype": values.dtype.name, **size, "data": values.tolist()}
    text = json.dumps(document, separators=(",", ":"))
    return text.replace("NaN", "null").replace("Infinity", "1e999").encode()  # in no name, so numbers they are
