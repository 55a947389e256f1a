"""Widen images on each side, by a constant or by their own pixels."""

import torch
import torch.nn.functional as F
from torch import Tensor

from augserve_pipelines.scripting.form import Form

__all__ = ["Pad", "pad"]


def pad(image: Tensor, sides: list[int], fill: list[float], mode: str) -> Tensor:
    """Pad ``[..., C, H, W]`` by ``sides``, which are left, top, right and bottom; negative ones crop.

    ``fill`` has one value, or one for each channel, and is for the mode constant.
    """
    check_padding(sides, image.shape[-2], image.shape[-1], mode)
    left, top, right, bottom = sides
    if mode != "constant":
        rows = _places(top, bottom, image.shape[-2], mode, image.device)
        columns = _places(left, right, image.shape[-1], mode, image.device)
        return image.index_select(-2, rows).index_select(-1, columns)
    padded = F.pad(image, [left, right, top, bottom], value=fill[0] if len(fill) == 1 else 0.0)
    if len(fill) == 1 or max(sides) <= 0:
        return padded
    color = torch.tensor(fill, device=image.device).to(image.dtype).reshape(-1, 1, 1)
    rows = _inside(top, bottom, image.shape[-2], image.device)
    columns = _inside(left, right, image.shape[-1], image.device)
    return torch.where(rows.unsqueeze(1) & columns, padded, color)


def check_padding(sides: list[int], height: int, width: int, mode: str) -> None:
    """Check that something is left of an image, and that it is large enough to be mirrored.

    Raises:
        ValueError: it is not.
    """
    left, top, right, bottom = sides
    _check_axis(width, left, right, mode)
    _check_axis(height, top, bottom, mode)


def _check_axis(size: int, before: int, after: int, mode: str) -> None:
    kept = size + min(before, 0) + min(after, 0)
    if kept < 1:
        raise ValueError("the padding leaves nothing of the image")
    if mode == "reflect" and max(before, after) > size - 1:
        raise ValueError("the padding is too wide for the image to be mirrored into it")
    if mode == "symmetric" and max(before, after) > kept:
        raise ValueError("the padding is too wide for the image to be mirrored into it")


def _places(before: int, after: int, size: int, mode: str, device: torch.device) -> Tensor:
    """Which line of the image each line of the result is."""
    places = torch.arange(-before, size + after, device=device)
    if mode == "edge":
        return places.clamp(0, size - 1)
    skipped = 0 if mode == "reflect" else 1
    places = torch.where(places < 0, -skipped - places, places)
    return torch.where(places >= size, 2 * (size - 1) + skipped - places, places)


def _inside(before: int, after: int, size: int, device: torch.device) -> Tensor:
    places = torch.arange(-before, size + after, device=device)
    return (places >= 0) & (places < size)


class Pad(Form):
    """See the transform. ``sides`` are left, top, right and bottom."""

    def __init__(self, sides: list[int], fill: list[float], padding_mode: str) -> None:
        super().__init__()
        self.sides = sides
        self.fill = fill
        self.padding_mode = padding_mode

    def forward(self, image: Tensor) -> Tensor:
        return pad(image, self.sides, self.fill, self.padding_mode)
