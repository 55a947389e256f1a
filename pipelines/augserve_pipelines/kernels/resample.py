"""Resize an image with torchvision's bytes or Pillow's, on any device."""

from __future__ import annotations

import math
from functools import cache, lru_cache
from typing import Literal

import numpy as np
import PIL
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from augserve_pipelines.errors import InvalidInput
from augserve_pipelines.interpolation import InterpolationMode

__all__ = ["AxisTable", "Parity", "axis_table", "check_mode", "down_first", "resample_image", "resize_uint8"]

Parity = Literal["torchvision", "pillow"]

_SMOOTH = (InterpolationMode.BILINEAR, InterpolationMode.BICUBIC, InterpolationMode.LANCZOS)
_OF_TENSORS = (InterpolationMode.NEAREST, InterpolationMode.NEAREST_EXACT, *_SMOOTH)
_EXACT_DTYPES = (torch.float32, torch.float64)
_ROUNDED = (torch.int8, torch.int16, torch.int32, torch.int64)  # uint16 is truncated, as in torchvision
_PILLOW_FILTERS = {
    InterpolationMode.BILINEAR: Image.Resampling.BILINEAR,
    InterpolationMode.BICUBIC: Image.Resampling.BICUBIC,
    InterpolationMode.LANCZOS: Image.Resampling.LANCZOS,
}
_PILLOW_PRECISION = 22  # bits of a weight's fraction
_PILLOW_MAY_GO_DOWN_FIRST = int(PIL.__version__.split(".")[0]) >= 13
_INT16_WEIGHTS = 1 << 15


def resample_image(
    image: Tensor,
    size: tuple[int, int],
    interpolation: InterpolationMode = InterpolationMode.BILINEAR,
    antialias: bool = True,
    parity: Parity = "torchvision",
) -> Tensor:
    """Resize ``[..., C, H, W]`` to ``size`` (height, width), with the bytes of torchvision v2 on the CPU.

    With parity ``"pillow"``, antialiased bilinear, bicubic and lanczos give the bytes of ``PIL.Image.resize`` instead:
    of mode L or RGB for uint8, of mode F for floats.

    Raises:
        InvalidInput: tensors cannot be resized so, or a side would have no pixel.
    """
    if image.shape[-2:] == size and (antialias or interpolation is not InterpolationMode.LANCZOS):
        return image
    check_mode(interpolation, antialias)
    _check_sizes(image, size)
    if not image.numel():
        return image.new_empty((*image.shape[:-2], *size))
    flat = image.unsqueeze(0) if image.ndim == 3 else image.reshape(-1, *image.shape[-3:])
    if parity == "pillow" and antialias and interpolation in _SMOOTH:
        resized = _resize_as_pillow(flat, size, interpolation)
    else:
        resized = _resize_as_torchvision(flat, size, interpolation, antialias and interpolation in _SMOOTH)
    return resized.squeeze(0) if image.ndim == 3 else resized.reshape(*image.shape[:-2], *size)


def check_mode(interpolation: InterpolationMode, antialias: bool) -> None:
    """Check that tensors can be resized so.

    Raises:
        InvalidInput: they cannot; says what can be done.
    """
    if interpolation not in _OF_TENSORS:
        modes = ", ".join(mode.value for mode in _OF_TENSORS)
        raise InvalidInput(f"interpolation {interpolation.value!r} is for PIL images; tensors take {modes}")
    if interpolation is InterpolationMode.LANCZOS and not antialias:
        raise InvalidInput("interpolation 'lanczos' resizes tensors with antialias only: antialias must be true")


def resize_uint8(
    image: Tensor, size: tuple[int, int], interpolation: InterpolationMode, antialias: bool, parity: Parity
) -> Tensor:
    """The integer arithmetic of both: weights in fixed point, uint8 between the passes.

    ``image`` is ``[N, C, H, W]`` uint8 on any device. torch gives its int16 weights the most bits that the greatest of
    them leaves free; Pillow always takes 22. Both go across and then down, but for Pillow from 13 on where the height
    shrinks by more than twice the pixels that the width does. Box and hamming are Pillow's. Nearest-exact is not here:
    torch finds its pixels with one rounding or two, by the layout and the width of the image.
    """
    across = axis_table(image.shape[-1], size[1], interpolation, antialias, parity)
    down = axis_table(image.shape[-2], size[0], interpolation, antialias, parity)
    if down_first(np.array(image.shape[-2:]), np.array(size), parity):
        return _along_width(_along_height(image, down), across)
    return _along_height(_along_width(image, across), down)


def down_first(before: NDArray[np.int64], after: NDArray[np.int64], parity: Parity) -> NDArray[np.bool_]:
    """Whether images of (height, width) ``before``, ``[..., 2]``, are resized down and then across."""
    rows, columns = np.moveaxis(before - after, -1, 0)
    mostly_rows: NDArray[np.bool_] = (rows > 0) & (rows > 2 * columns)
    return mostly_rows & (parity == "pillow" and _PILLOW_MAY_GO_DOWN_FIRST)


def _check_sizes(image: Tensor, size: tuple[int, int]) -> None:
    if image.ndim < 3:
        raise InvalidInput(f"an image has at least 3 dimensions, [..., C, H, W]; this has the shape {[*image.shape]}")
    if min(*size, *image.shape[-2:]) < 1:
        before, after = f"{image.shape[-2]} x {image.shape[-1]}", f"{size[0]} x {size[1]}"
        raise InvalidInput(f"{before} pixels (height x width) cannot become {after}; at least 1 x 1 is needed")


class AxisTable:
    """The taps of one axis: output ``i`` is the rounded sum of ``weights[i, k] * input[starts[i] + k]``."""

    def __init__(self, starts: NDArray[np.int64], weights: NDArray[np.int64], precision: int) -> None:
        self.starts, self.weights, self.precision = starts, weights, precision  # [O], [O, K], bits


@lru_cache(maxsize=1024)
def axis_table(
    extent: int, size: int, interpolation: InterpolationMode, antialias: bool, parity: Parity
) -> AxisTable | None:
    """The table from ``extent`` pixels to ``size``, computed in float64; None where nothing is to be done.

    Any mode but nearest-exact; without antialias nearest, bilinear and bicubic.
    """
    if extent == size:
        return None
    if interpolation is InterpolationMode.NEAREST:
        starts, weights = _nearest(extent, size)
    else:
        starts, weights = (_antialiased if antialias else _plain)(extent, size, interpolation)
    precision = _PILLOW_PRECISION if parity == "pillow" else _int16_precision(weights.max())
    return AxisTable(starts, np.trunc(weights * 2.0**precision + np.copysign(0.5, weights)).astype(np.int64), precision)


def _resize_as_torchvision(
    image: Tensor, size: tuple[int, int], interpolation: InterpolationMode, antialias: bool
) -> Tensor:
    if image.dtype == torch.uint8 and interpolation in _SMOOTH and not _has_native_uint8(image, interpolation):
        return resize_uint8(image, size, interpolation, antialias, "torchvision")
    if image.dtype in _EXACT_DTYPES or image.dtype == torch.uint8:
        return _interpolate(image, size, interpolation, antialias)
    resized = _interpolate(image.float(), size, interpolation, antialias)
    return (resized.round_() if image.dtype in _ROUNDED else resized).to(image.dtype)


def _interpolate(image: Tensor, size: tuple[int, int], interpolation: InterpolationMode, antialias: bool) -> Tensor:
    if interpolation is InterpolationMode.LANCZOS and not (_knows_lanczos() and image.device.type == "cpu"):
        raise InvalidInput(
            f"interpolation 'lanczos' resizes uint8 here, not {image.dtype} on {image.device.type} with torch "
            f"{torch.__version__}: another mode, or resizing before a cast, is needed"
        )
    smooth = interpolation in _SMOOTH
    if image.dtype == torch.uint8 and smooth:
        # 371 us as planes, 138 us as pixels, for 300 x 340 to 224 x 224 on a Zen 4: pixels are what its kernel works on
        image = image.contiguous(memory_format=torch.channels_last)
    return F.interpolate(
        image, size, mode=interpolation.value, align_corners=False if smooth else None, antialias=antialias
    )


def _has_native_uint8(image: Tensor, interpolation: InterpolationMode) -> bool:
    """Whether torch resizes uint8 in the integer arithmetic here: on a CPU with AVX2 or on ARM."""
    if image.device.type != "cpu" or _cpu_capability() in ("DEFAULT", "NO AVX"):
        return False
    return interpolation is not InterpolationMode.LANCZOS or _knows_lanczos()


@cache
def _knows_lanczos() -> bool:
    """Whether this torch has the mode: 2.12 and older ones have not."""
    return hasattr(torch._C._nn, "_upsample_lanczos2d_aa")


@cache
def _cpu_capability() -> str:
    return torch.backends.cpu.get_cpu_capability()


def _resize_as_pillow(image: Tensor, size: tuple[int, int], interpolation: InterpolationMode) -> Tensor:
    if image.dtype == torch.uint8 and image.device.type != "cpu":
        return resize_uint8(image, size, interpolation, True, "pillow")
    resized = [_pillow_resize(pixels, size, interpolation) for pixels in image.cpu()]
    return torch.stack(resized).to(image.device)


def _pillow_resize(pixels: Tensor, size: tuple[int, int], interpolation: InterpolationMode) -> Tensor:
    height, width = size
    filter_ = _PILLOW_FILTERS[interpolation]
    if pixels.dtype == torch.uint8 and len(pixels) == 3:
        picture = Image.fromarray(np.ascontiguousarray(pixels.permute(1, 2, 0).numpy()))
        return torch.from_numpy(np.array(picture.resize((width, height), filter_))).permute(2, 0, 1)
    planes = pixels if pixels.dtype == torch.uint8 else pixels.float()
    resized = [np.array(Image.fromarray(plane.numpy()).resize((width, height), filter_)) for plane in planes]
    return torch.from_numpy(np.stack(resized)).to(pixels.dtype)


def _along_height(image: Tensor, table: AxisTable | None) -> Tensor:
    return image if table is None else _along_width(image.mT, table).mT.contiguous()


def _along_width(image: Tensor, table: AxisTable | None) -> Tensor:
    if table is None:
        return image
    sums = torch.full((*image.shape[:-1], len(table.starts)), 1 << (table.precision - 1), device=image.device)
    for tap, weights in enumerate(table.weights.T):
        columns = np.minimum(table.starts + tap, image.shape[-1] - 1)  # past the last tap the weight is 0
        taken = image.index_select(-1, torch.from_numpy(columns).to(image.device))
        sums += taken * torch.from_numpy(weights).to(image.device)
    return (sums >> table.precision).clamp_(0, 255).to(torch.uint8)


def _antialiased(
    extent: int, size: int, interpolation: InterpolationMode
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    support, kernel = _FILTERS[interpolation]
    scale = extent / size
    stretch = max(scale, 1.0)
    centers = scale * (np.arange(size) + 0.5)
    starts = np.maximum((centers - support * stretch + 0.5).astype(np.int64), 0)
    ends = np.minimum((centers + support * stretch + 0.5).astype(np.int64), extent)
    taps = np.arange((ends - starts).max())
    positions = (taps + starts[:, None] - centers[:, None] + 0.5) * (1.0 / stretch)
    weights = np.where(starts[:, None] + taps < ends[:, None], kernel(positions), 0.0)
    return starts, weights / _running_sum(weights)[:, None]


def _plain(extent: int, size: int, interpolation: InterpolationMode) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Two or four taps whatever the scale; those that fall outside are added to the border pixel."""
    reach, kernel = (1, _triangle) if interpolation is InterpolationMode.BILINEAR else (2, _keys_three_quarters)
    centers = extent / size * (np.arange(size) + 0.5) - 0.5
    if interpolation is InterpolationMode.BILINEAR:
        centers = np.maximum(centers, 0.0)
    below = np.floor(centers).astype(np.int64)
    taps = below[:, None] + np.arange(1 - reach, 1 + reach)
    weights = kernel(taps - centers[:, None])
    inside = np.clip(taps, 0, extent - 1)
    starts = inside[:, 0]
    gathered = np.zeros_like(weights)
    for tap in range(taps.shape[1]):
        gathered[np.arange(size), inside[:, tap] - starts] += weights[:, tap]
    return starts, gathered


def _nearest(extent: int, size: int) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """One tap, found in float32 as torch finds it."""
    starts = np.floor(np.arange(size, dtype=np.float32) * (np.float32(extent) / np.float32(size))).astype(np.int64)
    return np.minimum(starts, extent - 1), np.ones((size, 1))


def _running_sum(weights: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.cumsum(weights, axis=1)[:, -1]  # one after the other, as the C loops of both add them


def _int16_precision(greatest: float) -> int:
    precision = 0
    while precision < _PILLOW_PRECISION and int(0.5 + greatest * (1 << (precision + 1))) < _INT16_WEIGHTS:
        precision += 1
    return precision


def _triangle(x: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.maximum(1.0 - np.abs(x), 0.0)


def _keys_half(x: NDArray[np.float64]) -> NDArray[np.float64]:
    return _keys(x, -0.5)


def _keys_three_quarters(x: NDArray[np.float64]) -> NDArray[np.float64]:
    return _keys(x, -0.75)


def _keys(x: NDArray[np.float64], a: float) -> NDArray[np.float64]:
    """The cubic convolution kernel of R. G. Keys (1981) with parameter ``a``."""
    x = np.abs(x)
    near = ((a + 2) * x - (a + 3)) * x * x + 1
    far = (((x - 5) * x + 8) * x - 4) * a
    return np.where(x < 1, near, np.where(x < 2, far, 0.0))


def _box(x: NDArray[np.float64]) -> NDArray[np.float64]:
    return ((x > -0.5) & (x <= 0.5)).astype(np.float64)


def _hamming(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """The sinc, windowed by R. W. Hamming's cosine, of which Pillow has the constants as floats."""
    x = np.abs(x)
    cosines = np.array([math.cos(angle) for angle in (x * math.pi).ravel().tolist()]).reshape(x.shape)
    window = float(np.float32(0.54)) + float(np.float32(0.46)) * cosines
    return np.where(x < 1, _sinc(x) * window, 0.0)


def _lanczos(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """The sinc, windowed by a sinc of three times its width."""
    return np.where(np.abs(x) < 3, _sinc(x) * _sinc(x / 3), 0.0)


def _sinc(x: NDArray[np.float64]) -> NDArray[np.float64]:
    angles = np.where(x == 0, 1.0, x) * math.pi
    # the C library's sine, as both have it: numpy's may differ in the last place
    sines = np.array([math.sin(angle) for angle in angles.ravel().tolist()]).reshape(x.shape)
    return np.where(x == 0, 1.0, sines / angles)


_FILTERS = {
    InterpolationMode.BILINEAR: (1.0, _triangle),
    InterpolationMode.BICUBIC: (2.0, _keys_half),
    InterpolationMode.BOX: (0.5, _box),
    InterpolationMode.HAMMING: (1.0, _hamming),
    InterpolationMode.LANCZOS: (3.0, _lanczos),
}
