"""How many channels an image must have."""

from __future__ import annotations

from augserve_pipelines.errors import InvalidInput
from augserve_pipelines.frames import Frames

__all__ = ["check_channels"]

GRAY_OR_RGB = (1, 3)


def check_channels(frames: Frames, name: str) -> None:
    """Check that every sample is gray or RGB; ``name`` is the transform that needs it.

    Raises:
        InvalidInput: one has neither 1 nor 3 channels.
    """
    for channels in frames.channels.tolist():
        if channels not in GRAY_OR_RGB:
            raise InvalidInput(f"{name} takes images of 1 or 3 channels; got one of {channels}")
