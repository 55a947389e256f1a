"""Samples taken apart into what a form has of each: named parts."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import cast

import numpy as np

from augserve.errors import InvalidInput
from augserve.foreign import is_tensor
from augserve.inputs import Image, Source, from_bytes, from_path, read_source
from augserve.record import Record
from augserve.samples import Clip, Item, Sample
from augserve.targets import read_boxes, read_keypoints, read_labels, read_masks
from augserve.wire import (
    BOXES_PART,
    CLIP_PART,
    FRAME_PART,
    IMAGE_PART,
    JSON,
    KEYPOINTS_PART,
    LABELS_PART,
    MASKS_PART,
    RECORD_PART,
)

PART_OVERHEAD_BYTES = 256  # more than the boundary and the headers of one part take


@dataclass(frozen=True, slots=True)
class Parcel:
    """What is sent of one item: its parts in order, each with its name."""

    parts: Sequence[tuple[str, Source]]
    has_targets: bool = False
    """Whether it was a sample, so that its results are ``Augmented``."""

    @property
    def is_image(self) -> bool:
        """Whether it is a lone image, which needs no form."""
        return not self.has_targets and [name for name, _ in self.parts] == [IMAGE_PART]

    @property
    def pixel_part(self) -> str | None:
        """What its pixels are: an image, a clip in a file, or frames; None of targets alone."""
        return next((name for name, _ in self.parts if name in (IMAGE_PART, CLIP_PART, FRAME_PART)), None)

    def part(self, name: str) -> Source | None:
        """The first part of this name."""
        return next((source for own, source in self.parts if own == name), None)

    @property
    def box_type(self) -> str | None:
        """The media type of its boxes, which says their format; None without any."""
        boxes = self.part(BOXES_PART)
        return None if boxes is None else boxes.media_type

    @property
    def size_bytes(self) -> int:
        """No less than it takes in a form."""
        return sum(source.size_bytes + PART_OVERHEAD_BYTES for _, source in self.parts)

    def with_record(self, record: Record) -> Parcel:
        """The same, to be done again as ``record`` says."""
        source = from_bytes(record.to_json().encode(), JSON)
        return replace(self, parts=[*self.parts, (RECORD_PART, source)], has_targets=True)


def read_parcel(item: Item) -> Parcel:
    """Recognise one item, without reading what is a path.

    Raises:
        InvalidInput: It cannot be sent.
        OSError: It has a path, and there is no such file.
    """
    if isinstance(item, Sample):
        return Parcel([*_pixels(item.image), *_targets(item)], has_targets=True)
    return Parcel(list(_pixels(item)))


def _pixels(image: Image | Clip | None) -> Iterator[tuple[str, Source]]:
    if isinstance(image, Clip):
        yield from _frames(image)
    elif image is not None:
        yield IMAGE_PART, read_source(image)


def _frames(clip: Clip) -> Iterator[tuple[str, Source]]:
    frames = clip.frames
    if isinstance(frames, bytes | bytearray | memoryview):
        yield CLIP_PART, from_bytes(frames)
    elif isinstance(frames, str | os.PathLike):
        yield CLIP_PART, from_path(frames)
    elif isinstance(frames, Sequence | np.ndarray) or is_tensor(frames):
        if len(frames) == 0:
            raise InvalidInput("a clip has at least one frame")
        for frame in cast("Sequence[Image]", frames):
            yield FRAME_PART, read_source(frame)
    else:
        raise InvalidInput(
            f"cannot make a clip of a {type(frames).__qualname__}; it is a sequence of images, an array [T, H, W, C], "
            "a tensor [T, C, H, W], or the path or the bytes of an animated image or a video"
        )


def _targets(sample: Sample) -> Iterator[tuple[str, Source]]:
    if sample.boxes is not None:
        yield BOXES_PART, read_boxes(sample)
    if sample.masks is not None:
        yield MASKS_PART, read_masks(sample)
    if sample.keypoints is not None:
        yield KEYPOINTS_PART, read_keypoints(sample)
    if sample.labels is not None:
        yield LABELS_PART, read_labels(sample)
