"""JPEGs decoded on a CUDA device by nvImageCodec, where a pipeline allows its pixels; the rest by the CPU's codecs."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from typing import Any, Final, Protocol, TypeAlias

import numpy as np
import torch
from torch import Tensor
from torch.utils.dlpack import from_dlpack

from augserve_pipelines import DecodeRule, InputRule
from augserve_pipelines.executor import in_threads
from augserve_server.codecs import Way, decode
from augserve_server.errors import ServiceError
from augserve_server.formats import jpeg_segments
from augserve_server.headers import Header, JpegHeader
from augserve_server.jpeg import check_scans
from augserve_server.pixels import mirrors

__all__ = ["Coded", "DeviceDecoder", "Window", "has_nvimagecodec", "stored_window", "takes"]

Window: TypeAlias = tuple[int, int, int, int]
"""Top, left, height and width in pixels."""

# As nvJPEG does by default, said because defaults change: chroma interpolated would keep the hardware decoder out.
_OPTIONS: Final = ":fancy_upsampling=0"
_FAST: Final = Way("fast")


class Coded(Protocol):
    """An image as it came, and what its header says."""

    @property
    def data(self) -> bytes: ...
    @property
    def header(self) -> Header: ...


def has_nvimagecodec() -> bool:
    """Whether nvImageCodec is installed, by ``augserve[cuda]``."""
    with suppress(ModuleNotFoundError):
        return find_spec("nvidia.nvimgcodec") is not None
    return False


def takes(image: Coded, rule: DecodeRule) -> bool:
    """Whether an image goes to nvImageCodec: a complete JPEG of gray or of YCbCr that need not be decoded exactly."""
    header = image.header
    if rule.jpeg != "fast" or not isinstance(header, JpegHeader) or header.components not in (1, 3):
        return False
    return image.data.rfind(b"\xff\xd9", header.scan_offset) >= 0 and not _stores_rgb(image.data)


class DeviceDecoder:
    """One of nvImageCodec's decoders, which take a second to make, for all batches of a device.

    Threads take turns with it. On a CPU, which is for tests, it decodes with nvImageCodec's own libjpeg-turbo.
    """

    def __init__(self, device: torch.device) -> None:
        self._codec: Any = import_module("nvidia.nvimgcodec")
        self._device = device
        self._turn = threading.Lock()
        on_cpu = device.type == "cpu"
        self._decoder = self._codec.Decoder(
            device_id=self._codec.NVIMGCODEC_DEVICE_CPU_ONLY if on_cpu else device.index or 0,
            backends=[self._codec.Backend(self._codec.BackendKind.CPU_ONLY)] if on_cpu else None,
            options=_OPTIONS,
        )

    def decode(
        self,
        images: Sequence[Coded],
        input: InputRule,
        rule: DecodeRule,
        windows: Sequence[Window] | None = None,
    ) -> list[Tensor | Exception]:
        """Each image as ``input`` wants it, [C, H, W] uint8, laid pixel by pixel; or what is wrong with it.

        With ``windows``, of the upright images, only those parts of them. Images that nvImageCodec is not to take, or
        fails on, are decoded by the CPU's codecs on the engine's threads, and stay in host memory. What was decoded on
        the device is complete when this returns.
        """
        asked = [_Asked.of(image, input, windows[i] if windows else None) for i, image in enumerate(images)]
        found: list[Tensor | Exception | None] = [None] * len(asked)
        mine = [i for i, image in enumerate(images) if takes(image, rule)]
        with self._turn:
            decoded = self._decoded([asked[i] for i in mine])
        for i, tensor in zip(mine, decoded, strict=True):
            found[i] = tensor
        way = _FAST if rule.jpeg == "fast" else Way()
        left = [i for i, tensor in enumerate(found) if tensor is None]

        def decode_some(rows: slice) -> None:
            for i in left[rows]:
                found[i] = asked[i].by_the_cpu(way)

        in_threads(decode_some, [slice(i, i + 1) for i in range(len(left))])
        return [one for one in found if one is not None]

    def _decoded(self, images: Sequence[_Asked]) -> list[Tensor | None]:
        streams = [self._stream(image) for image in images]
        good = [i for i, stream in enumerate(streams) if stream is not None]
        results: list[Tensor | None] = [None] * len(images)
        for components in (1, 3):
            some = [i for i in good if images[i].input.channels == components]
            if some:
                pixels = self._decoder.decode([streams[i] for i in some], params=self._params(components), **self._on())
                for i, image in zip(some, pixels, strict=True):
                    results[i] = None if image is None else images[i].checked(self._tensor(image))
        if self._device.type == "cuda":
            torch.cuda.current_stream(self._device).synchronize()
        return results

    def _stream(self, image: _Asked) -> Any:
        """What is to be decoded of an image; None where nvImageCodec sees another image in it than its header says."""
        try:
            check_scans(image.data, image.header)
            stream = self._codec.CodeStream(image.data)
            if (stream.height, stream.width) != (image.header.height, image.header.width):
                return None
            if image.stored is None:
                return stream
            top, left, height, width = image.stored
            region = self._codec.Region(top, left, top + height, left + width)
            return stream.get_sub_code_stream(region=region)
        except (RuntimeError, ServiceError):  # the CPU's codec says what is wrong
            return None

    def _params(self, components: int) -> Any:
        gray = components == 1
        return self._codec.DecodeParams(
            apply_exif_orientation=False,
            color_spec=self._codec.ColorSpec.GRAY if gray else self._codec.ColorSpec.SRGB,
            sample_format=self._codec.SampleFormat.I_Y if gray else self._codec.SampleFormat.I_RGB,
        )

    def _on(self) -> dict[str, int]:
        if self._device.type != "cuda":
            return {}
        return {"cuda_stream": torch.cuda.current_stream(self._device).cuda_stream}

    def _tensor(self, image: Any) -> Tensor:
        """The pixels [h, w, C] in nvImageCodec's own memory."""
        if image.buffer_kind == self._codec.ImageBufferKind.STRIDED_DEVICE:
            return from_dlpack(image)
        return torch.from_numpy(np.asarray(image))


@dataclass(frozen=True, slots=True)
class _Asked:
    """An image, what is wanted of it, and where that lies in what is stored; None: all of it."""

    data: bytes
    header: Any
    input: InputRule
    window: Window | None
    stored: Window | None

    @classmethod
    def of(cls, image: Coded, input: InputRule, window: Window | None) -> _Asked:
        stored = window and stored_window(window, image.header, _orientation(image.header, input))
        return cls(image.data, image.header, input, window, stored)

    def checked(self, pixels: Tensor) -> Tensor | None:
        """Pixels [h, w, C] upright, as [C, H, W]; None where they are not of the size that was asked for."""
        size = self.stored[2:] if self.stored else (self.header.height, self.header.width)
        if pixels.shape != (*size, self.input.channels) or pixels.dtype != torch.uint8:
            return None
        return _upright(pixels, _orientation(self.header, self.input)).permute(2, 0, 1)

    def by_the_cpu(self, way: Way) -> Tensor | Exception:
        """The same by the CPU's codecs, in host memory."""
        try:
            pixels = decode(self.data, self.header, self.input, way)
        except Exception as exc:  # noqa: BLE001  # a decoder may fail in any way on hostile bytes: only this image
            return exc
        if self.window is not None:
            top, left, height, width = self.window
            pixels = np.ascontiguousarray(pixels[top : top + height, left : left + width])
        return torch.from_numpy(pixels).permute(2, 0, 1)


def stored_window(window: Window, header: Header, orientation: int) -> Window:
    """Where a window of an upright image lies in the image as it is stored."""
    top, left, height, width = window
    sides = (header.width, header.height) if orientation >= 5 else (header.height, header.width)
    rows, columns = mirrors(orientation)
    top = sides[0] - top - height if rows else top
    left = sides[1] - left - width if columns else left
    return (left, top, width, height) if orientation >= 5 else (top, left, height, width)


def _orientation(header: Header, input: InputRule) -> int:
    return (header.orientation or 1) if input.orientation == "apply" else 1


def _upright(pixels: Tensor, orientation: int) -> Tensor:
    """Pixels [H, W, C] turned and mirrored, in C order."""
    turned = pixels.transpose(0, 1) if orientation >= 5 else pixels
    axes = [axis for axis, mirrored in enumerate(mirrors(orientation)) if mirrored]
    return (turned.flip(axes) if axes else turned).contiguous()


def _stores_rgb(data: bytes) -> bool:
    """Whether the components are red, green and blue: nvImageCodec takes all that are three for YCbCr."""
    for marker, start, end in jpeg_segments(data):
        if marker == 0xEE and data[start : start + 5] == b"Adobe" and end - start >= 12 and data[start + 11] == 0:
            return True
        if marker in (0xC0, 0xC1, 0xC2) and data[start + 6 : end : 3] == b"RGB":
            return True
    return False
