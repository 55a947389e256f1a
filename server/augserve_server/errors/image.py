"""One image cannot be answered, or what came with it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal

from augserve_server.errors.base import ServiceError
from augserve_server.errors.wording import LONGEST_REASON, listed, short


class ImageError(ServiceError):
    """One image cannot be answered."""

    status = 422
    slug = "image-invalid"
    title = "Image invalid"

    def __init__(self, detail: str, **members: Any) -> None:
        super().__init__(detail, **{"field": "image", **members})


class ImageTooLarge(ImageError):
    """The image is over a limit: found on its header, before anything is decoded."""

    status = 413
    slug = "image-too-large"
    title = "Image too large"

    Measure = Literal["bytes", "pixels", "side", "frames", "metadata", "segments", "scans"]
    _SENTENCES: ClassVar[Mapping[str, str]] = {
        "bytes": "the image has {} bytes; at most {} are allowed",
        "pixels": "the image has {} pixels; at most {} are allowed",
        "side": "the image is {} pixels along one side; at most {} are allowed",
        "frames": "the image has {} frames or pages; at most {} are allowed",
        "metadata": "the image has {} bytes of metadata; at most {} are allowed",
        "segments": "the image's header is in {} or more pieces; fewer than {} are allowed",
        "scans": "the JPEG has {} scans; at most {} are allowed",
    }

    def __init__(self, measure: Measure, value: int, limit: int) -> None:
        super().__init__(self._SENTENCES[measure].format(value, limit), measure=measure, value=value, limit=limit)


class FormatNotAllowed(ImageError):
    """The bytes are not an image of an allowed format, or of a variant of one that is not decoded."""

    status = 415
    slug = "format-not-allowed"
    title = "Image format not allowed"

    def __init__(self, found: str, allowed: Sequence[str], field: str = "image") -> None:
        """``found`` completes the sentence "the image is ..."."""
        detail = f"the {field} is {found}; allowed: {listed(allowed)}"
        super().__init__(detail, field=field, value=short(found), allowed=list(allowed))


class ImageTruncated(ImageError):
    """The image ends before it is complete."""

    slug = "image-truncated"
    title = "Image truncated"

    def __init__(self, format: str) -> None:
        super().__init__(f"the {format} image ends before it is complete", format=format)


class ImageCorrupt(ImageError):
    """The image's bytes do not decode."""

    slug = "image-corrupt"
    title = "Image corrupt"

    def __init__(self, format: str, reason: str = "its data cannot be decoded") -> None:
        super().__init__(f"the {format} image is corrupt: {reason}", format=format)


class ImageUnsuitable(ImageError):
    """The pipeline cannot run on this image, such as a crop that is larger than it."""

    slug = "image-unsuitable"
    title = "Image unsuitable for the pipeline"


class ClipTooLarge(ImageError):
    """The clip is over a limit: found while it is read, before most of it is decoded."""

    status = 413
    slug = "clip-too-large"
    title = "Clip too large"

    ClipMeasure = Literal["frames", "seconds"]
    _SENTENCES: ClassVar[Mapping[str, str]] = {
        "frames": "the clip has {} frames or more; at most {} are allowed",
        "seconds": "the clip took more than {} seconds to decode; at most {} are allowed",
    }

    def __init__(self, measure: ClipMeasure, value: float, limit: float) -> None:
        detail = self._SENTENCES[measure].format(value, limit)
        super().__init__(detail, field="clip", measure=measure, value=value, limit=limit)


class ClipInvalid(ImageError):
    """The clip does not decode to frames of one size."""

    slug = "clip-invalid"
    title = "Clip invalid"

    def __init__(self, reason: str, **members: Any) -> None:
        """``reason`` completes the sentence "the clip ..."."""
        super().__init__(f"the clip {reason}", **{"field": "clip", **members})


class TargetTooLarge(ImageError):
    """Boxes, masks, keypoints or labels are over a limit."""

    status = 413
    slug = "target-too-large"
    title = "Target too large"

    TargetMeasure = Literal["bytes", "rows"]

    def __init__(self, field: str, measure: TargetMeasure, value: int, limit: int) -> None:
        detail = f"{field} have {value} {measure}; at most {limit} are allowed"
        super().__init__(detail, field=field, measure=measure, value=value, limit=limit)


class TargetInvalid(ImageError):
    """Boxes, masks, keypoints or labels are not what they should be."""

    slug = "target-invalid"
    title = "Target invalid"

    def __init__(self, field: str, reason: str, **members: Any) -> None:
        """``reason`` completes the sentence "<field>: ..."."""
        super().__init__(f"{field}: {short(reason, LONGEST_REASON)}", field=field, **members)


class RecordInvalid(ImageError):
    """The record cannot be replayed, or not on what came with it."""

    slug = "record-invalid"
    title = "Record invalid"

    def __init__(self, reason: str, **members: Any) -> None:
        """``reason`` completes the sentence "the record ..."."""
        super().__init__(f"the record {short(reason, LONGEST_REASON)}", field="record", **members)
