"""JPEGs decoded on a CUDA device by nvImageCodec, where a pipeline allows its pixels."""

from __future__ import annotations

import re
import threading
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from time import perf_counter
from typing import Any, Final, Protocol

import numpy as np
import torch
from torch import Tensor
from torch.utils.dlpack import from_dlpack

from augserve_pipelines import DecodeRule, InputRule
from augserve_pipelines.executor import cores
from augserve_server.errors import ServiceError
from augserve_server.formats import jpeg_segments
from augserve_server.headers import Header, JpegHeader
from augserve_server.jpeg import check_scans
from augserve_server.pixels import mirrors

__all__ = ["Coded", "Decoding", "DeviceDecoder", "has_nvimagecodec", "takes"]

# As nvJPEG does by default, said because defaults change: chroma interpolated would keep the hardware decoder out.
_OPTIONS: Final = ":fancy_upsampling=0"
_MAY_STORE_RGB: Final = re.compile(rb"Adobe|R..G..B", re.DOTALL)


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
    return image.data.rfind(b"\xff\xd9", header.scan_offset) >= 0 and not _stores_rgb(image.data, header)


@dataclass(frozen=True, slots=True)
class Decoding:
    """Images [C, H, W] uint8, laid pixel by pixel, that a device decodes; None for those that it does not take."""

    images: Sequence[Tensor | None]
    done: torch.cuda.Event | None
    """What is to be waited for before the images are read; None where they are there."""
    began: torch.cuda.Event | float

    @property
    def seconds(self) -> float:
        """How long it took; waits for it."""
        if isinstance(self.began, float) or self.done is None:
            return 0.0
        self.done.synchronize()
        return float(self.began.elapsed_time(self.done)) / 1000


class DeviceDecoder:
    """One of nvImageCodec's decoders, for all batches of a device: it takes a second to make.

    Threads take turns: on an H100 two and three decoders at once made no more images a second, for the interpreter is
    what they wait for. On a CPU, which is for tests, it decodes with nvImageCodec's own libjpeg-turbo.
    """

    def __init__(self, device: torch.device) -> None:
        self._turn = threading.Lock()
        self._codec: Any = import_module("nvidia.nvimgcodec")
        self._on_cpu = device.type == "cpu"
        self._stream = None if self._on_cpu else torch.cuda.Stream(device)  # type: ignore[no-untyped-call]  # in torch
        self._decoder = self._codec.Decoder(
            device_id=self._codec.NVIMGCODEC_DEVICE_CPU_ONLY if self._on_cpu else device.index or 0,
            max_num_cpu_threads=max(1, cores() - 1),  # it warns of one for each
            backends=[self._codec.Backend(self._codec.BackendKind.CPU_ONLY)] if self._on_cpu else None,
            options=_OPTIONS,
        )
        self._params = {"L": self._params_of(gray=True), "RGB": self._params_of(gray=False)}

    def decode(self, images: Sequence[Coded], input: InputRule) -> Decoding:
        """Begin to decode images as ``input`` wants them: those that it ``takes``.

        What it fails on is None too: the CPU's codecs say what is wrong with it, if anything is.
        """
        with self._turn:
            return self._decode(images, input)

    def _decode(self, images: Sequence[Coded], input: InputRule) -> Decoding:
        found: list[Tensor | None] = [None] * len(images)
        streams = {row: one for row, image in enumerate(images) if (one := self._code_stream(image)) is not None}
        with self._on_stream():
            began = self._now()
            if streams:
                on = {} if self._stream is None else {"cuda_stream": self._stream.cuda_stream}
                decoded = self._decoder.decode([*streams.values()], params=self._params[input.mode], **on)
                for row, one in zip(streams, decoded, strict=True):
                    found[row] = None if one is None else _as_wanted(self._tensor(one), images[row].header, input)
            done = self._now()
        return Decoding(found, None if isinstance(done, float) else done, began)

    def _code_stream(self, image: Coded) -> Any:
        """What is to be decoded of an image; None where nvImageCodec sees another image in it than its header says."""
        header = image.header
        assert isinstance(header, JpegHeader)
        try:
            check_scans(image.data, header)
            stream = self._codec.CodeStream(image.data)
            return stream if (stream.height, stream.width) == (header.height, header.width) else None
        except (RuntimeError, ServiceError):  # the CPU's codec says what is wrong
            return None

    def _params_of(self, *, gray: bool) -> Any:
        return self._codec.DecodeParams(
            apply_exif_orientation=False,
            color_spec=self._codec.ColorSpec.GRAY if gray else self._codec.ColorSpec.SRGB,
            sample_format=self._codec.SampleFormat.I_Y if gray else self._codec.SampleFormat.I_RGB,
        )

    def _on_stream(self) -> AbstractContextManager[object]:
        return nullcontext() if self._stream is None else torch.cuda.stream(self._stream)

    def _now(self) -> torch.cuda.Event | float:
        if self._stream is None:
            return perf_counter()
        event = torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call]  # in torch
        event.record(self._stream)
        return event

    def _tensor(self, image: Any) -> Tensor:
        """The pixels [h, w, C] in nvImageCodec's own memory."""
        if self._stream is None:
            return torch.from_numpy(np.asarray(image))
        return from_dlpack(image.to_dlpack(self._stream.cuda_stream))  # a capsule: torch looks for no stream


def _as_wanted(pixels: Tensor, header: Header, input: InputRule) -> Tensor | None:
    """Pixels [h, w, C] upright, as [C, H, W]; None where they are not of the size that the header says."""
    if pixels.shape != (header.height, header.width, input.channels) or pixels.dtype != torch.uint8:
        return None
    orientation = (header.orientation or 1) if input.orientation == "apply" else 1
    return (pixels if orientation == 1 else _upright(pixels, orientation)).permute(2, 0, 1)


def _upright(pixels: Tensor, orientation: int) -> Tensor:
    """Pixels [H, W, C] turned and mirrored, in C order."""
    turned = pixels.transpose(0, 1) if orientation >= 5 else pixels
    axes = [axis for axis, mirrored in enumerate(mirrors(orientation)) if mirrored]
    return (turned.flip(axes) if axes else turned).contiguous()


def _stores_rgb(data: bytes, header: JpegHeader) -> bool:
    """Whether the components are red, green and blue: nvImageCodec takes all that are three for YCbCr."""
    if not _MAY_STORE_RGB.search(data, 0, header.scan_offset):
        return False
    for marker, start, end in jpeg_segments(data):
        if marker == 0xEE and data[start : start + 5] == b"Adobe" and end - start >= 12 and data[start + 11] == 0:
            return True
        if marker in (0xC0, 0xC1, 0xC2) and data[start + 6 : end : 3] == b"RGB":
            return True
    return False
