"""Bodies of answers as what was asked for: arrays, tensors or files."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Protocol

import numpy as np

from augserve.augmented import Augmented
from augserve.errors import InvalidInput, ResponseInvalid
from augserve.record import Record
from augserve.requests import Form
from augserve.wire import (
    BOXES_PART,
    FINISH_HEADER,
    FRAME_PART,
    IMAGE_PART,
    KEYPOINTS_PART,
    LABELS_PART,
    MASKS_PART,
    NPY,
    RECORD_PART,
    SAFETENSORS,
    TARGET_PARTS,
    TENSOR_NAME,
    Buffer,
    Finish,
    Metadata,
    Part,
    RawTensor,
    read_archive,
    read_boxes,
    read_keypoints,
    read_labels,
    read_npy,
    read_raw_safetensors,
    write_npy_header,
    write_safetensors,
)
from augserve.wire.dtypes import ELEMENT_TYPES


class Reader(Protocol):
    """Bodies into results. Its methods raise ResponseInvalid or InvalidBody where the body is something else."""

    def one(self, body: Buffer, media_type: str) -> Any:
        """The body of one result."""

    def raw(self, pixels: RawTensor) -> Any:
        """Pixels of one result, or of several in one block."""

    def augmented(self, parts: Sequence[Part]) -> Augmented[Any, Any]:
        """All parts of one result that may have targets."""

    def finishing(self, finish: Finish) -> Reader:
        """The reader for pixels that come as bytes, with this left to do."""


def reader(form: Form, device: Any = None) -> Reader:
    """The reader for results of ``form``, tensors on ``device``.

    Raises:
        ModuleNotFoundError: The form is torch, and torch is not installed.
    """
    if form == "bytes":
        return FileReader()
    if form == "numpy":
        return TensorReader(RawTensor.to_numpy, lambda finish, pixels: finish.to_numpy(pixels))
    try:
        from augserve.torch import finish_tensor, to_tensor
    except ModuleNotFoundError as exc:
        raise ModuleNotFoundError("'torch' is not installed: pip install 'augserve[pipelines]'", name="torch") from exc
    return TensorReader(partial(to_tensor, device=device), finish_tensor)


@dataclass(frozen=True, slots=True)
class TensorReader:
    """Results as arrays or tensors, in the memory they arrived in where that is writable and aligned."""

    convert: Callable[[RawTensor], Any]
    finished: Callable[[Finish, Any], Any]
    finish: Finish | None = None
    """What is left to do with pixels."""

    def finishing(self, finish: Finish) -> TensorReader:
        return replace(self, finish=finish)

    def one(self, body: Buffer, media_type: str) -> Any:
        return self.raw(_read_raw(body, media_type))

    def augmented(self, parts: Sequence[Part]) -> Augmented[Any, Any]:
        part = parts[0]
        if len(parts) > 1 or part.media_type != SAFETENSORS:
            found = ", ".join(part.media_type or "no media type" for part in parts)
            raise ResponseInvalid(f"a result came as {found}, not as one {SAFETENSORS}")
        archive = read_archive(part.body)
        pixels = archive.tensors.get(IMAGE_PART, archive.tensors.get(TENSOR_NAME))
        targets = {name: raw for name, raw in archive.tensors.items() if name in TARGET_PARTS}
        values = {name: self.convert(_own(raw)) for name, raw in targets.items()}
        image = None if pixels is None else self.raw(pixels)
        return _augmented(image, values, values.get(MASKS_PART), Metadata.read(archive.metadata))

    def raw(self, pixels: RawTensor) -> Any:
        values = self.convert(_own(pixels))
        if self.finish is None:
            return values
        if pixels.dtype != "uint8":
            raise ResponseInvalid(f"the answer is of {pixels.dtype}, not of the uint8 that {FINISH_HEADER} is for")
        return self.finished(self.finish, values)


class FileReader:
    """Results as the bytes of a file each."""

    def finishing(self, finish: Finish) -> Reader:
        raise ResponseInvalid("files are as they travel, and these are not finished")

    def one(self, body: Buffer, media_type: str) -> bytes:
        return bytes(body)

    def raw(self, pixels: RawTensor) -> bytes:
        raise ResponseInvalid("the answer is of pixels, and files were asked for")

    def augmented(self, parts: Sequence[Part]) -> Augmented[bytes, Any]:
        if parts[0].media_type == SAFETENSORS:
            return _split(bytes(parts[0].body))
        files = {part.name or IMAGE_PART: bytes(part.body) for part in parts}
        frames = [bytes(part.body) for part in parts if part.name == FRAME_PART]
        boxes = read_boxes(files[BOXES_PART]) if BOXES_PART in files else None
        keypoints = read_keypoints(files[KEYPOINTS_PART]) if KEYPOINTS_PART in files else None
        return Augmented(
            image=frames or files.get(IMAGE_PART),
            boxes=None if boxes is None else boxes.values,
            box_format=None if boxes is None else boxes.format,
            canvas_size=next((target.canvas_size for target in (boxes, keypoints) if target is not None), None),
            masks=files.get(MASKS_PART),
            keypoints=None if keypoints is None else keypoints.values,
            labels=read_labels(files[LABELS_PART]) if LABELS_PART in files else None,
            record=_record(files[RECORD_PART].decode("utf-8", "replace") if RECORD_PART in files else None),
            clamping_mode=None if boxes is None else boxes.clamping_mode,
        )


def _split(file: bytes) -> Augmented[bytes, Any]:
    """A safetensors file as it is, and the targets in it."""
    archive = read_archive(file)
    values = {name: archive.tensors[name].to_numpy().copy() for name in TARGET_PARTS if name in archive.tensors}
    masks = _write(archive.tensors[MASKS_PART], NPY) if MASKS_PART in archive.tensors else None
    return _augmented(file, values, masks, Metadata.read(archive.metadata))


def _augmented(image: Any, values: Mapping[str, Any], masks: Any, metadata: Metadata) -> Augmented[Any, Any]:
    if BOXES_PART in values and metadata.boxes_format is None:
        raise ResponseInvalid("the answer has boxes, and does not say in which format")
    return Augmented(
        image=image,
        boxes=values.get(BOXES_PART),
        box_format=metadata.boxes_format,
        canvas_size=metadata.canvas_size,
        masks=masks,
        keypoints=values.get(KEYPOINTS_PART),
        labels=values.get(LABELS_PART),
        record=_record(metadata.record),
        clamping_mode=metadata.clamping_mode,
    )


def _record(text: str | None) -> Record | None:
    try:
        return None if text is None else Record.from_json(text)
    except InvalidInput as exc:
        raise ResponseInvalid(f"the answer has {exc}") from exc


def _read_raw(body: Buffer, media_type: str) -> RawTensor:
    if media_type == SAFETENSORS:
        tensors = read_raw_safetensors(body)
        if TENSOR_NAME not in tensors:
            raise ResponseInvalid(f"the answer has no tensor {TENSOR_NAME!r}, but {sorted(tensors)}")
        return tensors[TENSOR_NAME]
    if media_type == NPY:
        values = read_npy(body)
        values = np.ascontiguousarray(values, values.dtype.newbyteorder("<"))
        return RawTensor(values.dtype.name, values.shape, values.data.cast("B"))
    raise ResponseInvalid(f"the answer is {media_type or 'of no media type'}, not a tensor")


def _own(raw: RawTensor) -> RawTensor:
    flags = np.frombuffer(raw.data, ELEMENT_TYPES[raw.dtype].numpy).flags
    return raw if flags.writeable and flags.aligned else replace(raw, data=memoryview(bytearray(raw.data)))


def _write(raw: RawTensor, media_type: str) -> bytes:
    if media_type == NPY:
        return write_npy_header(raw.dtype, raw.shape) + bytes(raw.data)
    return b"".join(write_safetensors({TENSOR_NAME: (raw.dtype, raw.shape, raw.data)}))
