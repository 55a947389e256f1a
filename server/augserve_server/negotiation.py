"""Which media type answers a request: what a pipeline's results can be written as, against the Accept header."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import torch
from torch import Tensor

from augserve import wire
from augserve_pipelines import OutputSignature
from augserve_server.errors import NotAcceptable

IMAGE_TYPES = (wire.JPEG, wire.PNG, wire.WEBP)
TENSOR_TYPES = (wire.NPY, wire.SAFETENSORS)
TYPES = (*IMAGE_TYPES, *TENSOR_TYPES)
MAX_RANGES = 64
MAX_KEPT: Final = 256
"""Longest header whose outcome is remembered: the same few come again and again."""


@dataclass(frozen=True, slots=True)
class MediaRange:
    """One element of Accept: ``image/*;q=0.5``."""

    type: str
    subtype: str
    quality: float

    @property
    def precision(self) -> int:
        """2 for a whole media type, 1 for ``type/*``, 0 for ``*/*``."""
        return (self.type != "*") + (self.subtype != "*")

    def matches(self, media_type: str) -> bool:
        """Whether ``media_type`` lies in this range."""
        kind, subtype = media_type.split("/")
        return self.type in ("*", kind) and self.subtype in ("*", subtype)


def media_types(signature: OutputSignature) -> list[str]:
    """What results of a pipeline can be written as, the default first."""
    if signature.dtype == "uint8" and signature.channels in (None, 1, 3):
        return list(TYPES)
    return [wire.SAFETENSORS] if signature.dtype == "bfloat16" else list(TENSOR_TYPES)


def media_types_of(images: Sequence[Tensor]) -> list[str]:
    """What these images [..., C, H, W] can be written as, the default first."""
    if all(image.dtype == torch.uint8 and image.shape[-3] in (1, 3) for image in images):
        return list(TYPES)
    return [wire.SAFETENSORS] if any(image.dtype == torch.bfloat16 for image in images) else list(TENSOR_TYPES)


def negotiate(accept: str, available: Sequence[str]) -> str:
    """The best of ``available`` (a preference order, the default first) under an Accept header.

    ``multipart/mixed`` by itself accepts any: it is the envelope of several results, not a form of one.
    Raises NotAcceptable, which names what is available.
    """
    return _best(accept, tuple(available)) if len(accept) <= MAX_KEPT else _negotiated(accept, available)


def _negotiated(accept: str, available: Sequence[str]) -> str:
    ranges = parse_accept(accept or "*/*")
    if ranges and all(r.type == "multipart" for r in ranges):
        return available[0]
    ranked = [(*_rank(media_type, ranges), -place, media_type) for place, media_type in enumerate(available)]
    quality, _, _, best = max(ranked)
    if quality <= 0:
        raise NotAcceptable(accept, available)
    return best


_best: Final = lru_cache(256)(_negotiated)


def parse_accept(accept: str) -> list[MediaRange]:
    """The media ranges of an Accept header; what is malformed is left out, and so is all beyond 64 ranges."""
    elements = accept.split(",", MAX_RANGES)[:MAX_RANGES]
    return [found for element in elements if (found := _media_range(element)) is not None]


def _media_range(element: str) -> MediaRange | None:
    name, *parameters = (part.strip().lower() for part in element.split(";"))
    kind, _, subtype = name.partition("/")
    quality = _quality(parameters)
    if not kind or not subtype or quality is None or (kind == "*" and subtype != "*"):
        return None
    return MediaRange(kind, subtype, quality)


def _quality(parameters: Sequence[str]) -> float | None:
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        if name.strip() == "q":
            try:
                quality = float(value)
            except ValueError:
                return None
            return quality if 0 <= quality <= 1 else None
    return 1.0


def _rank(media_type: str, ranges: Sequence[MediaRange]) -> tuple[float, int]:
    matching = [(r.precision, r.quality) for r in ranges if r.matches(media_type)]
    precision, quality = max(matching, default=(0, 0.0))
    return quality, precision
