"""Encoded video files, read with PyAV: what their headers say, and their frames."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from augserve_server.errors import ClipInvalid, ClipTooLarge, FormatNotAllowed, ServiceError
from augserve_server.headers import Header, ImageLimits
from augserve_server.patience import Patience
from augserve_server.pixels import Pixels

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream

ANIMATIONS: Final = ("GIF", "WebP", "PNG", "AVIF")
"""The image formats that can hold a clip."""

CONTAINERS: Final = {"MP4": "mov", "Matroska": "matroska", "AVI": "avi"}
"""The containers that are taken, as people call them and as FFmpeg does. MOV is read as MP4, WebM as Matroska."""

CODECS: Final = (
    *("h264", "hevc", "vp8", "vp9", "libdav1d", "av1"),
    *("mpeg4", "mpeg1video", "mpeg2video", "mjpeg", "ffv1", "prores", "rawvideo"),
)
"""The decoders that a file may ask for; whatever else FFmpeg has stays out of its reach."""

_MAX_CHUNKS: Final = 1 << 16
_STILL_BRANDS: Final = (b"heic", b"heix", b"mif1", b"msf1", b"avif")


@dataclass(frozen=True, slots=True)
class VideoHeader:
    """What is known of a video before its frames are decoded; no more frames come out of it than ``frames``."""

    format: str
    width: int
    height: int
    frames: int


def video_format(data: bytes) -> str | None:
    """The container that the first bytes are of, as people call it; None: no video that is taken."""
    kind = data[4:8]
    if kind == b"ftyp":
        return None if data[8:12] in _STILL_BRANDS else "MP4"
    if kind in (b"moov", b"mdat", b"wide", b"skip"):
        return "MP4"
    if data.startswith(b"\x1aE\xdf\xa3"):
        return "Matroska"
    return "AVI" if data.startswith(b"RIFF") and data[8:12] == b"AVI " else None


def peek_video(data: bytes, limits: ImageLimits, max_frames: int, patience: Patience) -> VideoHeader:
    """Read a video's headers, and count its packets; no frame is decoded but those that tell what the video is.

    Raises ``ClipInvalid``, ``ClipTooLarge``, ``FormatNotAllowed`` or ``ImageTooLarge``.
    """
    format = video_format(data)
    assert format is not None
    if _end_of_chunks(data, format) > len(data):  # FFmpeg would take it for the end of the video
        raise ClipInvalid("ends before it is complete", format=format)
    with _opened(data, format, limits) as (container, stream):
        width, height = stream.codec_context.width, stream.codec_context.height
        if width < 1 or height < 1:
            raise ClipInvalid(f"is {width} x {height} pixels", format=format)
        limits.check(Header(format, width, height))
        frames = 0
        for packet in container.demux(stream):
            patience.check()
            frames += packet.size > 0
            if frames > max_frames:
                raise ClipTooLarge("frames", frames, max_frames)
        if frames < max(stream.frames, 1):
            raise ClipInvalid(f"ends before it is complete: it has {frames} of {stream.frames} frames", format=format)
    return VideoHeader(format, width, height, frames)


def decode_video(data: bytes, header: VideoHeader, limits: ImageLimits, upright: bool, patience: Patience) -> Pixels:
    """The frames in the order in which they are shown, [T, H, W, 3] RGB, each as PyAV's ``to_ndarray`` converts it.

    ``upright`` turns them as the file says they are to be shown. Raises ``ClipInvalid`` or ``ClipTooLarge``.
    """
    clip, count = np.empty((0, 0, 0, 3), np.uint8), 0
    with _opened(data, header.format, limits) as (container, stream):
        for count, frame in enumerate(_frames(container, stream, header, patience), start=1):
            pixels = _pixels(frame, header, upright)
            if count == 1:
                clip = np.empty((header.frames, *pixels.shape), np.uint8)
            if pixels.shape != clip.shape[1:]:
                raise ClipInvalid(f"has frames of several sizes: see frame {count - 1}", format=header.format)
            clip[count - 1] = pixels
    if not count:
        raise ClipInvalid("has no frame that can be shown", format=header.format)
    return clip[:count]


def _frames(
    container: InputContainer, stream: VideoStream, header: VideoHeader, patience: Patience
) -> Iterator[VideoFrame]:
    count = 0
    for packet in container.demux(stream):
        patience.check()
        for frame in packet.decode():
            count += 1
            if frame.is_corrupt:
                raise ClipInvalid(f"does not decode: frame {count - 1} is damaged", format=header.format)
            if (frame.width, frame.height) != (header.width, header.height):
                raise ClipInvalid(f"has frames of several sizes: see frame {count - 1}", format=header.format)
            if count > header.frames:
                raise ClipInvalid("has more frames than its container says", format=header.format)
            yield frame


def _pixels(frame: VideoFrame, header: VideoHeader, upright: bool) -> Pixels:
    pixels: Pixels = frame.to_ndarray(format="rgb24")  # type: ignore[assignment]  # rgb24 is of uint8
    quarters, rest = divmod(round(frame.rotation), 90)
    if not upright or quarters % 4 == 0:
        return pixels
    if rest:
        raise ClipInvalid(f"is to be turned by {frame.rotation} degrees; only quarters are", format=header.format)
    return np.rot90(pixels, quarters)


@contextmanager
def _opened(data: bytes, format: str, limits: ImageLimits) -> Iterator[tuple[InputContainer, VideoStream]]:
    """The container and its video; nothing that the file names is ever opened besides."""
    try:
        import av
    except ModuleNotFoundError as exc:
        found = f"a video ({format}), for which the server needs PyAV: pip install 'augserve[video]'"
        raise FormatNotAllowed(found, ANIMATIONS, "clip") from exc
    options = {"codec_whitelist": ",".join(CODECS), "max_pixels": str(limits.max_pixels), "threads": "1"}
    try:
        with av.open(BytesIO(data), "r", CONTAINERS[format], options=options, io_open=_refuse) as container:
            yield container, _video_of(container, format)
    except ServiceError:
        raise
    except Exception as exc:  # whatever FFmpeg, or its binding, makes of hostile bytes
        if isinstance(exc, MemoryError) and not isinstance(exc, av.FFmpegError):
            raise
        raise ClipInvalid(f"does not decode: it is no whole {format} video", format=format) from exc


def _refuse(*_: Any) -> Any:
    raise PermissionError("a video may not open other files")


def _video_of(container: InputContainer, format: str) -> VideoStream:
    videos = [stream for stream in container.streams.video if not stream.disposition & stream.disposition.attached_pic]
    if not videos:
        raise ClipInvalid("has no video in it", format=format)
    stream = videos[0]
    if stream.codec_context is None or stream.codec_context.codec.name not in CODECS:
        raise FormatNotAllowed(f"a video ({format}) of a codec that is not taken", CODECS, "clip")
    stream.codec_context.thread_count = 1  # a pool decodes: a clip has one of its threads
    return stream


def _end_of_chunks(data: bytes, format: str) -> int:
    """Where the outermost chunks of a file end, by what they say of themselves."""
    position = 0
    for _ in range(_MAX_CHUNKS):
        if position + 8 > len(data):
            return position
        length = _CHUNK_LENGTHS[format](data, position)
        if length is None:
            return len(data)
        position += length
    return len(data)


def _riff_length(data: bytes, position: int) -> int | None:
    length: int = struct.unpack_from("<I", data, position + 4)[0]
    return 8 + length + length % 2


def _element_length(data: bytes, position: int) -> int | None:
    """Bytes of an EBML element; None where it says that it does not know."""
    id_bytes = 9 - data[position].bit_length()
    start = position + id_bytes
    first = data[start] if start < len(data) else 0
    size_bytes = 9 - first.bit_length()
    size = int.from_bytes(data[start : start + size_bytes], "big") & (1 << 7 * size_bytes) - 1
    return None if size == (1 << 7 * size_bytes) - 1 else id_bytes + size_bytes + size


def _box_length(data: bytes, position: int) -> int | None:
    """Bytes of a box; None where it says that it goes on to the end."""
    length: int = struct.unpack_from(">I", data, position)[0]
    if length == 0:
        return None
    if length == 1 and position + 16 <= len(data):
        length = struct.unpack_from(">Q", data, position + 8)[0]
    return max(length, 8)


_CHUNK_LENGTHS: Final = {"MP4": _box_length, "Matroska": _element_length, "AVI": _riff_length}
