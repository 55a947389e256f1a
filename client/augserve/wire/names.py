"""The names on the wire: headers, media types and the fixed limits of the protocol."""

from __future__ import annotations

from typing import Final

SEED_HEADER: Final = "Augserve-Seed"
PIPELINE_HEADER: Final = "Augserve-Pipeline"
FINGERPRINT_HEADER: Final = "Augserve-Fingerprint"
COUNT_HEADER: Final = "Augserve-Count"
FAILED_HEADER: Final = "Augserve-Failed"
INDEX_HEADER: Final = "Augserve-Index"
REQUEST_ID_HEADER: Final = "Augserve-Request-Id"
TIMEOUT_MS_HEADER: Final = "Augserve-Timeout-Ms"

JPEG: Final = "image/jpeg"
PNG: Final = "image/png"
WEBP: Final = "image/webp"
NPY: Final = "application/x-npy"
SAFETENSORS: Final = "application/vnd.safetensors"
MULTIPART: Final = "multipart/mixed"
JSON: Final = "application/json"
PROBLEM: Final = "application/problem+json"

IMAGE_MEDIA_TYPES: Final = (JPEG, PNG, WEBP)
TENSOR_MEDIA_TYPES: Final = (NPY, SAFETENSORS)

IMAGE_PART: Final = "image"
"""Name of the multipart/form-data field that carries one image, and of the image in an answer in parts."""

CLIP_PART: Final = "clip"
"""An animated image or an encoded video file; all its frames are one sample."""

FRAME_PART: Final = "frame"
"""One encoded frame of a clip; those that stand in a row are one clip."""

BOXES_PART: Final = "boxes"
MASKS_PART: Final = "masks"
KEYPOINTS_PART: Final = "keypoints"
LABELS_PART: Final = "labels"
TARGET_PARTS: Final = (BOXES_PART, MASKS_PART, KEYPOINTS_PART, LABELS_PART)
"""What may come with an image, and goes back transformed beside it."""

RECORD_PART: Final = "record"
"""The record of an augmentation, in JSON: on the way out where ``params`` is true, on the way in to replay it."""

TENSOR_NAME: Final = "images"
"""Name of the tensor in a safetensors answer."""

SEED_LIMIT: Final = 2**63
"""Seeds are 0 <= seed < SEED_LIMIT."""

MAX_VIEWS: Final = 64
"""Views of one image are 1..MAX_VIEWS."""

DEFAULT_QUALITY: Final = 90
"""Quality of JPEG and WebP answers, 1..100."""

TIMEOUT_MS_LIMIT: Final = 600_000
"""A client's deadline is 1..TIMEOUT_MS_LIMIT milliseconds."""
