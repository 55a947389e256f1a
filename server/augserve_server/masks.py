"""Masks: the numbers that a PNG stores, not the colours that it shows; and PNG of them again."""

from __future__ import annotations

from io import BytesIO
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from PIL import Image

from augserve_server.codecs import peek
from augserve_server.errors import TargetInvalid
from augserve_server.headers import Header, ImageLimits
from augserve_server.picture_files import opened

Numbers = npt.NDArray[Any]

_GRAY, _PALETTE = 0, 3  # colour types of PNG
_PNG_LEVEL: Final = 1  # as that of pictures


def peek_mask(data: bytes, limits: ImageLimits) -> Header:
    """Read the header of a mask. Raises ``TargetInvalid`` for what is no PNG of numbers, and what ``peek`` raises."""
    header = peek(data, limits)
    if header.format != "PNG":
        raise TargetInvalid("masks", f"a mask is PNG or npy, not {header.format}", allowed=["PNG", "npy"])
    if data[25] not in (_GRAY, _PALETTE):
        raise TargetInvalid("masks", "a PNG of colours; one of gray or of palette indices is needed")
    return header


def decode_mask(data: bytes, header: Header) -> Numbers:
    """The numbers of a PNG, [H, W]: uint8, or int32 where it has 16 bits."""
    with opened(data, header) as image:
        image.load()
        numbers = np.asarray(image)
    if numbers.dtype.itemsize > 1:
        return numbers.astype(np.int32)
    bits = data[24]
    if data[25] == _GRAY and 1 < bits < 8:
        return numbers >> (8 - bits)  # Pillow spreads 2 and 4 bits over 8
    return numbers.astype(np.uint8)


def fits_png(mask: Numbers) -> bool:
    """Whether a PNG can hold these numbers: one mask [H, W], from 0 to 65535."""
    return mask.ndim == 2 and mask.size > 0 and mask.min() >= 0 and mask.max() <= 0xFFFF


def encode_mask(mask: Numbers) -> bytes:
    """A gray PNG of one mask that :func:`fits_png`: of 8 bits where its type has no more, else of 16."""
    numbers = mask.astype(np.uint8 if mask.dtype.itemsize == 1 else np.uint16)
    buffer = BytesIO()
    Image.fromarray(numbers).save(buffer, "PNG", compress_level=_PNG_LEVEL)
    return buffer.getvalue()
