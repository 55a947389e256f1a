"""The inputs of a request as samples: which tensor is what, and how many samples there are."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from augserve.wire import NPY, SEED_LIMIT, Buffer, oip
from augserve_server.errors import ImageTooLarge, ServiceError, TargetTooLarge, TensorInvalid, TooManyImages
from augserve_server.errors.wording import did_you_mean, listed
from augserve_server.oip.names import FRAMES, IMAGE, IMAGE_RAW, PIXEL_INPUTS, SEED, TARGETS
from augserve_server.uploads import RawImage, SampleLimits, SampleUpload, Target, Upload

INPUTS = (*PIXEL_INPUTS, SEED, *TARGETS)


@dataclass(frozen=True, slots=True)
class Inputs:
    """The samples of a request, the seed of each where they have their own, and what came with them."""

    uploads: Sequence[Upload]
    seeds: Sequence[int] | None
    pixels: str
    """The input that has the pixels."""
    targets: Sequence[str]


def read_inputs(tensors: Sequence[oip.Tensor], channels: int, limits: SampleLimits) -> Inputs:
    """The samples that tensors are. ``channels`` are the pipeline's.

    A sample that is too large is an error in its place. Raises TensorInvalid for tensors that are not as they should
    be, and TooManyImages.
    """
    given = {tensor.name: tensor for tensor in tensors}
    _check_names(given)
    name = _pixel_input(given)
    count = given[name].shape[0] if given[name].shape else 0
    if count > limits.images:
        raise TooManyImages(limits.images)
    targets = [target for target in TARGETS if target in given]
    drafts = _pixels(given[name], channels, limits)
    rows = {target: _strings(given[target], count) for target in targets}
    uploads = [
        _upload(draft, {target: (given[target], rows[target][i]) for target in targets}, limits)
        for i, draft in enumerate(drafts)
    ]
    return Inputs(uploads, _seeds(given[SEED], count) if SEED in given else None, name, targets)


def _check_names(given: Mapping[str, oip.Tensor]) -> None:
    for name in given:
        if name not in INPUTS:
            hint = did_you_mean(name, INPUTS) or ";"
            raise TensorInvalid(name, f"there is no input {name!r}{hint} allowed: {listed(INPUTS)}", allowed=[*INPUTS])


def _pixel_input(given: Mapping[str, oip.Tensor]) -> str:
    found = [name for name in PIXEL_INPUTS if name in given]
    if len(found) != 1:
        detail = f"exactly one of {listed(PIXEL_INPUTS)} is needed; there is {' and '.join(found) or 'none of them'}"
        raise TensorInvalid(IMAGE, detail)
    return found[0]


def _pixels(tensor: oip.Tensor, channels: int, limits: SampleLimits) -> list[Upload]:
    if tensor.name == IMAGE_RAW:
        return [*_raw_images(tensor, channels)]
    if tensor.name == IMAGE and tensor.datatype == "UINT8":
        return [_image(row, limits) for row in _padded_rows(tensor)]
    if tensor.name == FRAMES:
        return [*_frame_rows(tensor, limits)]
    elements = _strings(tensor, tensor.shape[0] if tensor.shape else 1)
    if tensor.name == IMAGE:
        return [_image(element, limits) for element in elements]
    return [_clip(element, limits) for element in elements]


def _raw_images(tensor: oip.Tensor, channels: int) -> Iterator[RawImage]:
    good = len(tensor.shape) == 4 and tensor.shape[1] == channels and min(tensor.shape[2:]) > 0
    if tensor.datatype != "UINT8" or not good:
        raise _wrong(tensor, f"UINT8 of shape [N, {channels}, H, W], no side of 0")
    for pixels in _numbers(tensor):
        yield RawImage(pixels)


def _padded_rows(tensor: oip.Tensor) -> Iterator[memoryview]:
    if len(tensor.shape) != 2:
        raise _wrong(tensor, "BYTES of shape [N] or [N, 1], or UINT8 of shape [N, L]")
    for row in _numbers(tensor):
        yield row.data


def _frame_rows(tensor: oip.Tensor, limits: SampleLimits) -> Iterator[Upload]:
    if tensor.datatype != oip.BYTES or len(tensor.shape) != 2 or not 1 <= tensor.shape[1] <= limits.frames:
        raise _wrong(tensor, f"BYTES of shape [N, T], T from 1 to {limits.frames}")
    assert not isinstance(tensor.data, Buffer)
    length = tensor.shape[1]
    for start in range(0, len(tensor.data), length):
        frames = [bytes(frame) for frame in tensor.data[start : start + length]]
        while len(frames) > 1 and not frames[-1]:  # rows of fewer frames are filled with empty ones
            frames.pop()
        longest = max(map(len, frames))
        too_large = longest > limits.image_bytes
        yield _too_large(longest, limits, "frame") if too_large else SampleUpload(frames=tuple(frames))


def _image(element: Buffer, limits: SampleLimits) -> Upload:
    size = memoryview(element).nbytes
    return ImageTooLarge("bytes", size, limits.image_bytes) if size > limits.image_bytes else bytes(element)


def _clip(element: Buffer, limits: SampleLimits) -> Upload:
    size = memoryview(element).nbytes
    return _too_large(size, limits, "clip") if size > limits.image_bytes else SampleUpload(clip=bytes(element))


def _too_large(size: int, limits: SampleLimits, part: str) -> ServiceError:
    return ImageTooLarge("bytes", size, limits.image_bytes).within(part, part)


def _upload(draft: Upload, given: Mapping[str, tuple[oip.Tensor, Buffer]], limits: SampleLimits) -> Upload:
    """A sample with its targets; an empty element is none."""
    found = {TARGETS[name]: _target(tensor, element) for name, (tensor, element) in given.items() if len(element)}
    if not found or isinstance(draft, ServiceError):
        return draft
    for name, target in found.items():
        if len(target.data) > limits.image_bytes:
            return TargetTooLarge(name, "bytes", len(target.data), limits.image_bytes)
    if isinstance(draft, SampleUpload):
        return SampleUpload(clip=draft.clip, frames=draft.frames, targets=found)
    return SampleUpload(image=draft, targets=found)


def _target(tensor: oip.Tensor, element: Buffer) -> Target:
    """As a part of a form: what npy has no room for, parameters of the tensor say: ``format``, ``clamping_mode``."""
    options = [f"{key}={tensor.parameters[key]}" for key in ("format", "clamping_mode") if key in tensor.parameters]
    data = bytes(element)
    return Target(data, "; ".join([NPY, *options]) if options and data.startswith(b"\x93NUMPY") else "")


def _strings(tensor: oip.Tensor, count: int) -> Sequence[Buffer]:
    if tensor.datatype != oip.BYTES or tensor.shape not in ((count,), (count, 1)):
        raise _wrong(tensor, f"BYTES of shape [{count}] or [{count}, 1]")
    assert not isinstance(tensor.data, Buffer)
    return tensor.data


def _seeds(tensor: oip.Tensor, count: int) -> list[int]:
    if tensor.datatype != "INT64" or tensor.shape not in ((count,), (count, 1)):
        raise _wrong(tensor, f"INT64 of shape [{count}] or [{count}, 1]")
    seeds: list[int] = _numbers(tensor).reshape(-1).tolist()
    if min(seeds, default=0) < 0:
        raise TensorInvalid(SEED, f"input {SEED!r} has {min(seeds)}; allowed: 0 to {SEED_LIMIT - 1}", value=min(seeds))
    return seeds


def _numbers(tensor: oip.Tensor) -> npt.NDArray[Any]:
    """The elements where they lie, or in a copy where they may not be written to: torch takes only what may be."""
    assert isinstance(tensor.data, Buffer)
    dtype = oip.NUMPY[tensor.datatype]
    if not tensor.shape[0]:
        return np.empty([0] * len(tensor.shape), dtype)
    values = np.frombuffer(tensor.data, dtype).reshape(tensor.shape)
    return values if values.flags.writeable else values.copy()


def _wrong(tensor: oip.Tensor, allowed: str) -> TensorInvalid:
    detail = f"input {tensor.name!r} is {tensor.datatype} of shape {list(tensor.shape)}; allowed: {allowed}"
    return TensorInvalid(tensor.name, detail, value=[*tensor.shape], allowed=allowed)
