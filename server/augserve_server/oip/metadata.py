"""What a pipeline takes and gives, and what the server is, as documents of the protocol."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from augserve.wire import LABELS_PART, oip
from augserve_server.catalog import Served
from augserve_server.oip.names import (
    BACKEND,
    CLIP,
    ENCODED,
    ERRORS,
    FINGERPRINT_KEY,
    FRAMES,
    IMAGE,
    IMAGE_RAW,
    PIXELS,
    PLATFORM,
    RECIPE,
    SEED,
    SHAPES,
    STATUS,
    TARGETS,
)
from augserve_server.openapi import package_version
from augserve_server.settings import Settings

EXTENSIONS: Final = ("binary_tensor_data", "parameters", "model_configuration", "statistics", "schedule_policy")
CONTROL_EXTENSIONS: Final = ("model_repository", "logging")

_STRING: Final = "TYPE_STRING"


@dataclass(frozen=True, slots=True)
class _Described:
    """A tensor without its first dimension, which counts samples or results."""

    name: str
    datatype: str
    dims: tuple[int, ...]
    optional: bool = True

    @property
    def metadata(self) -> dict[str, Any]:
        return {"name": self.name, "datatype": self.datatype, "shape": [-1, *self.dims]}

    @property
    def data_type(self) -> str:
        return _STRING if self.datatype == oip.BYTES else f"TYPE_{self.datatype}"


def server_document(settings: Settings) -> dict[str, Any]:
    """What the server is; of the protocol's extensions, those that are enabled."""
    extensions = [*EXTENSIONS, *(CONTROL_EXTENSIONS if settings.repository_control else ())]
    extensions += ["system_shared_memory"] if settings.shared_memory else []
    return {"name": "augserve", "version": package_version(), "extensions": extensions}


def metadata_document(served: Served) -> dict[str, Any]:
    """What a pipeline takes and gives; -1 where it depends on the request."""
    return {
        "name": served.name,
        "versions": [str(served.revision)],
        "platform": PLATFORM,
        "inputs": [one.metadata for one in _inputs(served)],
        "outputs": [one.metadata for one in _outputs(served)],
    }


def config_document(served: Served, settings: Settings) -> dict[str, Any]:
    """The same as a model configuration. Shapes there are of one sample: the first dimension is the batch."""
    return {
        "name": served.name,
        "platform": PLATFORM,
        "backend": BACKEND,
        "version_policy": {"latest": {"num_versions": 1}},
        "max_batch_size": settings.max_images,
        "input": [_config_input(one) for one in _inputs(served)],
        "output": [_config_output(one) for one in _outputs(served)],
        "dynamic_batching": {
            "preferred_batch_size": [settings.batch_images],
            "max_queue_delay_microseconds": round(settings.max_wait_ms * 1000),
            "preserve_ordering": False,
        },
        "parameters": {FINGERPRINT_KEY: {"string_value": served.pipeline.fingerprint}},
        "model_transaction_policy": {"decoupled": False},
        "response_cache": {"enable": False},
    }


def _inputs(served: Served) -> list[_Described]:
    accepted, channels = served.accepted, served.pipeline.input.channels
    needed = accepted.needs | ({LABELS_PART} if served.pipeline.batched else frozenset())
    images = [_Described(IMAGE, oip.BYTES, (1,)), _Described(IMAGE_RAW, "UINT8", (channels, -1, -1))]
    clips = [_Described(CLIP, oip.BYTES, (1,)), _Described(FRAMES, oip.BYTES, (-1,))]
    return [
        *(images if accepted.images else ()),
        *(clips if accepted.videos else ()),
        _Described(SEED, "INT64", (1,)),
        *(
            _Described(name, oip.BYTES, (1,), part not in needed)
            for name, part in TARGETS.items()
            if _may_be(served, name)
        ),
    ]


def _may_be(served: Served, name: str) -> bool:
    """Whether a tensor is none of targets that the pipeline refuses."""
    return name not in TARGETS or TARGETS[name] in served.accepted.targets


def _outputs(served: Served) -> list[_Described]:
    signature = served.signature
    sides = tuple(side or -1 for side in (signature.channels, signature.height, signature.width))
    datatype = oip.OF_DTYPE[signature.dtype or "uint8"]
    strings: Sequence[str] = (ERRORS, ENCODED, RECIPE, *TARGETS)
    return [
        *([_Described(PIXELS, datatype, sides)] if served.accepted.images else ()),
        *([_Described(CLIP, datatype, (-1, *sides))] if served.accepted.videos else ()),
        _Described(SHAPES, "INT32", (-1,)),
        _Described(STATUS, "INT32", ()),
        *(_Described(name, oip.BYTES, ()) for name in strings if _may_be(served, name)),
    ]


def _config_input(one: _Described) -> dict[str, Any]:
    return {
        "name": one.name,
        "data_type": one.data_type,
        "format": "FORMAT_NCHW" if one.name == IMAGE_RAW else "FORMAT_NONE",
        "dims": [*one.dims],
        "is_shape_tensor": False,
        "allow_ragged_batch": False,
        "optional": one.optional,
    }


def _config_output(one: _Described) -> dict[str, Any]:
    return {
        "name": one.name,
        "data_type": one.data_type,
        "dims": [*one.dims],
        "label_filename": "",
        "is_shape_tensor": False,
    }
