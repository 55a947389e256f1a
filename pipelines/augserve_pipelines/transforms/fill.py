"""What new pixels are filled with: one value, one a channel, or nothing in particular."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

import torch
from torch import Tensor

from augserve_pipelines.arguments import shown
from augserve_pipelines.errors import InvalidInput
from augserve_pipelines.parameters import for_kind

__all__ = ["Color", "check_color", "check_fill", "image_color", "values_of"]

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


def check_color(color: Color, channels: int) -> None:
    """Check that a list of values has one value, or one for each channel.

    Raises:
        InvalidInput: it has another number of values.
    """
    values = values_of(color)
    if len(values) not in (1, channels):
        raise InvalidInput(
            f"fill {shown(values)} has {len(values)} values for an image of {channels} channels: "
            "it takes one value, or one for each channel"
        )


def check_fill(color: Color, channels: int, dtype: torch.dtype) -> None:
    """Check the number of values, and that a single one fits the dtype (a list of them is cast).

    Raises:
        InvalidInput: it does not.
    """
    check_color(color, channels)
    values = values_of(color)
    if len(values) > 1 or dtype == torch.bool:
        return
    limits = torch.finfo(dtype) if dtype.is_floating_point else torch.iinfo(dtype)
    if not limits.min <= values[0] <= limits.max:
        name = str(dtype).removeprefix("torch.")
        raise InvalidInput(f"fill {shown(values[0])} does not fit {name}, which holds {limits.min} to {limits.max}")
