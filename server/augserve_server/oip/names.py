"""The names of tensors and parameters: what a pipeline is called with in the Open Inference Protocol."""

from __future__ import annotations

from typing import Final

from augserve.wire import BOXES_PART, KEYPOINTS_PART, LABELS_PART, MASKS_PART

IMAGE: Final = "IMAGE"
IMAGE_RAW: Final = "IMAGE_RAW"
CLIP: Final = "CLIP"
FRAMES: Final = "FRAMES"
PIXEL_INPUTS: Final = (IMAGE, IMAGE_RAW, CLIP, FRAMES)
"""Exactly one of these is in a request."""
CLIP_INPUTS: Final = (CLIP, FRAMES)

SEED: Final = "SEED"
TARGETS: Final = {"BOXES": BOXES_PART, "MASKS": MASKS_PART, "KEYPOINTS": KEYPOINTS_PART, "LABELS": LABELS_PART}
"""Inputs, and outputs of the same names, and the part of a form that each element is."""

PIXELS: Final = "PIXELS"
ENCODED: Final = "ENCODED"
SHAPES: Final = "SHAPES"
STATUS: Final = "STATUS"
ERRORS: Final = "ERRORS"
RECIPE: Final = "RECIPE"
OUTPUTS: Final = (PIXELS, CLIP, SHAPES, STATUS, ERRORS, ENCODED, RECIPE, *TARGETS)

PLATFORM: Final = "augserve_pipeline"
BACKEND: Final = "augserve"
FINGERPRINT_KEY: Final = "pipeline_sha256"
SEED_KEY: Final = "seed"
FINISH_KEY: Final = "finish"
TIMING_KEY: Final = "server_timing"
FAILED_KEY: Final = "failed"
"""Keys of the parameters of a response."""
