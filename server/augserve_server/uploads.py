"""Which parts of a form make one sample: an image, a clip or its frames, and the targets beside them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
import numpy.typing as npt

from augserve.wire import CLIP_PART, FRAME_PART, IMAGE_PART, RECORD_PART, TARGET_PARTS
from augserve_server.errors import (
    BodyMalformed,
    ClipTooLarge,
    EmptyBody,
    ImageTooLarge,
    RecordInvalid,
    ServiceError,
    TargetTooLarge,
    TooManyImages,
)
from augserve_server.forms import PartHead

LONGEST_NAME: Final = 100
MAX_RECORD_BYTES: Final = 1 << 20

PIXEL_PARTS: Final = (IMAGE_PART, CLIP_PART, FRAME_PART)
_NAME: Final = re.compile(r"(\w+)(?:\[(\d{1,9})\])?", re.ASCII)


@dataclass(frozen=True, slots=True, eq=False)
class RawImage:
    """An image that came as its pixels, [C, H, W] uint8."""

    pixels: npt.NDArray[np.uint8]

    def __len__(self) -> int:
        """Bytes, as of an image that came encoded."""
        return self.pixels.nbytes

    @property
    def size(self) -> tuple[int, int]:
        """Height and width."""
        height, width = self.pixels.shape[1:]
        return height, width

    @property
    def area(self) -> int:
        """Height times width."""
        height, width = self.size
        return height * width


@dataclass(frozen=True, slots=True)
class Target:
    """A target as it came, and the media type that it came with."""

    data: bytes
    content_type: str


@dataclass(frozen=True, slots=True)
class SampleUpload:
    """A sample as it came: its pixels in one of three forms or not at all, its targets, and a record to replay."""

    image: bytes | RawImage | None = None
    clip: bytes | None = None
    frames: tuple[bytes, ...] = ()
    targets: Mapping[str, Target] = field(default_factory=dict)
    record: bytes | None = None

    @property
    def nbytes(self) -> int:
        """Of all parts but the record, as they came."""
        pixels = (self.image or b"", self.clip or b"", *self.frames)
        return sum(map(len, pixels)) + sum(len(target.data) for target in self.targets.values())


Upload = bytes | RawImage | SampleUpload | ServiceError
"""A sample as it came, just its bytes or pixels where it is an image alone; or why it was not kept."""


@dataclass(frozen=True, slots=True)
class Grammar:
    """What a form may consist of: ``replay`` allows records, and samples that have no pixels."""

    replay: bool = False

    @property
    def names(self) -> tuple[str, ...]:
        """The names that parts may have."""
        return (*PIXEL_PARTS, *TARGET_PARTS, *((RECORD_PART,) if self.replay else ()))


@dataclass(frozen=True, slots=True)
class SampleLimits:
    """Bounds of one sample's parts, and of the number of samples."""

    images: int
    image_bytes: int
    frames: int


@dataclass(slots=True)
class _Draft:
    """A sample while its parts arrive; one that has failed keeps none of them."""

    parts: dict[str, Target] = field(default_factory=dict)
    frames: list[bytes] = field(default_factory=list)
    begun: list[str] = field(default_factory=list)  # the names of its parts, each once for a row of them
    frame_count: int = 0
    error: ServiceError | None = None

    def fail(self, error: ServiceError) -> None:
        self.error = self.error or error
        self.parts.clear()
        self.frames.clear()

    def upload(self) -> Upload:
        if self.error is not None:
            return self.error
        image = self.parts.get(IMAGE_PART)
        if image is not None and len(self.parts) == 1:
            return image.data
        targets: dict[str, Target] = {name: self.parts[name] for name in TARGET_PARTS if name in self.parts}
        return SampleUpload(
            image=image.data if image else None,
            clip=self._data(CLIP_PART),
            frames=tuple(self.frames),
            targets=targets,
            record=self._data(RECORD_PART),
        )

    def _data(self, name: str) -> bytes | None:
        return self.parts[name].data if name in self.parts else None


class Samples:
    """Takes the parts of a form, and makes samples of them.

    With an index, ``boxes[3]``, a part belongs to sample 3; without one, to the sample that began last. Either all
    parts have an index, or none.
    """

    def __init__(self, limits: SampleLimits, grammar: Grammar) -> None:
        self._limits = limits
        self._grammar = grammar
        self._drafts: dict[int, _Draft] = {}
        self._count = 0
        self._indexed = False
        self._draft = _Draft()
        self._head = PartHead("", "")

    def begin(self, head: PartHead) -> int:
        """A part begins: it is given to its sample. Raises what is wrong with the form as a whole."""
        name, index = self._parse(head.name)
        if self._count == 0:
            self._indexed = index is not None
        if self._indexed != (index is not None):
            raise BodyMalformed(
                f"part {self._count} of the form is named {head.name!r}; either all parts have an index or none",
                field=head.name,
            )
        self._draft = self._next_draft(name) if index is None else self._numbered_draft(name, index)
        self._head = PartHead(name, head.content_type)
        self._count += 1
        self._begin_in(self._draft, name)
        return MAX_RECORD_BYTES if name == RECORD_PART else self._limits.image_bytes

    def end(self, data: bytes | None, size: int) -> None:
        """A part is there; where it is too large, its sample fails."""
        draft, name = self._draft, self._head.name
        if data is None:
            draft.fail(self._too_large(name, size))
        elif draft.error is None and name == FRAME_PART:
            draft.frames.append(data)
        elif draft.error is None:
            draft.parts[name] = Target(data, self._head.content_type)

    def uploads(self) -> list[Upload]:
        """The samples in order. Raises what is wrong with the form as a whole."""
        if not self._drafts:
            raise EmptyBody
        missing = next((i for i in range(len(self._drafts)) if i not in self._drafts), None)
        if missing is not None:
            raise BodyMalformed(f"there is a sample {max(self._drafts)}, and no sample {missing}; count from 0")
        if not self._grammar.replay:
            self._check_pixels()
        return [self._drafts[i].upload() for i in range(len(self._drafts))]

    def _parse(self, name: str) -> tuple[str, int | None]:
        found = _NAME.fullmatch(name)
        allowed = self._grammar.names
        if found is None or found[1] not in allowed:
            shown = name[:LONGEST_NAME]
            detail = f"part {self._count} of the form is named {shown!r}; allowed: {', '.join(allowed)}"
            raise BodyMalformed(detail, field=shown, allowed=list(allowed))
        return found[1], None if found[2] is None else int(found[2])

    def _numbered_draft(self, name: str, index: int) -> _Draft:
        if index >= self._limits.images:
            raise TooManyImages(self._limits.images)
        draft = self._drafts.setdefault(index, _Draft())
        if not _has_room(draft, name):
            raise BodyMalformed(f"sample {index} of the form has two parts where one {name!r} belongs", field=name)
        return draft

    def _next_draft(self, name: str) -> _Draft:
        """The sample that began last, or a new one where this part begins one."""
        last = self._drafts.get(len(self._drafts) - 1)
        if last is not None and self._continues(last, name):
            return last
        if name not in PIXEL_PARTS and not self._grammar.replay:
            raise BodyMalformed(_UNEXPECTED.format(self._count, name), field=name)
        if len(self._drafts) == self._limits.images:
            raise TooManyImages(self._limits.images)
        return self._drafts.setdefault(len(self._drafts), _Draft())

    def _continues(self, last: _Draft, name: str) -> bool:
        if name == FRAME_PART and last.begun[-1] == FRAME_PART:
            return True
        if name in PIXEL_PARTS:
            return last.begun == [RECORD_PART]  # which belongs to what comes after it, for nothing is before it
        return name not in last.begun

    def _begin_in(self, draft: _Draft, name: str) -> None:
        if draft.begun[-1:] != [name]:
            draft.begun.append(name)
        if name == FRAME_PART:
            draft.frame_count += 1
            if draft.frame_count > self._limits.frames:
                draft.fail(ClipTooLarge("frames", draft.frame_count, self._limits.frames))

    def _too_large(self, name: str, size: int) -> ServiceError:
        limit = self._limits.image_bytes
        if name == RECORD_PART:
            return RecordInvalid(f"has {size} bytes; at most {MAX_RECORD_BYTES} are allowed", limit=MAX_RECORD_BYTES)
        if name in TARGET_PARTS:
            return TargetTooLarge(name, "bytes", size, limit)
        error = ImageTooLarge("bytes", size, limit)
        return error if name == IMAGE_PART else error.within(name, name)

    def _check_pixels(self) -> None:
        for i, draft in self._drafts.items():
            if not any(name in PIXEL_PARTS for name in draft.begun):
                raise BodyMalformed(f"sample {i} of the form has no {_or(PIXEL_PARTS)}", field=IMAGE_PART)


_UNEXPECTED: Final = (
    "part {} of the form is named {!r}, but no image stands before it, or one that has such a part already"
)


def _has_room(draft: _Draft, name: str) -> bool:
    """Whether a sample may have one more part of this name: it has one of each, and pixels in one form only."""
    if name in PIXEL_PARTS:
        taken = [other for other in draft.begun if other in PIXEL_PARTS]
        return not taken or (name == FRAME_PART and set(taken) == {FRAME_PART})
    return name not in draft.begun


def _or(names: Sequence[str]) -> str:
    return f"{', '.join(names[:-1])} or {names[-1]}"
