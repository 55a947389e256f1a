"""Images that can be sent: encoded ones as they are, and pixels as a file that decodes to exactly those pixels."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from augserve.errors import InvalidInput
from augserve.foreign import is_picture, is_tensor, to_numpy
from augserve.tiff import Photometric, write_tiff
from augserve.wire import OCTETS

if TYPE_CHECKING:
    from PIL.Image import Image as Picture

    from augserve.torch import Tensor

Image: TypeAlias = "bytes | bytearray | memoryview | str | os.PathLike[str] | NDArray[np.uint8] | Picture | Tensor"
"""One image.

* ``bytes``, ``bytearray``, ``memoryview``: an encoded file, sent as it is
* ``str``, ``os.PathLike``: the path of one, read when its request is built
* numpy array, uint8: [H, W] or [H, W, C] as Pillow and OpenCV lay pixels out, in RGB order
* torch tensor, uint8: [H, W] or [C, H, W] as torchvision lays pixels out
* Pillow image: its pixels; metadata such as EXIF orientation is not sent

C is 1 (gray), 2 (gray, alpha), 3 (RGB) or 4 (RGB, alpha).
"""

# What the server accepts for one image by default: more than that in pixels is compressed, or it would be refused.
UNCOMPRESSED_LIMIT_BYTES = 32 * 2**20

_PHOTOMETRIC = {
    "L": Photometric.GRAY,
    "LA": Photometric.GRAY,
    "I;16": Photometric.GRAY,
    "RGB": Photometric.RGB,
    "RGBA": Photometric.RGB,
    "CMYK": Photometric.CMYK,
}
_EXACT_IN = {"1": "L", "La": "LA", "RGBa": "RGBA", "I;16B": "I;16", "I;16L": "I;16", "I;16N": "I;16"}
_MODE_OF_CHANNELS = {1: "L", 2: "LA", 3: "RGB", 4: "RGBA"}


@dataclass(frozen=True, slots=True)
class Source:
    """An image, or another part of a sample, ready to be sent: its size and, once they are wanted, its bytes."""

    media_type: str
    size_bytes: int
    """No less than ``read`` gives."""
    read: Callable[[], Sequence[bytes | memoryview]]
    """The file in parts. Raises OSError where a path cannot be read."""


def read_source(image: Image) -> Source:
    """Recognise one image.

    Raises:
        InvalidInput: It is of no supported type, or an array of another shape or dtype than :data:`Image` names.
        OSError: It is a path, and there is no such file.
    """
    if isinstance(image, bytes | bytearray | memoryview):
        return from_bytes(image)
    if isinstance(image, str | os.PathLike):
        return from_path(image)
    if isinstance(image, np.ndarray):
        return _from_array(image)
    if is_tensor(image):
        return _from_array(_channels_last(image))
    if is_picture(image):
        return _from_picture(image)
    raise InvalidInput(
        f"cannot send a {type(image).__qualname__}; an image is bytes, a path, a Pillow image, "
        "a numpy array [H, W, C] or a torch tensor [C, H, W]"
    )


def is_image(value: object) -> bool:
    """Whether ``value`` is one image rather than several."""
    recognised = isinstance(value, bytes | bytearray | memoryview | str | os.PathLike | np.ndarray)
    return recognised or is_tensor(value) or is_picture(value)


def from_bytes(data: bytes | bytearray | memoryview, media_type: str = OCTETS) -> Source:
    """A file that is in memory."""
    view = memoryview(data).cast("B")
    return Source(media_type, view.nbytes, lambda: [view])


def from_path(path: str | os.PathLike[str], media_type: str = OCTETS) -> Source:
    """A file that is read when its request is built; raises OSError where there is none."""
    return Source(media_type, os.stat(path).st_size, partial(_read_path, path))


def _read_path(path: str | os.PathLike[str]) -> list[bytes | memoryview]:
    with open(path, "rb") as file:
        return [file.read()]


def _channels_last(tensor: Tensor) -> NDArray[Any]:
    """[C, H, W] → [H, W, C], on the CPU."""
    if tensor.ndim == 3:
        tensor = tensor.permute(1, 2, 0)
    return to_numpy(tensor)


def _from_array(pixels: NDArray[Any]) -> Source:
    if pixels.ndim == 4:
        raise InvalidInput(
            f"an image has 2 or 3 dimensions, not 4 ({pixels.shape}); "
            "send list(batch) for a batch, Clip(frames) for a clip"
        )
    if pixels.ndim == 2:
        pixels = pixels[:, :, np.newaxis]
    if pixels.dtype != np.uint8:
        raise InvalidInput(f"pixels travel as uint8 in 0..255, not {pixels.dtype}")
    if pixels.ndim != 3 or pixels.size == 0 or pixels.shape[2] not in _MODE_OF_CHANNELS:
        raise InvalidInput(
            f"pixels of shape {pixels.shape} are no image: a numpy array is [H, W] or [H, W, C], "
            "a torch tensor [H, W] or [C, H, W] (shown here as [H, W, C]), with C = 1, 2, 3 or 4"
        )
    return _from_pixels(_MODE_OF_CHANNELS[pixels.shape[2]], pixels.nbytes, lambda: pixels)


def _from_picture(picture: Picture) -> Source:
    mode = _exact_mode(picture)
    channel_bytes = 2 if mode == "I;16" else len(mode)
    return _from_pixels(
        mode, picture.width * picture.height * channel_bytes, partial(_pixels_of_picture, picture, mode)
    )


def _exact_mode(picture: Picture) -> str:
    """The mode to send ``picture`` in, with nothing lost that a file could hold."""
    if picture.mode in _PHOTOMETRIC:
        return picture.mode
    if picture.mode in _EXACT_IN:
        return _EXACT_IN[picture.mode]
    if picture.mode in ("F", "I"):
        raise InvalidInput(f"a Pillow image of mode {picture.mode} has no range; convert it to L, I;16 or RGB first")
    return "RGBA" if picture.has_transparency_data else "RGB"


def _pixels_of_picture(picture: Picture, mode: str) -> NDArray[Any]:
    if mode == "I;16":  # of either byte order; Pillow 13 converts one to the other wrongly
        pixels = np.asarray(picture).astype("<u2")
    else:
        pixels = np.asarray(picture if picture.mode == mode else picture.convert(mode))
    return pixels if pixels.ndim == 3 else pixels[:, :, np.newaxis]


def _from_pixels(mode: str, size_bytes: int, pixels: Callable[[], NDArray[Any]]) -> Source:
    alpha, deflate = mode in ("LA", "RGBA"), size_bytes > UNCOMPRESSED_LIMIT_BYTES

    def read() -> Sequence[bytes | memoryview]:
        return write_tiff(pixels(), _PHOTOMETRIC[mode], alpha=alpha, deflate=deflate)

    overhead_bytes = 512 + size_bytes // 1000  # the header; and noise deflates to a little more than itself
    return Source("image/tiff", size_bytes + overhead_bytes, read)
