"""The names of tensors and parameters: what a pipeline is called with in the Open Inference Protocol."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from augserve.wire.names import BOXES_PART, KEYPOINTS_PART, LABELS_PART, MASKS_PART

IMAGE: Final = "IMAGE"
IMAGE_RAW: Final = "IMAGE_RAW"
CLIP: Final = "CLIP"
FRAMES: Final = "FRAMES"
PIXEL_INPUTS: Final = (IMAGE, IMAGE_RAW, CLIP, FRAMES)
"""Exactly one of these is in a request."""

CLIP_INPUTS: Final = (CLIP, FRAMES)

SEED: Final = "SEED"
TARGETS: Final[Mapping[str, str]] = {
    "BOXES": BOXES_PART,
    "MASKS": MASKS_PART,
    "KEYPOINTS": KEYPOINTS_PART,
    "LABELS": LABELS_PART,
}
"""Inputs, and outputs of the same names, and the part of a form that each element is."""

PIXELS: Final = "PIXELS"
ENCODED: Final = "ENCODED"
SHAPES: Final = "SHAPES"
STATUS: Final = "STATUS"
ERRORS: Final = "ERRORS"
PROBLEMS: Final = "PROBLEMS"
RECIPE: Final = "RECIPE"
OUTPUTS: Final = (PIXELS, CLIP, SHAPES, STATUS, ERRORS, PROBLEMS, ENCODED, RECIPE, *TARGETS)

FINGERPRINT_KEY: Final = "pipeline_sha256"
SEED_KEY: Final = "seed"
FINISH_KEY: Final = "finish"
TIMING_KEY: Final = "server_timing"
FAILED_KEY: Final = "failed"
"""Keys of the parameters of a response."""

RAGGED: Final = "ragged"
"""A parameter of requests: what PIXELS are where results differ in shape."""

RAGGED_PAD: Final = "pad"
"""Filled up with zeros to one shape; the default."""

RAGGED_LIST: Final = "list"
"""BYTES: of each result its own bytes, of the type that DATATYPE_KEY names and of the shape in SHAPES."""

DATATYPE_KEY: Final = "datatype"
"""A parameter of PIXELS that are BYTES: the type of their elements."""

CONTENT_TYPE_KEY: Final = "content_type"
"""A parameter of ENCODED: the media type of its elements."""
