"""Arguments of transforms, as their forms take them."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch

from augserve_pipelines.constraints import for_kind

__all__ = [
    "Arguments",
    "center_of",
    "color_of",
    "factors",
    "interval",
    "mode_of",
    "pair",
    "shifts",
    "sides_of",
    "size_of",
    "taps_of",
]

Arguments = Mapping[str, Any]


def size_of(arguments: Arguments) -> tuple[int, int]:
    size = arguments["size"]
    sides = (size,) if isinstance(size, int) else size
    return sides[0], sides[-1]


def taps_of(arguments: Arguments) -> tuple[int, int]:
    across, down = pair(arguments["kernel_size"])
    return int(across), int(down)


def mode_of(arguments: Arguments) -> str:
    mode: str = arguments["interpolation"].value
    return mode


def center_of(arguments: Arguments) -> list[float] | None:
    center = arguments["center"]
    return None if center is None else [float(center[0]), float(center[1])]


def sides_of(padding: int | Sequence[int] | None) -> list[int]:
    """Left, top, right, bottom."""
    given = [padding] if isinstance(padding, int) else list(padding or [0])
    return given * (4 // len(given))


def color_of(arguments: Arguments) -> list[float] | None:
    """What a Fill says for images."""
    color = for_kind(arguments["fill"], torch.Tensor)
    if color is None:
        return None
    return [float(color)] if isinstance(color, int | float) else [float(value) for value in color]


def pair(value: float | Sequence[float]) -> tuple[float, float]:
    values = (value,) if isinstance(value, int | float) else value
    return float(values[0]), float(values[-1])


def interval(value: float | Sequence[float]) -> tuple[float, ...]:
    return (-float(value), float(value)) if isinstance(value, int | float) else tuple(map(float, value))


def factors(value: Any) -> tuple[float, float] | None:
    if value is None:
        return None
    low, high = (max(0.0, 1.0 - value), 1.0 + value) if isinstance(value, int | float) else value
    return None if low == high == 1 else (float(low), float(high))


def shifts(value: Any) -> tuple[float, float] | None:
    if value is None:
        return None
    low, high = interval(value)
    return None if low == high == 0 else (low, high)
