"""A first look at a sample: headers, sizes and targets are read and checked, and no pixel is decoded."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import torch
from torch import Tensor

from augserve.wire import IMAGE_PART
from augserve_pipelines import InputRule, tv_tensors
from augserve_server.animations import peek_animation
from augserve_server.codecs import peek
from augserve_server.errors import ServiceError
from augserve_server.headers import Header, ImageLimits
from augserve_server.patience import Patience
from augserve_server.sources import Animation, FrameRow, Picture, Raw, Source, Video
from augserve_server.targets import TargetLimits, Targets, read_targets
from augserve_server.uploads import RawImage, SampleUpload, Upload
from augserve_server.videos import peek_video, video_format

Leaves: TypeAlias = dict[str, Tensor]
"""A decoded sample by the names of its parts: what the engine takes as one structure."""

Size: TypeAlias = tuple[int, int]  # height, width


@dataclass(frozen=True, slots=True)
class EncodedSample:
    """A sample of which all is known but its pixels; without a source it has none, and ``canvas`` is their size."""

    source: Source | None
    targets: Targets
    limit_s: float
    canvas: Size | None = None

    @property
    def format(self) -> str:
        """The name of its image's format; "clip" of frames, "none" where there are no pixels."""
        if self.source is None:
            return "none"
        return self.source.header.format if isinstance(self.source, Picture) else "clip"

    @property
    def pixels(self) -> int:
        """What decoding gives: of the image, or of all frames, and of masks."""
        return (self.source.pixels if self.source else 0) + self.targets.mask_pixels

    @property
    def size(self) -> Size:
        """Height and width of the pixels as they are stored, of the canvas where there are none."""
        return self.source.size if self.source else self.canvas or (0, 0)

    @property
    def frames(self) -> int:
        """Pictures to decode."""
        return (self.source.frames or 1) if self.source else 0

    def decode(self, rule: InputRule, wanted: Callable[[], bool]) -> Leaves:
        """The sample as a structure: an image or a video, and its targets. Raises what is wrong with it."""
        if self.source is None:
            assert self.canvas is not None
            return self.targets.tensors(self.canvas)
        pixels = torch.from_numpy(self.source.decode(rule, Patience(self.limit_s, wanted)))
        height, width = pixels.shape[-3:-1]
        if self.source.frames is None:
            image: Tensor = tv_tensors.Image(pixels.permute(2, 0, 1))
        else:
            image = tv_tensors.Video(pixels.permute(0, 3, 1, 2))
        return {IMAGE_PART: image, **self.targets.tensors((height, width))}


def raw_header(image: RawImage) -> Header:
    """What a header would say of an image that came as its pixels."""
    height, width = image.size
    return Header("raw", width, height, orientation=1)


@dataclass(frozen=True, slots=True)
class ClipLimits:
    """Bounds of one clip."""

    frames: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Inspector:
    """Looks at samples within limits."""

    image: ImageLimits
    clip: ClipLimits
    target: TargetLimits

    def look(self, upload: Upload, wanted: Callable[[], bool]) -> EncodedSample:
        """What is known of a sample before it is decoded. Raises what is wrong with it."""
        if isinstance(upload, ServiceError):
            raise upload
        if not isinstance(upload, SampleUpload):
            return EncodedSample(self._image(upload), Targets(), self.clip.seconds)
        targets = read_targets(upload.targets, self.target)
        return EncodedSample(self._source(upload, wanted), targets, self.clip.seconds)

    def _source(self, upload: SampleUpload, wanted: Callable[[], bool]) -> Source | None:
        if upload.image is not None:
            return self._image(upload.image)
        if upload.clip is not None:
            return self._clip(upload.clip, Patience(self.clip.seconds, wanted))
        return FrameRow(tuple(map(self._frame, range(len(upload.frames)), upload.frames))) if upload.frames else None

    def _image(self, image: bytes | RawImage) -> Source:
        if isinstance(image, bytes):
            return Picture(image, peek(image, self.image))
        self.image.check(raw_header(image))
        return Raw(image)

    def _clip(self, data: bytes, patience: Patience) -> Source:
        try:
            if video_format(data) is None:
                return Animation(data, peek_animation(data, self.image, self.clip.frames))
            return Video(data, peek_video(data, self.image, self.clip.frames, patience), self.image)
        except ServiceError as exc:
            raise exc.within("the clip", "clip") from exc

    def _frame(self, i: int, data: bytes) -> Picture:
        try:
            return Picture(data, peek(data, self.image))
        except ServiceError as exc:
            raise exc.within(f"frame {i} of the clip", "frame") from exc
