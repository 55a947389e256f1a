"""Where the pixels of a sample come from: an image, or a clip in one of three forms, none of them decoded yet."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from augserve_pipelines import InputRule
from augserve_server.animations import decode_animation
from augserve_server.codecs import decode
from augserve_server.errors import ClipInvalid, ServiceError
from augserve_server.headers import Header, ImageLimits
from augserve_server.patience import Patience
from augserve_server.pixels import Pixels, luma
from augserve_server.uploads import RawImage
from augserve_server.videos import VideoHeader, decode_video


class Source(Protocol):
    """Encoded pixels whose header was read."""

    @property
    def size(self) -> tuple[int, int]:
        """Height and width as stored."""

    @property
    def frames(self) -> int | None:
        """The most frames that a clip has; None of an image."""

    @property
    def pixels(self) -> int:
        """Of all frames together, at most."""

    def decode(self, rule: InputRule, patience: Patience) -> Pixels:
        """The pixels, [H, W, C] of an image, [T, H, W, C] of a clip. Raises what is wrong with them."""


@dataclass(frozen=True, slots=True)
class Picture:
    """An encoded image, and what its header says."""

    data: bytes
    header: Header

    @property
    def size(self) -> tuple[int, int]:
        return self.header.height, self.header.width

    @property
    def frames(self) -> None:
        return None

    @property
    def pixels(self) -> int:
        return self.header.pixels

    def decode(self, rule: InputRule, patience: Patience) -> Pixels:
        return decode(self.data, self.header, rule)


@dataclass(frozen=True, slots=True)
class Raw:
    """An image that came as its pixels."""

    image: RawImage

    @property
    def size(self) -> tuple[int, int]:
        return self.image.size

    @property
    def frames(self) -> None:
        return None

    @property
    def pixels(self) -> int:
        return self.image.area

    def decode(self, rule: InputRule, patience: Patience) -> Pixels:
        return self.image.pixels.transpose(1, 2, 0)


@dataclass(frozen=True, slots=True)
class FrameRow:
    """A clip whose frames are images of their own, all of one size."""

    pictures: tuple[Picture, ...]

    @property
    def size(self) -> tuple[int, int]:
        return self.pictures[0].size

    @property
    def frames(self) -> int:
        return len(self.pictures)

    @property
    def pixels(self) -> int:
        return sum(picture.pixels for picture in self.pictures)

    def decode(self, rule: InputRule, patience: Patience) -> Pixels:
        clip = np.empty((0, 0, 0, 0), np.uint8)
        for i in range(len(self.pictures)):
            patience.check()
            pixels = self._decode(i, rule, patience)
            if i == 0:
                clip = np.empty((len(self.pictures), *pixels.shape), np.uint8)
            check_frame_size(i, pixels.shape[:2], clip.shape[1:3])
            clip[i] = pixels
        return clip

    def _decode(self, i: int, rule: InputRule, patience: Patience) -> Pixels:
        try:
            return self.pictures[i].decode(rule, patience)
        except ServiceError as exc:
            raise exc.within(f"frame {i} of the clip", "frame") from exc


@dataclass(frozen=True, slots=True)
class Animation:
    """A clip in an animated image."""

    data: bytes
    header: Header

    @property
    def size(self) -> tuple[int, int]:
        return self.header.height, self.header.width

    @property
    def frames(self) -> int:
        return self.header.frames

    @property
    def pixels(self) -> int:
        return self.header.pixels * self.header.frames

    def decode(self, rule: InputRule, patience: Patience) -> Pixels:
        try:
            return decode_animation(self.data, self.header, rule, patience)
        except ServiceError as exc:
            raise exc.within("the clip", "clip") from exc


@dataclass(frozen=True, slots=True)
class Video:
    """A clip in a video file."""

    data: bytes
    header: VideoHeader
    limits: ImageLimits

    @property
    def size(self) -> tuple[int, int]:
        return self.header.height, self.header.width

    @property
    def frames(self) -> int:
        return self.header.frames

    @property
    def pixels(self) -> int:
        return self.header.width * self.header.height * self.header.frames

    def decode(self, rule: InputRule, patience: Patience) -> Pixels:
        clip = decode_video(self.data, self.header, self.limits, rule.orientation == "apply", patience)
        return np.stack([luma(frame) for frame in clip]) if rule.mode == "L" else clip


def check_frame_size(i: int, size: tuple[int, ...], first: tuple[int, ...]) -> None:
    """Raise ``ClipInvalid`` where frame ``i`` is not of the size that the first one has, both (height, width)."""
    if size != first:
        sizes = f"frame {i} is {size[0]} x {size[1]} (height x width), and frame 0 is {first[0]} x {first[1]}"
        raise ClipInvalid(f"has frames of several sizes: {sizes}", field="frame")
