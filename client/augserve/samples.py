"""What can be given besides a lone image: clips, and samples that have targets."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias, cast

from numpy.typing import NDArray

from augserve.inputs import Image, is_image
from augserve.wire import BoxFormat, ClampingMode

if TYPE_CHECKING:
    from PIL.Image import Image as Picture

    from augserve.torch import Tensor

Values: TypeAlias = "NDArray[Any] | Tensor | Sequence[Any]"
"""Numbers: a numpy array, a torch tensor (torchvision's tv_tensors too) or nested lists."""


@dataclass(frozen=True, slots=True, eq=False)
class Clip:
    """Several frames that are augmented alike; it can be given wherever an image can.

    Its results are arrays and tensors [T, C, h, w]; as bytes, a list of encoded frames.
    """

    frames: Sequence[Image] | NDArray[Any] | Tensor | str | os.PathLike[str] | bytes | bytearray | memoryview
    """
    * a sequence of images of one size, or an array [T, H, W, C] or tensor [T, C, H, W] of uint8
    * the path of an animated image or a video, or the bytes of one
    """


@dataclass(frozen=True, slots=True, eq=False)
class Sample:
    """An image or a clip with its targets, all augmented alike. Coordinates are pixels of the upright image."""

    image: Image | Clip | None
    """None: targets alone, which only ``replay`` takes."""
    boxes: Values | None = None
    """[N, 4], [N, 5] or [N, 8], as their format has it; lists are float32."""
    box_format: BoxFormat | None = None
    """None: what tv_tensors say of themselves, and XYXY of all else."""
    masks: Values | Picture | str | os.PathLike[str] | bytes | None = None
    """[H, W] or [N, H, W] of bool, uint8, int16, int32 or int64; or a PNG or npy file, or its path; a Pillow image's
    stored numbers."""
    keypoints: Values | None = None
    """[..., 2]: x, y; lists are float32."""
    labels: Values | int | None = None
    """Of any shape: a number, one for each box, a row of class scores; listed integers are int64, floats float32."""
    clamping_mode: ClampingMode | None = "soft"
    """Of boxes: how transforms keep them inside the image; None: not at all. tv_tensors say their own."""


Item: TypeAlias = "Image | Clip | Sample"
"""One of what is augmented."""

Items: TypeAlias = "Item | Sequence[Item]"
"""One or several."""


def is_item(value: object) -> bool:
    """Whether ``value`` is one item rather than several."""
    return isinstance(value, Clip | Sample) or is_image(value)


def listed(items: Items) -> list[Item]:
    """The items, also where there is one that stands alone."""
    one = is_item(items) or not isinstance(items, Iterable)
    return [cast("Item", items)] if one else list(cast("Sequence[Item]", items))
