"""Requests: what is asked for, how it is split over several, and what goes on the wire. No I/O but reading paths."""

from __future__ import annotations

import itertools
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal, TypeAlias
from urllib.parse import quote

from augserve.errors import InvalidInput
from augserve.form_data import write_body
from augserve.parcels import Parcel
from augserve.record import Record
from augserve.samples import Items, listed
from augserve.wire import (
    IMAGE_PART,
    MAX_VIEWS,
    PARAMS_QUERY,
    REPLAY_PATH,
    SAFETENSORS,
    SEED_LIMIT,
    TIMEOUT_MS_HEADER,
    TIMEOUT_MS_LIMIT,
    WIRE_QUERY,
    Wire,
)

Form: TypeAlias = Literal["numpy", "torch", "bytes"]
DType: TypeAlias = Literal["float16", "bfloat16", "float32"]

IMAGES_PER_REQUEST = 64
BYTES_PER_REQUEST = 64 * 2**20
RESULTS_PER_REQUEST = 256
REQUEST_OVERHEAD_BYTES = 2048  # more than what is in front of the items of a request, and behind them


@dataclass(frozen=True, slots=True)
class Call:
    """One call of ``augment``: what is wanted of every image alike."""

    pipeline: str
    form: Form = "numpy"
    seed: int = field(default_factory=lambda: secrets.randbits(32))
    """Of the first result. Drawn here and not by the server, so that retries and split requests agree on it."""
    seed_of_each: Sequence[int] | None = None
    """Of the first view of each image, where ``seed`` does not say it."""
    views: int | None = None
    """None: one of each image."""
    dtype: DType | None = None
    media_type: str | None = None
    quality: int | None = None
    params: bool = False
    """Whether results come with their records."""
    wire: Wire | None = None
    """What pixels travel as, to be finished here; None: as they are."""
    device: Any = None
    """Where tensors are to be; None: in host memory."""

    @classmethod
    def of(
        cls, pipeline: str, form: Form, seed: int | None, seeds: Sequence[int] | None = None, **options: Any
    ) -> Call:
        """A call that draws its seed where there is none; ``options`` are fields."""
        if seeds is not None:
            if seed is not None:
                raise InvalidInput("seed is of the first result and seeds are of each image: give one of them")
            return cls(pipeline, form, 0, [int(each) for each in seeds], **options)
        return cls(pipeline, form, **options) if seed is None else cls(pipeline, form, seed, **options)

    @property
    def results_per_image(self) -> int:
        """Views of each image."""
        return 1 if self.views is None else self.views

    @property
    def path(self) -> str:
        """Where it is sent."""
        return f"/v1/augment/{segment(self.pipeline)}"

    def seeds(self, images: range) -> Sequence[int]:
        """The seeds of the results of some of its images."""
        views = self.results_per_image
        if self.seed_of_each is not None:
            return [self.first_seed(i) + view for i in images for view in range(views)]
        return range(self.first_seed(images.start), self.first_seed(images.stop))

    def first_seed(self, image: int) -> int:
        """The seed of the first view of an image."""
        if self.seed_of_each is not None:
            return self.seed_of_each[image]
        return self.seed + image * self.results_per_image

    def query(self, portion: range) -> dict[str, str]:
        """What stands in the address of the request for some of its images."""
        params = {
            "seed": self.seeds(portion)[0],
            "views": self.results_per_image,
            "quality": self.quality,
            "dtype": self.dtype,
            PARAMS_QUERY: "true" if self.params else None,
            WIRE_QUERY: self.wire,
        }
        return {name: str(value) for name, value in params.items() if value is not None}

    def check(self, images: int) -> None:
        """Raise InvalidInput for what no server accepts."""
        _check_form(self.form, self.media_type, self.quality)
        if self.wire not in (None, "uint8"):
            raise InvalidInput(f"wire is 'uint8' or None, not {self.wire!r}")
        if self.form == "bytes" and self.wire is not None:
            raise InvalidInput("wire is for arrays and tensors: a file of as_='bytes' is as it travels")
        if self.form != "torch" and self.device is not None:
            raise InvalidInput(f"device is for as_='torch', not for {self.form!r}")
        if images == 0:
            raise InvalidInput("there are no images to augment")
        if not 1 <= self.results_per_image <= MAX_VIEWS:
            raise InvalidInput(f"views are 1..{MAX_VIEWS}, not {self.views}")
        self._check_seeds(images)

    def _check_seeds(self, images: int) -> None:
        results = images * self.results_per_image
        if self.seed_of_each is None:
            if not 0 <= self.seed <= SEED_LIMIT - results:
                raise InvalidInput(f"seeds are 0..{SEED_LIMIT - 1}; {self.seed} for the first of {results} is outside")
            return
        if len(self.seed_of_each) != images:
            raise InvalidInput(f"{len(self.seed_of_each)} seeds do not go with {images} images")
        for first in self.seed_of_each:
            if not 0 <= first <= SEED_LIMIT - self.results_per_image:
                raise InvalidInput(f"seeds are 0..{SEED_LIMIT - 1}; {first} is outside, or its last view's is")


@dataclass(frozen=True, slots=True)
class Replay:
    """One call of ``replay``: what was done to each sample is done again."""

    records: Sequence[Record]
    form: Form = "numpy"
    media_type: str | None = None
    quality: int | None = None

    pipeline: ClassVar[None] = None
    views: ClassVar[None] = None
    params: ClassVar[bool] = True  # in that every result is Augmented
    wire: ClassVar[None] = None
    device: ClassVar[None] = None
    results_per_image: ClassVar[int] = 1
    path: ClassVar[str] = REPLAY_PATH

    @classmethod
    def of(cls, records: Record | Sequence[Record], samples: Items, form: Form, **options: Any) -> Replay:
        """A call with a record for each sample, also where there is one for all; ``options`` are fields."""
        each = [records] * len(listed(samples)) if isinstance(records, Record) else records
        return cls(each, form, **options)

    def seeds(self, images: range) -> list[int | None]:
        """The seeds that the results of some of its images were drawn with."""
        return [record.seed for record in self.records[images.start : images.stop]]

    def query(self, portion: range) -> dict[str, str]:
        """What stands in the address of the request for some of its images."""
        return {} if self.quality is None else {"quality": str(self.quality)}

    def check(self, images: int) -> None:
        """Raise InvalidInput for what no server accepts."""
        _check_form(self.form, self.media_type, self.quality)
        if images == 0:
            raise InvalidInput("there are no samples to replay on")
        if images != len(self.records):
            raise InvalidInput(f"{len(self.records)} records do not go with {images} samples")


@dataclass(frozen=True, slots=True)
class Request:
    """What goes on the wire, but for the address and the deadline."""

    method: str
    path: str
    params: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes = b""


def split(sizes_bytes: Sequence[int], images_per_request: int, bytes_per_request: int) -> list[range]:
    """Which images go in which request: in order, as many to a request as its two limits allow.

    An image that is over the limit by itself goes alone: the server says what it thinks of it.
    """
    portions: list[range] = []
    start, held_bytes = 0, 0
    for i, size_bytes in enumerate(sizes_bytes):
        full = i - start >= images_per_request or held_bytes + size_bytes > bytes_per_request
        if full and i > start:
            portions.append(range(start, i))
            start, held_bytes = i, 0
        held_bytes += size_bytes
    return [*portions, range(start, len(sizes_bytes))]


def plan(
    call: Call | Replay, parcels: Sequence[Parcel], images_per_request: int, bytes_per_request: int
) -> list[range]:
    """The portions of a call: at most ``images_per_request`` images, and as many or 256 results if there are views."""
    results = max(RESULTS_PER_REQUEST, images_per_request)
    images = min(images_per_request, max(1, results // call.results_per_image))
    sizes_bytes = [parcel.size_bytes for parcel in parcels]
    portions = split(sizes_bytes, images, bytes_per_request - REQUEST_OVERHEAD_BYTES)
    return [run for portion in portions for run in _runs(call, parcels, portion)]


def _runs(call: Call | Replay, parcels: Sequence[Parcel], portion: range) -> list[range]:
    """The same images in requests of items that can go in one."""
    if isinstance(call, Replay):
        return [portion]
    starts: list[int] = []
    box_type: str | None = None
    for i in portion:
        own = parcels[i].box_type
        new = not starts or not _go_together(call, parcels, i) or (own and box_type and own != box_type)
        if new:
            starts.append(i)
        box_type = own if new or own else box_type
    return [range(*ends) for ends in itertools.pairwise([*starts, portion.stop])]


def _go_together(call: Call, parcels: Sequence[Parcel], i: int) -> bool:
    """Whether an item can be in the request of the one before it: one has one kind of pixels."""
    part = parcels[i].pixel_part
    if part != parcels[i - 1].pixel_part:
        return False
    return not travels_as_form(call, part) or call.first_seed(i) == call.first_seed(i - 1) + call.results_per_image


def travels_as_form(call: Call | Replay, pixel_part: str | None) -> bool:
    """Whether such items have no form in the Open Inference Protocol: replays, and clips as files of their frames."""
    return isinstance(call, Replay) or (call.form == "bytes" and pixel_part != IMAGE_PART)


def build_form(call: Call | Replay, parcels: Sequence[Parcel], portion: range) -> Request:
    """The request for one portion of a call's images as a form, or as one image; reads those that are paths.

    Raises:
        OSError: A path cannot be read.
    """
    body, content_type = write_body([parcels[i] for i in portion])
    return Request(
        method="POST",
        path=call.path,
        params=call.query(portion),
        headers={"Content-Type": content_type, "Accept": _accept(call)},
        body=body,
    )


def build_get(path: str) -> Request:
    """A request for a JSON document."""
    return Request("GET", path, {}, {"Accept": "application/json"})


def build_describe(name: str) -> Request:
    """The request for one pipeline's description."""
    return build_get(f"/v1/pipelines/{segment(name)}")


def deadline_header(remaining_s: float | None) -> dict[str, str]:
    """Tells the server how long its answer is waited for."""
    if remaining_s is None:
        return {}
    return {TIMEOUT_MS_HEADER: str(min(max(1, int(remaining_s * 1000)), TIMEOUT_MS_LIMIT))}


def segment(name: str) -> str:
    """A pipeline's name in an address; raises InvalidInput for what is none."""
    if name in ("", ".", ".."):
        raise InvalidInput(f"{name!r} is no name of a pipeline")
    return quote(name, safe="")


def _accept(call: Call | Replay) -> str:
    return (call.media_type or "*/*") if call.form == "bytes" else SAFETENSORS


def _check_form(form: Form, media_type: str | None, quality: int | None) -> None:
    if form not in ("numpy", "torch", "bytes"):
        raise InvalidInput(f"as_ is 'numpy', 'torch' or 'bytes', not {form!r}")
    if form != "bytes" and (media_type is not None or quality is not None):
        raise InvalidInput("media_type and quality are for as_='bytes': arrays and tensors always come exactly")
