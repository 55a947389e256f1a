"""Change every value by itself, or by the values of its channel."""

import torch
from torch import Tensor

from augserve_pipelines.scripting.channels import check_channels
from augserve_pipelines.scripting.dtypes import max_value, to_dtype, value_bits
from augserve_pipelines.scripting.form import Form

__all__ = [
    "Autocontrast",
    "Equalize",
    "Invert",
    "Posterize",
    "Solarize",
    "autocontrast",
    "equalize",
    "invert",
    "posterize",
    "solarize",
]


def invert(image: Tensor) -> Tensor:
    """The negative: ``max - value``."""
    if image.is_floating_point():
        return 1.0 - image
    return image.bitwise_not() if image.dtype == torch.uint8 else image.bitwise_xor(max_value(image.dtype))


def posterize(image: Tensor, bits: int) -> Tensor:
    """Keep the highest ``bits`` of every value; floats are rounded down to ``2**bits`` levels below 1."""
    if image.is_floating_point():
        levels = 1 << bits
        return image.mul(levels).floor().clamp(0, levels - 1).mul(1.0 / levels)
    dropped = value_bits(image.dtype) - bits
    return image if dropped <= 0 else image.bitwise_and(((1 << bits) - 1) << dropped)


def solarize(image: Tensor, threshold: float) -> Tensor:
    """Invert the values from a threshold on.

    Raises:
        ValueError: the threshold is greater than the image's values can be.
    """
    if threshold > max_value(image.dtype):
        raise ValueError(f"the threshold {threshold} is greater than the maximum of the image's dtype")
    return torch.where(image >= threshold, invert(image), image)


def autocontrast(image: Tensor) -> Tensor:
    """Stretch the values of each channel to the whole range; a channel of one value stays as it is."""
    values = image if image.is_floating_point() else image.to(torch.float32)
    least, most = values.amin(dim=(-2, -1), keepdim=True), values.amax(dim=(-2, -1), keepdim=True)
    flat = most == least
    scale = torch.where(flat, 1.0, most.sub(least).mul(1.0 / max_value(image.dtype)))
    least = torch.where(flat, 0.0, least)
    return values.sub(least).div(scale).clamp(0, max_value(image.dtype)).to(image.dtype)


def equalize(image: Tensor) -> Tensor:
    """Spread the values of each channel so that all levels hold about as many pixels; floats by way of uint8."""
    levels = to_dtype(image, torch.uint8, True)
    places = levels.flatten(-2).to(torch.int64)
    shape = levels.shape[:-2] + (256,)  # noqa: RUF005  # TorchScript unpacks no lists
    counts = torch.zeros(shape, dtype=torch.int32, device=image.device)
    counts = counts.scatter_add(-1, places, torch.ones_like(places, dtype=torch.int32))
    up_to = counts.cumsum(-1)
    brightest = counts.gather(-1, up_to.argmax(-1, keepdim=True))
    step = (places.shape[-1] - brightest).div(255, rounding_mode="floor")
    table = (up_to[..., :-1] + step // 2).div(step.clamp(min=1), rounding_mode="floor").clamp(0, 255).to(torch.uint8)
    table = torch.cat([torch.zeros_like(table[..., :1]), table], -1)
    spread = table.gather(-1, places).reshape(levels.shape)
    return to_dtype(torch.where(step.unsqueeze(-1) != 0, spread, levels), image.dtype, True)


class Invert(Form):
    """Make the negative."""

    def forward(self, image: Tensor) -> Tensor:
        return invert(image)


class Posterize(Form):
    """Keep the highest bits."""

    def __init__(self, bits: int) -> None:
        super().__init__()
        self.bits = bits

    def forward(self, image: Tensor) -> Tensor:
        return posterize(image, self.bits)


class Solarize(Form):
    """Invert the values from a threshold on."""

    def __init__(self, threshold: float) -> None:
        super().__init__()
        self.threshold = threshold

    def forward(self, image: Tensor) -> Tensor:
        return solarize(image, self.threshold)


class Autocontrast(Form):
    """Stretch the values of each channel to the whole range."""

    def forward(self, image: Tensor) -> Tensor:
        check_channels(image)
        return autocontrast(image)


class Equalize(Form):
    """Spread the values of each channel."""

    def forward(self, image: Tensor) -> Tensor:
        return equalize(image)
