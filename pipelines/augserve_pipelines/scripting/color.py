"""Change brightness, contrast, saturation, hue and sharpness, or take the colour out.

Every operation and its order are those of the oracle's arithmetic, so that each rounding is the same.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from augserve_pipelines.scripting.channels import check_channels
from augserve_pipelines.scripting.draws import uniform
from augserve_pipelines.scripting.dtypes import max_value, numbers, to_dtype
from augserve_pipelines.scripting.form import Form, Nothing

__all__ = [
    "Adjust",
    "ColorJitter",
    "Grayscale",
    "KeptGrayscale",
    "Rgb",
    "adjust",
    "adjust_sharpness",
    "to_gray",
]

BRIGHTNESS, CONTRAST, SATURATION, HUE, SHARPNESS = range(5)


def luminance(image: Tensor) -> Tensor:
    """``.2989 R + .587 G + .114 B`` as floats, ``[..., 1, H, W]``."""
    red, green, blue = image.unbind(-3)
    return red.mul(0.2989).add(green, alpha=0.587).add(blue, alpha=0.114).unsqueeze(-3)


def to_gray(image: Tensor, channels: int) -> Tensor:
    """The luminance in as many equal channels."""
    gray = image if image.shape[-3] == 1 else luminance(image).to(image.dtype)
    shape = image.shape[:-3] + (channels,) + image.shape[-2:]  # noqa: RUF005  # TorchScript unpacks no lists
    return gray.expand(shape)


def adjust_brightness(image: Tensor, factor: float) -> Tensor:
    return image.mul(factor).clamp(0, max_value(image.dtype)).to(image.dtype)


def adjust_contrast(image: Tensor, factor: float) -> Tensor:
    gray = image if image.shape[-3] == 1 else _truncated_luminance(image)
    values = gray if gray.is_floating_point() else gray.to(torch.float32)
    return _blended(image, values.mean(dim=(-3, -2, -1), keepdim=True), factor)


def adjust_saturation(image: Tensor, factor: float) -> Tensor:
    return image if image.shape[-3] == 1 else _blended(image, _truncated_luminance(image), factor)


def adjust_hue(image: Tensor, shift: float) -> Tensor:
    if image.shape[-3] == 1:
        return image
    turned = _turned(to_dtype(image, torch.float32, True), shift)
    return to_dtype(turned, image.dtype, True)


def adjust_sharpness(image: Tensor, factor: float) -> Tensor:
    """Blend with a blurred image, but for the outermost pixels (0: blurred, 1: no change)."""
    if image.shape[-1] <= 2 or image.shape[-2] <= 2:
        return image
    channels, dtype = image.shape[-3], image.dtype if image.is_floating_point() else torch.float32
    side, middle = 1.0 / 13.0, 5.0 / 13.0
    taps = [side, side, side, side, middle, side, side, side, side]
    kernel = numbers(taps, dtype, image.device).view(3, 3).expand(channels, 1, 3, 3)
    shape = image.shape
    flat = image.reshape(-1, channels, shape[-2], shape[-1]) if image.ndim > 4 else image
    sharpened = flat.to(dtype, copy=True)  # laid out as the image is, which a later sum of floats may depend on
    blurred = F.conv2d(sharpened, kernel, groups=channels)
    blurred = blurred if image.is_floating_point() else blurred.round()
    inner = sharpened[..., 1:-1, 1:-1]
    inner.add_(blurred.sub(inner), alpha=1.0 - factor)
    return sharpened.clamp_(0, max_value(image.dtype)).to(image.dtype).reshape(shape)


def adjust(image: Tensor, what: int, factor: float) -> Tensor:
    """Adjust brightness (0), contrast (1), saturation (2), hue (3) or sharpness (4)."""
    if what == 0:
        return adjust_brightness(image, factor)
    if what == 1:
        return adjust_contrast(image, factor)
    if what == 2:
        return adjust_saturation(image, factor)
    return adjust_hue(image, factor) if what == 3 else adjust_sharpness(image, factor)


def _truncated_luminance(image: Tensor) -> Tensor:
    gray = luminance(image)
    return gray if image.is_floating_point() else gray.floor()


def _blended(image: Tensor, target: Tensor, factor: float) -> Tensor:
    mixed = image.mul(factor).add(target, alpha=1.0 - factor)
    return mixed.clamp(0, max_value(image.dtype)).to(image.dtype)


def _turned(image: Tensor, shift: float) -> Tensor:
    """A float32 image with its hue turned by ``shift`` of the circle: through HSV and back."""
    red, green, blue = image.unbind(-3)
    value, least = image.amax(-3), image.amin(-3)
    gray, spread = value == least, value - least
    divisor = torch.where(gray, 1.0, spread)
    to_red, to_green, to_blue = (value - red) / divisor, (value - green) / divisor, (value - blue) / divisor
    of_green, of_blue = to_red + 2.0 - to_blue, to_green + 4.0 - to_red
    sixths = torch.where(value == red, to_blue - to_green, torch.where(value == green, of_green, of_blue))
    hue = sixths * (1.0 / 6.0) + 1.0
    hue = hue - hue.floor() + shift
    sixths = (hue - hue.floor()) * 6.0
    sector = sixths.floor()
    saturation = spread / torch.where(gray, 1.0, value)
    along, rest = saturation * (sixths - sector), 1.0 - saturation
    falling = ((1.0 - along) * value).clamp(0.0, 1.0)
    rising = ((along + rest) * value).clamp(0.0, 1.0)
    low = (rest * value).clamp(0.0, 1.0)
    sector = torch.where(sector == 6, 0.0, sector.nan_to_num(nan=4.0))  # where a NaN ends in the oracle on the CPU
    return torch.stack(
        [
            _picked(sector, [value, falling, low, low, rising, value]),
            _picked(sector, [rising, value, value, falling, low, low]),
            _picked(sector, [low, low, rising, value, value, falling]),
        ],
        dim=-3,
    )


def _picked(sector: Tensor, parts: list[Tensor]) -> Tensor:
    picked = parts[0]
    for number in range(1, 6):
        picked = torch.where(sector == number, parts[number], picked)
    return picked


class Grayscale(Form):
    """See the transform."""

    def __init__(self, num_output_channels: int) -> None:
        super().__init__()
        self.num_output_channels = num_output_channels

    def forward(self, image: Tensor) -> Tensor:
        check_channels(image)
        return to_gray(image, self.num_output_channels)


class KeptGrayscale(Form):
    """Take the colour out and keep the number of channels."""

    def forward(self, image: Tensor) -> Tensor:
        check_channels(image)
        return to_gray(image, image.shape[-3])


class Rgb(Form):
    """Make three channels of one."""

    def forward(self, image: Tensor) -> Tensor:
        return to_gray(image, 3) if image.shape[-3] < 3 else image


class Adjust(Form):
    """Adjust one of ``adjust``'s properties by a factor."""

    def __init__(self, what: int, factor: float) -> None:
        super().__init__()
        self.what = what
        self.factor = factor

    def forward(self, image: Tensor) -> Tensor:
        check_channels(image)
        return adjust(image, self.what, self.factor)


class ColorJitter(Form):
    """See the transform. Of brightness, contrast, saturation and hue, ``used`` says which change at all."""

    def __init__(self, used: list[bool], limits: list[tuple[float, float]]) -> None:
        super().__init__()
        self.used = used
        self.limits = limits

    def forward(self, image: Tensor) -> Tensor:
        order = torch.randperm(4)
        factors = [0.0, 0.0, 0.0, 0.0]
        for what in range(4):
            if self.used[what]:
                factors[what] = uniform(self.limits[what][0], self.limits[what][1])
        for place in range(4):
            what = int(order[place].item())
            if self.used[what]:
                check_channels(image)
                image = adjust(image, what, factors[what])
        return image

    def settled(self) -> Form | None:
        places = [what for what in range(4) if self.used[what]]
        if not places:
            return Nothing()
        (low, high), alone = self.limits[places[0]], len(places) == 1
        return Adjust(places[0], float(torch.tensor(low))) if alone and low == high else None  # as drawn: float32
