"""Inputs for the tests: real photographs of any size, as arrays, tensors and encoded files."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Mapping
from functools import cache, lru_cache
from importlib.util import find_spec
from io import BytesIO
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image

Pixels = npt.NDArray[np.uint8]

# Files that the test dependencies carry: package and path inside it. China and flower are 640 x 427 photographs.
PHOTOGRAPHS: Mapping[str, tuple[str, str]] = {
    "astronaut": ("skimage", "data/astronaut.png"),
    "chelsea": ("skimage", "data/chelsea.png"),
    "china": ("sklearn", "datasets/images/china.jpg"),
    "coffee": ("skimage", "data/coffee.png"),
    "flower": ("sklearn", "datasets/images/flower.jpg"),
    "grace_hopper": ("matplotlib", "mpl-data/sample_data/grace_hopper.jpg"),
    "hubble": ("skimage", "data/hubble_deep_field.jpg"),
    "motorcycle": ("skimage", "data/motorcycle_left.png"),
    "retina": ("skimage", "data/retina.jpg"),
    "rocket": ("skimage", "data/rocket.jpg"),
}
NAMES = tuple(PHOTOGRAPHS)

# (height, width) of the sizes where kernels break: one pixel, one row, one column, odd, square, landscape, portrait.
SIZES = ((1, 1), (1, 17), (17, 1), (7, 13), (64, 64), (100, 150), (213, 160), (333, 500))


def photograph_path(name: str = "china") -> Path:
    """Where a photograph of :data:`PHOTOGRAPHS` lies, without importing its package."""
    package, inside = PHOTOGRAPHS[name]
    spec = find_spec(package)
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).parent / inside


@cache
def _original(name: str) -> Image.Image:
    with Image.open(photograph_path(name)) as image:
        return image.convert("RGB")


@lru_cache(maxsize=64)
def _resized(name: str, size: tuple[int, int]) -> Image.Image:
    height, width = size
    return _original(name).resize((width, height), Image.Resampling.LANCZOS)


def make_picture(name: str = "china", size: tuple[int, int] | None = None, mode: str = "RGB") -> Image.Image:
    """A photograph as a Pillow image of (height, width) ``size`` (its own when absent) and any Pillow mode.

    Modes with transparency get a smooth ramp of alpha, so that dropping it and blending it differ.
    """
    picture = _original(name) if size is None else _resized(name, size)
    if mode in ("RGBA", "LA"):
        picture = picture.convert(mode)
        ramp = np.linspace(0, 255, picture.width * picture.height).reshape(picture.height, picture.width)
        picture.putalpha(Image.fromarray(ramp.astype(np.uint8)))
        return picture
    return picture.copy() if mode == "RGB" else picture.convert(mode)


def make_pixels(name: str = "china", size: tuple[int, int] | None = None, channels: int = 3) -> Pixels:
    """A photograph as an array, [H, W, 3] or [H, W, 1] uint8."""
    pixels = np.array(make_picture(name, size, "RGB" if channels == 3 else "L"))
    return pixels.reshape(*pixels.shape[:2], channels)


def make_image(
    size: tuple[int, int] = (64, 80),
    dtype: torch.dtype = torch.uint8,
    device: torch.device | str = "cpu",
    *,
    name: str = "china",
    channels: int = 3,
) -> torch.Tensor:
    """A photograph as a tensor, [C, H, W], uint8 in 0..255 or floating point in 0..1; (height, width) is ``size``."""
    tensor = torch.from_numpy(make_pixels(name, size, channels)).permute(2, 0, 1).contiguous()
    if dtype != torch.uint8:
        tensor = tensor.to(dtype) / 255
    return tensor.to(device)


def make_images(
    count: int, dtype: torch.dtype = torch.uint8, device: torch.device | str = "cpu", *, channels: int = 3
) -> list[torch.Tensor]:
    """``count`` photographs of mixed sizes, each [C, H, W]; the same ones on every call."""
    rng = np.random.default_rng(count)
    sizes = rng.integers(40, 400, size=(count, 2))
    return [
        make_image((int(height), int(width)), dtype, device, name=NAMES[i % len(NAMES)], channels=channels)
        for i, (height, width) in enumerate(sizes)
    ]


def make_noise(
    size: tuple[int, int] = (64, 80),
    dtype: torch.dtype = torch.uint8,
    device: torch.device | str = "cpu",
    *,
    channels: int = 3,
    seed: int = 0,
) -> torch.Tensor:
    """Uniform noise, [C, H, W]: every value at full contrast, the worst case for rounding and clamping."""
    rng = np.random.default_rng(seed)
    tensor = torch.from_numpy(rng.integers(0, 256, size=(channels, *size), dtype=np.uint8))
    if dtype != torch.uint8:
        tensor = tensor.to(dtype) / 255
    return tensor.to(device)


def encode_picture(picture: Image.Image, format: str = "JPEG", **options: object) -> bytes:
    """Encode a Pillow image as a file; ``options`` are those of Pillow's ``save`` (quality, subsampling, exif...)."""
    buffer = BytesIO()
    picture.save(buffer, format, **options)
    return buffer.getvalue()


def make_file(
    format: str = "JPEG",
    size: tuple[int, int] | None = None,
    mode: str = "RGB",
    *,
    name: str = "china",
    orientation: int | None = None,
    **options: object,
) -> bytes:
    """A photograph as an encoded file of (height, width) ``size``, with an EXIF ``orientation`` if one is given."""
    if orientation is not None:
        exif = Image.Exif()
        exif[0x0112] = orientation
        options["exif"] = exif.tobytes()
    return encode_picture(make_picture(name, size, mode), format, **options)


def make_tiff(samples: npt.NDArray[np.generic] | bytes, size: tuple[int, int], bits: int, **tags: int) -> bytes:
    """An uncompressed TIFF of one strip, for kinds of samples that Pillow does not write.

    ``samples`` are in the file's byte order, ``bits`` each. Keyword arguments change tags: ``photometric=0``.
    """
    raw = samples if isinstance(samples, bytes) else samples.tobytes()
    height, width = size
    numbers = {"photometric": 262, "samples_per_pixel": 277, "sample_format": 339, "orientation": 274}
    numbers |= {"tile_width": 322, "tile_height": 323}
    values = {256: width, 257: height, 258: bits, 259: 1, 262: 1, 273: 8, 277: 1, 278: height, 279: len(raw)}
    values |= {numbers[name]: value for name, value in tags.items()}
    entries = b"".join(struct.pack("<HHLL", tag, 4, 1, value) for tag, value in sorted(values.items()))
    directory = struct.pack("<H", len(values)) + entries + bytes(4)
    return b"II*\0" + struct.pack("<L", 8 + len(raw)) + raw + directory


def make_png(samples: npt.NDArray[np.generic], colour_type: int, *chunks: tuple[bytes, bytes]) -> bytes:
    """A PNG of big-endian samples [H, W] or [H, W, C], with ``chunks`` (name, content) before its pixels."""
    height, width = samples.shape[:2]
    bits = samples.dtype.itemsize * 8
    rows = b"".join(b"\0" + row.tobytes() for row in samples)
    header = struct.pack(">IIBBBBB", width, height, bits, colour_type, 0, 0, 0)
    pieces = [(b"IHDR", header), *chunks, (b"IDAT", zlib.compress(rows)), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(make_chunk(*piece) for piece in pieces)


def make_chunk(name: bytes, content: bytes) -> bytes:
    """One chunk of a PNG, with its length and check sum."""
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))


def make_files(count: int, format: str = "JPEG", **options: object) -> list[bytes]:
    """``count`` encoded photographs of mixed sizes; the same ones on every call."""
    rng = np.random.default_rng(count)
    sizes = rng.integers(40, 400, size=(count, 2))
    return [
        make_file(format, (int(height), int(width)), name=NAMES[i % len(NAMES)], **options)
        for i, (height, width) in enumerate(sizes)
    ]
