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
PROBLEM: Final = "application/problem+json"

IMAGE_MEDIA_TYPES: Final = (JPEG, PNG, WEBP)
TENSOR_MEDIA_TYPES: Final = (NPY, SAFETENSORS)

IMAGE_PART: Final = "image"
"""Name of the multipart/form-data field that carries one image."""

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
