"""What new pixels are filled with: one value, one a channel, or nothing in particular."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

from torch import Tensor

from augserve_pipelines.arguments import shown
from augserve_pipelines.errors import InvalidInput
from augserve_pipelines.frames import IntArray
from augserve_pipelines.parameters import for_kind

__all__ = ["Color", "check_color", "image_color", "values_of"]

Color: TypeAlias = float | Sequence[float] | None


def image_color(fill: Any) -> Color:
    """What a Fill says for images."""
    color: Color = for_kind(fill, Tensor)
    return color


def values_of(color: Color) -> list[float]:
    """One value for all channels, or one for each; nothing in particular is 0."""
    if color is None:
        return [0.0]
    return [float(value) for value in color] if isinstance(color, Sequence) else [float(color)]


def check_color(color: Color, channels: IntArray) -> None:
    """Check that a list of values has one value, or one for each channel.

    Raises:
        InvalidInput: it has another number of values than some sample has channels.
    """
    values = values_of(color)
    unlike = channels[channels != len(values)]
    if len(values) > 1 and len(unlike):
        raise InvalidInput(
            f"fill {shown(values)} has {len(values)} values for an image of {unlike[0]} channels: "
            "it takes one value, or one for each channel"
        )
