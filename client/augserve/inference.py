"""Calls over the Open Inference Protocol: their items as tensors, with the binary extension."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from augserve.inputs import Source
from augserve.parcels import Parcel
from augserve.requests import Call, Request, segment
from augserve.wire import CLIP_PART, FRAME_PART, IMAGE_PART, SAFETENSORS, Buffer, media_type_options, oip
from augserve.wire.oip import names

PIXEL_PARTS = {IMAGE_PART: names.IMAGE, CLIP_PART: names.CLIP, FRAME_PART: names.FRAMES}
"""The input that each part with pixels goes in."""


def build_inference(call: Call, parcels: Sequence[Parcel], portion: range) -> Request:
    """The request for one portion of a call's items, which all have one kind of pixels; reads those that are paths.

    Raises:
        OSError: A path cannot be read.
    """
    own = parcels[portion.start : portion.stop]
    outputs = [oip.RequestedOutput(name) for name in _outputs(call, own)]
    inputs = [_pixels(own), *_targets(own)]
    parameters = _parameters(call, own)
    if call.seed_of_each is None:
        parameters[names.SEED_KEY] = call.first_seed(portion.start)
    else:
        inputs.append(_seeds(call, portion))
    request = oip.InferRequest(call.pipeline, parameters=parameters, inputs=inputs, outputs=outputs)
    message = oip.write_request(request)
    return Request("POST", f"/v2/models/{segment(call.pipeline)}/infer", {}, message.headers, b"".join(message.buffers))


def is_dense(call: Call, parcels: Sequence[Parcel]) -> bool:
    """Whether results are nothing but pixels, as arrays or tensors: they come in one block."""
    return call.form != "bytes" and not in_parts(call, parcels)


def in_parts(call: Call, parcels: Sequence[Parcel]) -> bool:
    """Whether results are more than pixels."""
    return call.params or not all(parcel.is_image for parcel in parcels)


def _outputs(call: Call, parcels: Sequence[Parcel]) -> list[str]:
    if is_dense(call, parcels):
        wanted = [names.PIXELS, names.SHAPES]  # the pixels first: they lie where the head ends, which is aligned
    elif call.form == "bytes":
        wanted = [names.ENCODED, *_target_names(parcels), *([names.RECIPE] if call.params else [])]
    else:
        wanted = [names.ENCODED]
    return [*wanted, names.STATUS, names.PROBLEMS]


def _parameters(call: Call, parcels: Sequence[Parcel]) -> dict[str, oip.Scalar]:
    dense = is_dense(call, parcels)
    media_type = call.media_type if call.form == "bytes" else None if dense else SAFETENSORS
    found: dict[str, oip.Scalar | None] = {
        "on_error": "fill",
        "views": call.views,
        "dtype": call.dtype,
        "wire": call.wire,
        "format": media_type,
        "quality": call.quality,
        "params": call.params or None,
        names.RAGGED: names.RAGGED_LIST if dense else None,
    }
    return {name: value for name, value in found.items() if value is not None}


def _pixels(parcels: Sequence[Parcel]) -> oip.Tensor:
    rows = [[_joined(source) for name, source in parcel.parts if name in PIXEL_PARTS] for parcel in parcels]
    part = parcels[0].pixel_part
    assert part is not None  # only replays have targets alone
    name = PIXEL_PARTS[part]
    if name != names.FRAMES:
        return oip.Tensor(name, oip.BYTES, (len(rows),), [only for (only,) in rows])
    longest = max(map(len, rows))
    filled = [frame for row in rows for frame in [*row, *[b""] * (longest - len(row))]]
    return oip.Tensor(name, oip.BYTES, (len(rows), longest), filled)


def _targets(parcels: Sequence[Parcel]) -> Iterator[oip.Tensor]:
    for name in _target_names(parcels):
        sources = [parcel.part(names.TARGETS[name]) for parcel in parcels]
        options = next(media_type_options(source.media_type) for source in sources if source is not None)
        elements = [b"" if source is None else _joined(source) for source in sources]
        yield oip.Tensor(name, oip.BYTES, (len(elements),), elements, dict(options))


def _seeds(call: Call, portion: range) -> oip.Tensor:
    seeds = np.array([call.first_seed(i) for i in portion], "<i8")
    return oip.Tensor(names.SEED, "INT64", seeds.shape, seeds.tobytes())


def _target_names(parcels: Sequence[Parcel]) -> list[str]:
    """The targets that some of them have."""
    return [name for name, part in names.TARGETS.items() if any(parcel.part(part) for parcel in parcels)]


def _joined(source: Source) -> Buffer:
    buffers = source.read()
    return buffers[0] if len(buffers) == 1 else b"".join(buffers)
