"""The names of tensors and parameters, as clients know them too, and what a configuration calls this server."""

from __future__ import annotations

from typing import Final

from augserve.wire.oip.names import (
    CLIP,
    CLIP_INPUTS,
    CONTENT_TYPE_KEY,
    DATATYPE_KEY,
    ENCODED,
    ERRORS,
    FAILED_KEY,
    FINGERPRINT_KEY,
    FINISH_KEY,
    FRAMES,
    IMAGE,
    IMAGE_RAW,
    OUTPUTS,
    PIXEL_INPUTS,
    PIXELS,
    PROBLEMS,
    RAGGED,
    RAGGED_LIST,
    RAGGED_PAD,
    RECIPE,
    SEED,
    SEED_KEY,
    SHAPES,
    STATUS,
    TARGETS,
    TIMING_KEY,
)

__all__ = [
    "BACKEND",
    "CLIP",
    "CLIP_INPUTS",
    "CONTENT_TYPE_KEY",
    "DATATYPE_KEY",
    "ENCODED",
    "ERRORS",
    "FAILED_KEY",
    "FINGERPRINT_KEY",
    "FINISH_KEY",
    "FRAMES",
    "IMAGE",
    "IMAGE_RAW",
    "OUTPUTS",
    "PIXELS",
    "PIXEL_INPUTS",
    "PLATFORM",
    "PROBLEMS",
    "RAGGED",
    "RAGGED_LIST",
    "RAGGED_PAD",
    "RECIPE",
    "SEED",
    "SEED_KEY",
    "SHAPES",
    "STATUS",
    "TARGETS",
    "TIMING_KEY",
]

PLATFORM: Final = "augserve_pipeline"
BACKEND: Final = "augserve"
