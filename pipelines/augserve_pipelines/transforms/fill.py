"""What new pixels are filled with: one value, one a channel, or nothing in particular; for each kind of input."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
import PIL.Image
import torch
from numpy.typing import NDArray
from torch import Tensor

from augserve_pipelines.arguments import shown
from augserve_pipelines.dispatch import ALL_KINDS, PIXEL_KINDS
from augserve_pipelines.errors import InvalidInput
from augserve_pipelines.frames import Frames
from augserve_pipelines.parameters import for_kind
from augserve_pipelines.samples import Pending, Sample

__all__ = [
    "Color",
    "ColorArray",
    "Fills",
    "check_color",
    "check_fill",
    "colors",
    "image_color",
    "image_colors",
    "picture_color",
    "pixel_kinds",
    "values_of",
]

Color: TypeAlias = float | Sequence[float] | None
ColorArray: TypeAlias = NDArray[np.object_]  # [N], of Color
Fills: TypeAlias = Color | Mapping[Any, Color]  # of all kinds of input, or by kind


def colors(fill: Fills) -> Iterator[tuple[tuple[type, ...] | None, Color]]:
    """The colors of a fill, each with the kinds of input that it is for; None is all kinds.

    For ``calls()``: ``for kinds, color in colors(self.fill): yield Call(pad, {..., "fill": color}, kinds)``.
    """
    if not isinstance(fill, Mapping):
        yield None, fill
        return
    groups: dict[object, list[type]] = {}
    for kind in ALL_KINDS:
        groups.setdefault(_hashable(for_kind(fill, kind)), []).append(kind)
    for kinds in groups.values():
        yield tuple(kinds), for_kind(fill, kinds[0])


def image_color(fill: Fills) -> Color:
    """What a fill says for images."""
    color: Color = for_kind(fill, Tensor)
    return color


def image_colors(fill: Fills, frames: Frames) -> ColorArray:
    """What a fill says for the image of each sample, by its kind: for ``image()``, where ``calls()`` has ``colors``.

    Raises:
        InvalidInput: a list has neither one value nor one for each channel of the image.
    """
    found: ColorArray = np.fromiter((for_kind(fill, kind) for kind in pixel_kinds(frames)), object, len(frames))
    imaged = frames.channels > 0
    for color, channels in set(zip(map(_hashable, found[imaged]), frames.channels[imaged].tolist(), strict=True)):
        check_color(color, channels)
    return found


def pixel_kinds(frames: Frames) -> list[type]:
    """What the image of each sample is; one that lies alone is a tensor."""
    return [Tensor] * len(frames) if frames.samples is None else [_pixel_kind(sample) for sample in frames.samples]


def picture_color(color: Color, picture: PIL.Image.Image) -> float | tuple[float, ...]:
    """What Pillow is given for a PIL image, as by torchvision: whole numbers but for the mode F.

    Raises:
        InvalidInput: a list has neither one value nor one for each channel.
    """
    channels = len(picture.getbands())
    check_color(color, channels)
    number = float if picture.mode == "F" else int
    values = tuple(number(value) for value in values_of(color))
    if channels == 1 and not isinstance(color, Sequence):
        return values[0]
    return values * channels if len(values) == 1 else values


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


def _hashable(color: Color) -> Color:
    return tuple(color) if isinstance(color, Sequence) else color


def _pixel_kind(sample: Sample) -> type:
    pending = (leaf.kind for leaf in sample.leaves if isinstance(leaf, Pending))
    return next((kind for kind in pending if kind in PIXEL_KINDS), Tensor)
