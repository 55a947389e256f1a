"""Clips for the tests: windows that move over a photograph, as pictures, animated images and encoded videos."""

from __future__ import annotations

from collections.abc import Sequence
from io import BytesIO

import av
import numpy as np
import numpy.typing as npt
from PIL import Image, ImageSequence

from factories import make_picture

Pixels = npt.NDArray[np.uint8]

CONTAINERS = {"mp4": "mov", "mov": "mov", "webm": "matroska", "matroska": "matroska", "avi": "avi"}


def make_frames(count: int = 5, size: tuple[int, int] = (48, 64), mode: str = "RGB") -> list[Image.Image]:
    """Pictures of one (height, width) ``size``, each a little further to the right than the one before."""
    height, width = size
    photograph = make_picture("coffee", (height, width + 4 * count), mode)
    return [photograph.crop((4 * i, 0, 4 * i + width, height)) for i in range(count)]


def make_animation(format: str, frames: Sequence[Image.Image], **options: object) -> bytes:
    """An animated GIF, WebP, PNG or AVIF of the frames."""
    buffer = BytesIO()
    frames[0].save(buffer, format, save_all=True, append_images=list(frames[1:]), duration=40, **options)
    return buffer.getvalue()


def frames_by_pillow(data: bytes, mode: str = "RGB") -> Pixels:
    """Every frame of an animation as Pillow composites it, [T, H, W, C]; L by way of RGB."""
    with Image.open(BytesIO(data)) as image:
        frames = [frame.convert("RGB").convert(mode) for frame in ImageSequence.Iterator(image)]
    return np.stack([np.asarray(frame).reshape(frame.height, frame.width, -1) for frame in frames])


def make_video(
    container: str = "mp4",
    codec: str = "mpeg4",
    frames: Sequence[Image.Image] = (),
    pixel_format: str = "yuv420p",
    **options: str,
) -> bytes:
    """An encoded video of the frames (of :func:`make_frames` where there are none)."""
    frames = frames or make_frames()
    buffer = BytesIO()
    with av.open(buffer, "w", format=container) as output:
        stream = output.add_stream(codec, rate=25, options={"threads": "1", **options})
        stream.width, stream.height, stream.pix_fmt = *frames[0].size, pixel_format
        for picture in frames:
            output.mux(stream.encode(av.VideoFrame.from_image(picture)))
        output.mux(stream.encode())
    return buffer.getvalue()


def frames_by_pyav(data: bytes) -> Pixels:
    """Every frame of a video as PyAV converts it, [T, H, W, 3]."""
    with av.open(BytesIO(data)) as container:
        return np.stack([frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)])
