"""Colours of uint8 images on the CPU, adjusted in place by compiled loops; hue also of floats, and on any device.

``image`` is ``[C, H, W]``, dense in the sense of ``layout.dense``.
"""

from __future__ import annotations

from functools import cache
from types import ModuleType

import numpy as np
import torch
from torch import Tensor

from augserve_pipelines.kernels import layout

_PAIR = 16  # values in two of the vectors in which torch adds up floats with AVX2, and with AVX512 too


def brighten(image: Tensor, factor: float) -> None:
    """Multiply bytes by a factor."""
    _loops().blend(layout.flat(image)[0], np.float32(0.0), *_weights(factor), 0, 0)


def stretch(image: Tensor, factor: float, planar: bool = False) -> None:
    """Blend bytes with their mean luminance: change the contrast.

    ``planar`` says that torchvision has the image channel by channel by now, however it lies here.
    """
    target, weights = np.float32(_mean_luminance(image)), _weights(factor)
    values, interleaved = layout.flat(image)
    first, last = twice_rounded(values.size)
    if not (planar and interleaved):
        _loops().blend(values, target, *weights, first, last)
        return
    channels, places = np.divmod(np.arange(first, last), values.size // len(image))
    places = places * len(image) + channels
    few = values[places]
    _loops().blend(values, target, *weights, 0, 0)
    _loops().blend(few, target, *weights, 0, few.size)
    values[places] = few


def saturate(image: Tensor, factor: float) -> None:
    """Blend bytes with their luminance; one channel stays as it is."""
    if len(image) == 3:
        _loops().saturate(*layout.flat(image), *_weights(factor))


def shift_hue(image: Tensor, shift: float) -> None:
    """Turn the hue of bytes by ``shift`` of the circle; one channel stays as it is."""
    if len(image) == 3:
        _loops().shift_hue(*layout.flat(image), np.float32(shift))


def invert_from(image: Tensor, threshold: float) -> None:
    """Invert the bytes that are not less than the threshold in float32, in which torch compares."""
    first = np.ceil(np.float32(threshold))
    if first <= 255:
        _loops().invert_from(layout.flat(image)[0], np.uint8(max(first, 0.0)))


def gray_bytes(image: Tensor) -> Tensor:
    """The luminance of bytes ``[3, H, W]``, truncated, ``[1, H, W]`` uint8."""
    return _gray(image, torch.uint8)


def shift_hue_floats(image: Tensor, shift: float) -> Tensor:
    """The float32 image ``[..., 3, H, W]`` with its hue turned by ``shift`` of the circle, on any device."""
    if not layout.on_cpu(image, torch.float32) or image.requires_grad:
        return shift_hue_reference(image, shift)
    shifted = image.clone(memory_format=torch.contiguous_format)
    for planes in shifted.view(-1, 3, image.shape[-2] * image.shape[-1]):
        _loops().shift_hue_planes(planes.numpy(), np.float32(shift))
    return shifted


def shift_hue_reference(image: Tensor, shift: float) -> Tensor:
    """The same in torch operations."""
    red, green, blue = image.unbind(-3)
    value, least = image.amax(-3), image.amin(-3)
    is_gray, spread = value == least, value - least
    divisor = torch.where(is_gray, 1.0, spread)
    to_red, to_green, to_blue = ((value - channel) / divisor for channel in (red, green, blue))
    of_green, of_blue = to_red + 2.0 - to_blue, to_green + 4.0 - to_red
    sixths = torch.where(value == red, to_blue - to_green, torch.where(value == green, of_green, of_blue))
    hue = sixths * (1.0 / 6.0) + 1.0
    hue = hue - hue.floor() + shift
    sixths = (hue - hue.floor()) * 6.0
    sector = sixths.floor()
    saturation = spread / torch.where(is_gray, 1.0, value)
    along, rest = saturation * (sixths - sector), 1.0 - saturation
    falling, rising, low = ((part * value).clamp(0.0, 1.0) for part in (1.0 - along, along + rest, rest))
    sector = torch.where(sector == 6, 0.0, sector.nan_to_num(nan=4.0))  # where a NaN ends in torchvision on the CPU
    by_sector = (  # [3, 6]
        (value, falling, low, low, rising, value),
        (rising, value, value, falling, low, low),
        (low, low, rising, value, value, falling),
    )
    return torch.stack([_picked(sector, parts) for parts in by_sector], dim=-3)


def _picked(sector: Tensor, parts: tuple[Tensor, ...]) -> Tensor:
    picked = parts[0]
    for number, part in enumerate(parts[1:], 1):
        picked = torch.where(sector == number, part, picked)
    return picked


def twice_rounded(count: int) -> tuple[int, int]:
    """From where to where torch adds a scaled scalar to ``count`` values in two roundings; in one before and after.

    Found by trial: what does not fill a pair of vectors goes through a plain loop, of which the compiler has fused the
    first value and the last ones, and not those that it takes in fours.
    """
    first = count // _PAIR * _PAIR + 1
    return first, first + max(count - first, 0) // 4 * 4


def _weights(factor: float) -> tuple[np.float32, np.float32]:
    return np.float32(factor), np.float32(1.0 - factor)


def _mean_luminance(image: Tensor) -> float:
    plane = image.to(torch.float32) if len(image) == 1 else _gray(image, torch.float32)
    return plane.mean(dim=(-3, -2, -1)).item()  # torch's own sum: above 2**24 its order can be told from the result


def _gray(image: Tensor, dtype: torch.dtype) -> Tensor:
    plane = torch.empty((1, *image.shape[-2:]), dtype=dtype)
    _loops().gray(*layout.flat(image), plane.view(-1).numpy())
    return plane


@cache
def _loops() -> ModuleType:
    from augserve_pipelines.kernels import color_loops  # half a second for numba, so not before it is needed

    return color_loops
