"""PIL images: made of pixels and made into pixels, and acted on by Pillow or by kernels for tensors."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image as Picture
from torch import Tensor

from augserve_pipelines.errors import InvalidInput, WrongKind
from augserve_pipelines.tv_tensors import Image
from augserve_pipelines.tv_tensors.picture import pil_to_tensor as pixels_of

__all__ = [
    "by_pillow",
    "by_tensor",
    "bytes_to_floats_image",
    "deprecated",
    "floats_to_bytes_image",
    "picture_of",
    "pil_to_tensor",
    "tensor_of",
    "to_image",
    "to_pil_image",
    "to_tensor",
]

Array = NDArray[Any]

# The modes that pixels of so many channels and of a dtype may be, the usual one first.
_MODES: Mapping[tuple[int, torch.dtype], tuple[str, ...]] = {
    (1, torch.uint8): ("L",),
    (1, torch.int16): ("I;16",),
    (1, torch.int32): ("I",),
    (1, torch.float32): ("F",),
    (2, torch.uint8): ("LA",),
    (3, torch.uint8): ("RGB", "YCbCr", "HSV"),
    (4, torch.uint8): ("RGBA", "CMYK", "RGBX"),
}


def pil_to_tensor(pic: Any) -> Tensor:
    """The pixels of a PIL image, ``[C, H, W]``, in the dtype that Pillow gives them: no value changes.

    Raises:
        TypeError: it is no PIL image.
    """
    if not isinstance(pic, Picture.Image):
        raise WrongKind(f"pil_to_tensor takes a PIL image, got {type(pic).__name__}")
    return pixels_of(pic)


def to_image(inpt: Tensor | Picture.Image | Array) -> Image:
    """A tensor, a PIL image or an array ``[H, W, C]`` or ``[H, W]`` as an Image ``[C, H, W]``: no value changes.

    Raises:
        TypeError: it is none of these.
        InvalidInput: the array has another number of dimensions.
    """
    if isinstance(inpt, np.ndarray):
        return Image(_channels_first(inpt))
    if isinstance(inpt, Picture.Image):
        return Image(pixels_of(inpt))
    if isinstance(inpt, Tensor):
        return Image(inpt.as_subclass(Tensor))
    raise WrongKind(f"to_image takes a tensor, a PIL image or an array, got {type(inpt).__name__}")


def to_pil_image(pic: Tensor | Array, mode: str | None = None) -> Picture.Image:
    """A tensor ``[C, H, W]`` or ``[H, W]``, or an array ``[H, W, C]`` or ``[H, W]``, as a PIL image.

    Args:
        pic: the pixels; floats are in [0, 1] and become bytes by truncating 255 times their value, but in mode F.
        mode: the mode, where it is not the usual one of so many channels.

    Raises:
        TypeError: it is no tensor and no array.
        ValueError: no such mode has so many channels of its dtype, or it has another number of dimensions.
    """
    if not isinstance(pic, Tensor | np.ndarray):
        raise WrongKind(f"to_pil_image takes a tensor or an array, got {type(pic).__name__}")
    pixels = _channels_first(pic) if isinstance(pic, np.ndarray) else pic.as_subclass(Tensor)
    pixels = pixels.unsqueeze(0) if pixels.ndim == 2 else pixels
    if pixels.ndim != 3:
        raise InvalidInput(f"a PIL image has [C, H, W], got {[*pixels.shape]}")
    return picture_of(pixels if mode == "F" else floats_to_bytes_image(pixels), mode)


def to_tensor(inpt: Any) -> Tensor:
    """A PIL image or an array as a tensor ``[C, H, W]``; bytes become floats in [0, 1]. Of v1: ``to_image`` is newer.

    Raises:
        TypeError: it is neither.
        InvalidInput: the array has another number of dimensions.
    """
    deprecated("to_tensor(...)", "to_image(...), then to_dtype(..., torch.float32, scale=True)")
    return tensor_of(inpt)


def bytes_to_floats_image(image: Tensor, dtype: torch.dtype = torch.float32) -> Tensor:
    """Bytes divided by 255, which for some is not what multiplying by 1 / 255 gives; other dtypes stay."""
    return image.to(dtype).div_(255) if image.dtype == torch.uint8 else image


def floats_to_bytes_image(image: Tensor) -> Tensor:
    """Floats in [0, 1] as bytes, by truncating 255 times their value; other dtypes stay."""
    if not image.is_floating_point():
        return image
    if image.device.type != "cpu":
        return image.mul(255).to(torch.uint8)
    return torch.from_numpy((image.numpy(force=True) * 255).astype(np.uint8))


def by_pillow(act: Callable[..., Picture.Image], picture: Picture.Image, *arguments: Any) -> Picture.Image:
    """``act(picture, *arguments)`` of Pillow.

    Raises:
        InvalidInput: Pillow does not do this to images of the mode.
    """
    try:
        return act(picture, *arguments)
    except (OSError, NotImplementedError) as error:
        raise InvalidInput(f"Pillow does not do this to an image of mode {picture.mode}: {error}") from error


def by_tensor(picture: Picture.Image, kernel: Callable[[Tensor], Tensor]) -> Picture.Image:
    """A PIL image, of the same mode, of what a kernel makes of the pixels.

    Raises:
        ValueError: the mode does not say what its pixels are, such as that of a palette.
    """
    return picture_of(kernel(pixels_of(picture)), picture.mode)


def picture_of(pixels: Tensor, mode: str | None) -> Picture.Image:
    """The PIL image of ``[C, H, W]``; a mode that is not given is the usual one."""
    channels, height, width = pixels.shape
    modes = _MODES.get((channels, pixels.dtype), ())
    if not modes or (mode is not None and mode not in modes):
        raise ValueError(f"no PIL image of mode {mode} has {channels} channels of {pixels.dtype}")
    rows = np.ascontiguousarray(pixels.permute(1, 2, 0).numpy(force=True))
    return Picture.frombytes(mode or modes[0], (width, height), rows.tobytes())


def tensor_of(inpt: Any) -> Tensor:
    """``to_tensor`` without its warning."""
    if isinstance(inpt, np.ndarray):
        pixels = _channels_first(inpt)
    elif isinstance(inpt, Picture.Image):
        pixels = pixels_of(inpt).contiguous()
        if inpt.mode == "1":
            pixels = pixels.to(torch.uint8) * 255
        elif inpt.mode.startswith("I;16"):
            pixels = pixels.view(torch.int16)
    else:
        raise WrongKind(f"to_tensor takes a PIL image or an array, got {type(inpt).__name__}")
    return bytes_to_floats_image(pixels, torch.get_default_dtype())


def _channels_first(array: Array) -> Tensor:
    if array.ndim not in (2, 3):
        raise InvalidInput(f"an array of an image has [H, W, C] or [H, W], got {[*array.shape]}")
    pixels = np.ascontiguousarray(np.atleast_3d(array).transpose(2, 0, 1))
    return torch.from_numpy(pixels if pixels.flags.writeable else pixels.copy())


def deprecated(what: str, instead: str) -> None:
    """Warn of a name that v1 users still write."""
    # of the category that torchvision gives, which is shown without asking
    warnings.warn(f"{what} is deprecated and will be removed: the newer way is {instead}", stacklevel=3)
