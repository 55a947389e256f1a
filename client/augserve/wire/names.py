"""The names on the wire: headers, media types and the fixed limits of the protocol."""

from __future__ import annotations

from typing import Final

SEED_HEADER: Final = "Augserve-Seed"
PIPELINE_HEADER: Final = "Augserve-Pipeline"
FINGERPRINT_HEADER: Final = "Augserve-Fingerprint"
COUNT_HEADER: Final = "Augserve-Count"
FAILED_HEADER: Final = "Augserve-Failed"
FINISH_HEADER: Final = "Augserve-Finish"
INDEX_HEADER: Final = "Augserve-Index"
REQUEST_ID_HEADER: Final = "Augserve-Request-Id"
TIMEOUT_MS_HEADER: Final = "Augserve-Timeout-Ms"
PRIORITY_HEADER: Final = "Augserve-Priority"
"""``interactive`` or ``bulk``: whether work waits for other work."""

JPEG: Final = "image/jpeg"
PNG: Final = "image/png"
WEBP: Final = "image/webp"
NPY: Final = "application/x-npy"
SAFETENSORS: Final = "application/vnd.safetensors"
MULTIPART: Final = "multipart/mixed"
JSON: Final = "application/json"
PROBLEM: Final = "application/problem+json"
OCTETS: Final = "application/octet-stream"

IMAGE_MEDIA_TYPES: Final = (JPEG, PNG, WEBP)
TENSOR_MEDIA_TYPES: Final = (NPY, SAFETENSORS)

REPLAY_PATH: Final = "/v1/replay"
PARAMS_QUERY: Final = "params"
"""Whether results come with the record of what was done to them: ``true`` or ``false``."""

WIRE_QUERY: Final = "wire"
"""What results travel as: ``uint8``, with what is left to do in FINISH_HEADER; absent: as they are."""

IMAGE_PART: Final = "image"
"""One image, in a form and in an answer in parts. Also the tensor of a result that has a safetensors file alone."""

CLIP_PART: Final = "clip"
"""An animated image or an encoded video file; all its frames are one sample."""

FRAME_PART: Final = "frame"
"""One encoded frame of a clip, in a form and in an answer; those that stand in a row are one clip."""

BOXES_PART: Final = "boxes"
MASKS_PART: Final = "masks"
KEYPOINTS_PART: Final = "keypoints"
LABELS_PART: Final = "labels"
TARGET_PARTS: Final = (BOXES_PART, MASKS_PART, KEYPOINTS_PART, LABELS_PART)
"""What may come with an image, and goes back transformed beside it. In safetensors the tensors have the same names."""

RECORD_PART: Final = "record"
"""The record of an augmentation, in JSON: on the way out where ``params`` is true, on the way in to replay it."""

TENSOR_NAME: Final = "images"
"""Name of the one tensor in a safetensors answer to plain images."""

BOXES_FORMAT_KEY: Final = "boxes_format"
CLAMPING_MODE_KEY: Final = "clamping_mode"
CANVAS_SIZE_KEY: Final = "canvas_size"
RECORD_KEY: Final = "record"
"""Keys of the metadata of a safetensors answer."""

RECORD_VERSION: Final = 1
"""What ``version`` says in a record."""

SEED_LIMIT: Final = 2**63
"""Seeds are 0 <= seed < SEED_LIMIT."""

MAX_VIEWS: Final = 64
"""Views of one image are 1..MAX_VIEWS."""

DEFAULT_QUALITY: Final = 90
"""Quality of JPEG and WebP answers, 1..100."""

TIMEOUT_MS_LIMIT: Final = 600_000
"""A client's deadline is 1..TIMEOUT_MS_LIMIT milliseconds."""
