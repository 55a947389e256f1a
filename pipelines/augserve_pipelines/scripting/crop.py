"""Windows of images: any, the middle, the corners, and random ones."""

import math

import torch
from torch import Tensor, nn

from augserve_pipelines.scripting.draws import integer, log_uniform, uniform
from augserve_pipelines.scripting.form import Form
from augserve_pipelines.scripting.pad import pad
from augserve_pipelines.scripting.resize import resize
from augserve_pipelines.scripting.sizes import greatest, half_to_even, holds, nearest

Five = tuple[Tensor, Tensor, Tensor, Tensor, Tensor]
Ten = tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]


def center_crop(image: Tensor, height: int, width: int) -> Tensor:
    """The middle of ``[..., C, H, W]``; zeros where the image is smaller."""
    rows, columns = image.shape[-2], image.shape[-1]
    if holds(rows >= height) and holds(columns >= width):
        top, left = half_to_even(rows - height), half_to_even(columns - width)
        return image.narrow(-2, top, height).narrow(-1, left, width)
    down, across = _middle(rows, height, image.device), _middle(columns, width, image.device)
    window = image.index_select(-2, down.clamp(0, rows - 1)).index_select(-1, across.clamp(0, columns - 1))
    inside = ((down >= 0) & (down < rows)).unsqueeze(1) & (across >= 0) & (across < columns)
    return torch.where(inside, window, torch.zeros_like(window))


def _middle(outer: int, inner: int, device: torch.device) -> Tensor:
    """Which lines of an image its middle has; those before the first and after the last are missing."""
    start = half_to_even(greatest(outer - inner, 0)) - greatest(inner - outer, 0) // 2
    return torch.arange(inner, device=device) + start


def five_crop(image: Tensor, height: int, width: int) -> Five:
    """The corners and the middle of an image.

    Raises:
        ValueError: the image is smaller than that.
    """
    down, across = image.shape[-2] - height, image.shape[-1] - width
    if down < 0 or across < 0:
        raise ValueError(f"a crop of {height} x {width} is larger than the image")
    upper, lower = image.narrow(-2, 0, height), image.narrow(-2, down, height)
    return (
        upper.narrow(-1, 0, width),
        upper.narrow(-1, across, width),
        lower.narrow(-1, 0, width),
        lower.narrow(-1, across, width),
        center_crop(image, height, width),
    )


class CenterCrop(Form):
    """See the transform."""

    def __init__(self, height: int, width: int) -> None:
        super().__init__()
        self.height = height
        self.width = width

    def forward(self, image: Tensor) -> Tensor:
        return center_crop(image, self.height, self.width)


class FiveCrop(Form):
    """See the transform."""

    def __init__(self, height: int, width: int) -> None:
        super().__init__()
        self.height = height
        self.width = width

    def forward(self, image: Tensor) -> Five:
        return five_crop(image, self.height, self.width)


class TenCrop(Form):
    """See the transform."""

    def __init__(self, height: int, width: int, vertical_flip: bool) -> None:
        super().__init__()
        self.height = height
        self.width = width
        self.dim = -2 if vertical_flip else -1

    def forward(self, image: Tensor) -> Ten:
        a, b, c, d, e = five_crop(image, self.height, self.width)
        f, g, h, i, j = five_crop(image.flip(self.dim), self.height, self.width)
        return a, b, c, d, e, f, g, h, i, j


class Stacked(Form):
    """Lay the crops of one image along one more dimension, in front of the channels."""

    def __init__(self, crops: nn.Module) -> None:
        super().__init__()
        self.crops = crops

    def forward(self, image: Tensor) -> Tensor:
        return torch.stack(self.crops(image), -4)


class RandomCrop(Form):
    """See the transform. ``sides`` are what is added at the left, the top, the right and the bottom."""

    def __init__(
        self, size: tuple[int, int], sides: list[int], pad_if_needed: bool, fill: list[float], padding_mode: str
    ) -> None:
        super().__init__()
        self.size = size
        self.sides = sides
        self.pad_if_needed = pad_if_needed
        self.fill = fill
        self.padding_mode = padding_mode

    def forward(self, image: Tensor) -> Tensor:
        height, width = self.size
        left, top, right, bottom = self.sides
        if self.pad_if_needed:
            rows = max(height - (image.shape[-2] + top + bottom), 0)
            columns = max(width - (image.shape[-1] + left + right), 0)
            left, top, right, bottom = left + columns, top + rows, right + columns, bottom + rows
        if left != 0 or top != 0 or right != 0 or bottom != 0:
            image = pad(image, [left, top, right, bottom], self.fill, self.padding_mode)
        down, across = image.shape[-2] - height, image.shape[-1] - width
        if down < 0 or across < 0:
            raise ValueError(f"a window of {height} x {width} is larger than the padded image")
        top = integer(0, down + 1) if down > 0 else 0
        left = integer(0, across + 1) if across > 0 else 0
        return image.narrow(-2, top, height).narrow(-1, left, width)

    def settled(self) -> None:
        return None


class RandomResizedCrop(Form):
    """See the transform."""

    def __init__(
        self,
        size: tuple[int, int],
        scale: tuple[float, float],
        ratio: tuple[float, float],
        mode: str,
        antialias: bool,
    ) -> None:
        super().__init__()
        self.size = size
        self.scale = scale
        self.ratio = ratio
        low, high = torch.log(torch.tensor(ratio)).tolist()
        self.log_ratio = (low, high)
        self.mode = mode
        self.antialias = antialias

    def forward(self, image: Tensor) -> Tensor:
        top, left, height, width = self.window(image.shape[-2], image.shape[-1])
        window = image.narrow(-2, top, height).narrow(-1, left, width)
        return resize(window, self.size[0], self.size[1], self.mode, self.antialias)

    def window(self, rows: int, columns: int) -> tuple[int, int, int, int]:
        for _ in range(10):
            area = (rows * columns) * uniform(self.scale[0], self.scale[1])
            ratio = log_uniform(self.log_ratio[0], self.log_ratio[1])
            width, height = nearest(math.sqrt(area * ratio)), nearest(math.sqrt(area / ratio))
            if 0 < width <= columns and 0 < height <= rows:
                top = integer(0, rows - height + 1)
                left = integer(0, columns - width + 1)
                return top, left, height, width
        return self.fallback(rows, columns)

    def fallback(self, rows: int, columns: int) -> tuple[int, int, int, int]:
        height, width = rows, columns
        ratio = columns / rows
        if ratio < min(self.ratio[0], self.ratio[1]):
            height = nearest(width / min(self.ratio[0], self.ratio[1]))
        elif ratio > max(self.ratio[0], self.ratio[1]):
            width = nearest(height * max(self.ratio[0], self.ratio[1]))
        if height < 1 or width < 1:
            raise ValueError("no window of the given ratio has pixels")
        return (rows - height) // 2, (columns - width) // 2, height, width

    def settled(self) -> None:
        return None
