"""What a safetensors answer says about its tensors, as strings."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass

from augserve.wire.dtypes import InvalidBody
from augserve.wire.names import BOXES_FORMAT_KEY, CANVAS_SIZE_KEY, CLAMPING_MODE_KEY, RECORD_KEY
from augserve.wire.targets import (
    BoxFormat,
    ClampingMode,
    check_format,
    read_clamping_mode,
    write_clamping_mode,
)


@dataclass(frozen=True, slots=True)
class Metadata:
    """What there is to say about a result besides its tensors."""

    boxes_format: BoxFormat | None = None
    """None where there are no boxes."""
    clamping_mode: ClampingMode | None = None
    """Of the boxes."""
    canvas_size: tuple[int, int] | None = None
    """Height and width of the image that boxes and keypoints lie on; None where there are neither."""
    record: str | None = None
    """JSON: what was done."""

    def write(self) -> dict[str, str]:
        """The strings that travel."""
        metadata: dict[str, str] = {}
        if self.boxes_format is not None:
            metadata[BOXES_FORMAT_KEY] = self.boxes_format
            metadata[CLAMPING_MODE_KEY] = write_clamping_mode(self.clamping_mode)
        if self.canvas_size is not None:
            metadata[CANVAS_SIZE_KEY] = json.dumps(list(self.canvas_size))
        if self.record is not None:
            metadata[RECORD_KEY] = self.record
        return metadata

    @classmethod
    def read(cls, metadata: Mapping[str, str]) -> Metadata:
        """From the strings that came; others are left alone. Raises InvalidBody for those that cannot be."""
        clamping_mode = metadata.get(CLAMPING_MODE_KEY)
        return cls(
            boxes_format=_format(metadata.get(BOXES_FORMAT_KEY)),
            clamping_mode=None if clamping_mode is None else read_clamping_mode(clamping_mode),
            canvas_size=_canvas_size(metadata.get(CANVAS_SIZE_KEY)),
            record=metadata.get(RECORD_KEY),
        )


def _format(name: str | None) -> BoxFormat | None:
    if name is None:
        return None
    try:
        check_format(name)
    except ValueError as exc:
        raise InvalidBody(str(exc)) from exc
    return name  # type: ignore[return-value]  # the check narrows it


def _canvas_size(text: str | None) -> tuple[int, int] | None:
    if text is None:
        return None
    try:
        height, width = json.loads(text)
        return int(height), int(width)
    except (TypeError, ValueError, RecursionError) as exc:
        raise InvalidBody(f"{CANVAS_SIZE_KEY} is [height, width], not {text[:80]!r}") from exc
