"""Warps: where the pixels of a result lie in the image, and what the image holds there."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

import PIL.Image
import torch
from torch import Tensor
from torch.nn import functional as F

from augserve_pipelines.errors import InvalidInput
from augserve_pipelines.frames import Frames
from augserve_pipelines.interpolation import InterpolationMode
from augserve_pipelines.kernels.launching import launches
from augserve_pipelines.transforms.fill import Color, check_color, picture_color, pixel_kinds, values_of
from augserve_pipelines.transforms.matrices import Affinity, Matrix, Size

__all__ = [
    "affine_points",
    "check_mode",
    "check_warp",
    "float_of",
    "launched",
    "launches_warps",
    "looks",
    "sums_of_products",
    "transformed_picture",
    "warp_affinely",
    "warp_mask",
    "warp_rows",
    "warped",
]

KERNEL_DTYPES = (torch.uint8, torch.float32)
TENSOR_MODES = (InterpolationMode.NEAREST, InterpolationMode.BILINEAR)


def warp_affinely(
    image: Tensor, matrices: Sequence[Matrix], size: Size, interpolation: InterpolationMode, fills: Sequence[Color]
) -> Tensor:
    """``[n, ..., C, H, W]`` to ``[n, ..., C, *size]``; row ``i`` by the inverse ``matrices[i]``, from the middle."""
    image_size = image.shape[-2], image.shape[-1]
    if launches_warps(image):
        half = torch.tensor([0.5 * image_size[1], 0.5 * image_size[0]])
        return launched(image, torch.tensor(matrices) / half[:, None], size, interpolation, fills)
    theta = torch.tensor(matrices, dtype=float_of(image), device=image.device)  # [n, 2, 3]
    return warp_rows(image, lambda rows: affine_points(theta[rows], image_size, size), size, interpolation, fills)


def launches_warps(image: Tensor) -> bool:
    """Whether images ``[n, ..., C, H, W]`` are warped by our own kernel: one launch for all samples and colours."""
    learned = image.requires_grad and torch.is_grad_enabled()
    return launches(image.device) and image.dtype in KERNEL_DTYPES and bool(image.numel()) and not learned


def launched(
    image: Tensor, steps: Tensor, size: Size, interpolation: InterpolationMode, fills: Sequence[Color]
) -> Tensor:
    """What the kernel makes of ``[n, ..., C, H, W]`` by ``steps``, 6 or 8 numbers for each sample."""
    from augserve_pipelines.kernels import warp_triton  # Triton need not be installed

    return warp_triton.warp(image, steps.reshape(len(image), -1), size, *looks(image, interpolation, fills))


def looks(image: Tensor, interpolation: InterpolationMode, fills: Sequence[Color]) -> tuple[bool, Tensor, Tensor]:
    """For the kernel: whether pixels are picked, whose colour is blended in ``[n]``, and the colours ``[n, C]``."""
    if interpolation not in TENSOR_MODES:
        raise _not_for_tensors(interpolation)
    channels = image.shape[-3]
    values = [values_of(fill) for fill in fills]
    colors = torch.tensor([own * channels if len(own) == 1 else own for own in values])
    blends = torch.tensor([fill is not None for fill in fills])
    return interpolation is InterpolationMode.NEAREST, blends, colors


def warp_rows(
    image: Tensor,
    points: Callable[[slice], Tensor],
    size: Size,
    interpolation: InterpolationMode,
    fills: Sequence[Color],
) -> Tensor:
    """``[n, ..., C, H, W]`` to ``[n, ..., C, *size]``; some rows by their ``points(rows)`` ``[n, *size, 2]``."""
    if len(image) == 1 or (image.is_cuda and all(fill == fills[0] for fill in fills)):
        return warped(image, points(slice(None)), interpolation, fills[0])
    # The points and planes of one sample stay in cache: a photograph of 480 x 640 takes 4.6 ms together with three
    # others, 2.2 ms alone (uint8, nearest, Zen 4).
    result = image.new_empty((*image.shape[:-2], *size))
    for start, fill in enumerate(fills):
        row = slice(start, start + 1)
        result[row] = warped(image[row], points(row), interpolation, fill)
    return result


def warp_mask(kernel: Callable[..., Tensor], mask: Tensor, *arguments: Any, **more: Any) -> Tensor:
    """What a kernel of images makes of masks ``[..., H, W]``, whose numbers are never blended."""
    more["interpolation"] = InterpolationMode.NEAREST
    if mask.ndim > 2:
        return kernel(mask, *arguments, **more)
    return kernel(mask.unsqueeze(0), *arguments, **more).squeeze(0)


def transformed_picture(
    picture: PIL.Image.Image,
    method: PIL.Image.Transform,
    data: Sequence[float],
    interpolation: InterpolationMode | str | int,
    fill: Color,
) -> PIL.Image.Image:
    """A PIL image of the same size, with Pillow's pixels; ``data`` is from points of the result to points of it."""
    mode = InterpolationMode(interpolation).pillow
    return picture.transform(picture.size, method, data, mode, fillcolor=picture_color(fill, picture))


def float_of(image: Tensor) -> torch.dtype:
    """The dtype that an image is sampled in."""
    return image.dtype if image.is_floating_point() else torch.float32


def check_warp(image: Tensor, interpolation: InterpolationMode | str | int, fill: Color) -> InterpolationMode:
    """The mode, and that the fill suits the image.

    Raises:
        InvalidInput: ``fill`` has neither one value nor one for each channel.
    """
    check_color(fill, image.shape[-3])
    return InterpolationMode(interpolation)


def check_mode(mode: InterpolationMode, frames: Frames) -> None:
    """Check that images of these frames can be interpolated so.

    Raises:
        InvalidInput: one is a tensor, and the mode is for PIL images only.
    """
    if mode not in TENSOR_MODES and any(kind is not PIL.Image.Image for kind in pixel_kinds(frames.imaged())):
        raise _not_for_tensors(mode)


def _not_for_tensors(mode: InterpolationMode) -> InvalidInput:
    return InvalidInput(f"interpolation {mode.value!r} is for PIL images; tensors take 'nearest' or 'bilinear'")


def affine_points(theta: Tensor, image_size: Size, size: Size) -> Tensor:
    """Where the pixels of results of ``size`` lie in the image, -1 to 1 from edge to edge: ``[n, *size, 2]``."""
    half = theta.new_tensor([0.5 * image_size[1], 0.5 * image_size[0]])
    y, x = (torch.linspace((1 - n) / 2, (n - 1) / 2, n, device=theta.device).to(theta.dtype) for n in size)
    return sums_of_products(theta.transpose(1, 2) / half, x, y).permute(0, 2, 3, 1)


def sums_of_products(steps: Tensor, x: Tensor, y: Tensor) -> Tensor:
    """``x * steps[:, 0] + y * steps[:, 1] + steps[:, 2]`` at every pixel: ``[n, m, H, W]``.

    torchvision multiplies matrices here, and whether the product's multiplications and additions are rounded one by one
    depends on the processor. Where they are, plain arithmetic gives its bytes in a fifth of the time.

    Args:
        steps: ``[n, 3, m]``.
        x: of the columns, ``[W]``; halves of integers, so exact.
        y: of the rows, ``[H]``.
    """
    if steps.is_cuda or (steps.dtype == torch.float32 and _products_round_each_step()):
        return by_sums(steps, x, y)
    return by_products(steps, x, y)


def by_sums(steps: Tensor, x: Tensor, y: Tensor) -> Tensor:
    """Each operation rounded."""
    across = steps[:, 0, :, None] * x  # [n, m, W]
    down = steps[:, 1, :, None] * y  # [n, m, H]
    points = across[:, :, None, :] + down[:, :, :, None]
    return points.add_(steps[:, 2, :, None, None])


def by_products(steps: Tensor, x: Tensor, y: Tensor) -> Tensor:
    """The same as a product of matrices, sample by sample: of many at once it might be rounded otherwise."""
    pixels = steps.new_ones(1, len(y), len(x), 3)
    pixels[..., 0], pixels[..., 1] = x, y[:, None]
    rows = [pixels.view(1, -1, 3).bmm(row.unsqueeze(0)) for row in steps]
    return torch.cat(rows).view(-1, len(y), len(x), steps.shape[2]).permute(0, 3, 1, 2)


@cache
def _products_round_each_step() -> bool:
    """Whether this processor's float32 products of matrices are what ``by_sums`` gives.

    MKL fuses them on Intel's processors and not on AMD's; torch multiplies small matrices itself.
    """
    theta = torch.tensor([Affinity(33.3, (3, -4), 1.23, (7.7, 11.1)).inverse((1.5, 2.5))]).transpose(1, 2) / 112
    for height, width in ((1, 7), (8, 8), (9, 9), (24, 31), (224, 224), (431, 399)):
        x, y = torch.arange(width) + 0.5, torch.arange(height) + 0.5
        if not torch.equal(by_sums(theta, x, y), by_products(theta, x, y)):
            return False
    return True


def warped(image: Tensor, points: Tensor, interpolation: InterpolationMode, fill: Color) -> Tensor:
    """What ``image`` ``[n, ..., C, H, W]`` holds at ``points`` ``[n, h, w, 2]``: ``[n, ..., C, h, w]``.

    ``fill`` is for points outside the image. As in torchvision, None is zeros that interpolation blends with, while a
    value, 0 too, is blended in by how much of a pixel lies inside, which counts twice at the border.
    """
    if interpolation not in TENSOR_MODES:
        raise _not_for_tensors(interpolation)
    if not image.numel():
        return image.new_empty((*image.shape[:-2], *points.shape[1:3]))
    flat = image.reshape(-1, *image.shape[-3:])
    if len(flat) != len(points):
        points = points.repeat_interleave(len(flat) // len(points), dim=0)
    nearest = interpolation is InterpolationMode.NEAREST
    blends = fill is not None and (not nearest or any(values_of(fill)))  # what lies outside is 0 as it is
    planes = _with_ones(flat, points.dtype) if blends else flat.to(points.dtype)
    result = F.grid_sample(planes, points, mode=interpolation.value, padding_mode="zeros", align_corners=False)
    if blends:
        result = _blended(result, fill, nearest)
    return _rounded(result, image.dtype).reshape(*image.shape[:-2], *points.shape[1:3])


def _with_ones(flat: Tensor, dtype: torch.dtype) -> Tensor:
    """The channels and one more, all ones, which becomes the share of a pixel that lies inside."""
    count, channels, height, width = flat.shape
    planes = flat.new_empty((count, channels + 1, height, width), dtype=dtype)
    planes[:, :-1] = flat
    planes[:, -1] = 1
    return planes


def _blended(sampled: Tensor, fill: Color, nearest: bool) -> Tensor:
    values, inside = sampled[:, :-1], sampled[:, -1:]
    color = sampled.new_tensor(values_of(fill)).view(1, -1, 1, 1)
    if nearest:
        return torch.where(inside < 0.5, color, values)
    return values.sub_(color).mul_(inside).add_(color)


def _rounded(values: Tensor, dtype: torch.dtype) -> Tensor:
    if dtype.is_floating_point:
        return values.to(dtype)
    rounded = values.round_()
    # By way of int32, which wraps alike: torch's float to uint8 takes 81 us for 150,000 values, this 29 (Zen 4).
    return rounded.to(torch.int32).to(dtype) if dtype == torch.uint8 else rounded.to(dtype)
