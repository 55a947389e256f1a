"""What a request wants done, and how large its results will be."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from augserve.wire import IMAGE_PART, LABELS_PART, WIRE_QUERY
from augserve_pipelines import InputRule, NoFinish
from augserve_server.catalog import Served
from augserve_server.costs import Size
from augserve_server.decoding import Encoded, Ready
from augserve_server.errors import ParameterInvalid, TargetInvalid
from augserve_server.inspection import EncodedSample
from augserve_server.negotiation import media_types_of, negotiate
from augserve_server.results import Form
from augserve_server.uploads import SampleUpload, Upload
from augserve_server.work import Augmented, OverImages, OverSamples


@dataclass(frozen=True, slots=True)
class Order:
    """A pipeline over images: result ``i * views + v`` has seed ``seed + i * views + v``, or ``seeds[i] + v``."""

    served: Served
    seed: int
    views: int
    form: Form
    params: bool = False
    """Whether results come with the record of what was done to them."""
    in_parts: bool = False
    """Whether results are more than pixels, so that each has a body of its own or several."""
    first_seeds: Sequence[int] | None = None
    """The seed of each image's first view, where the images do not follow one another from ``seed``."""

    def for_uploads(self, uploads: Sequence[Upload]) -> Order:
        """The same order, where any of these has more than an image for results that have more than pixels."""
        in_parts = self.params or self.mixes or any(isinstance(upload, SampleUpload) for upload in uploads)
        return self if in_parts == self.in_parts else replace(self, in_parts=in_parts)

    def seeds(self, image: int) -> range:
        """The seeds of an image's views."""
        first = self.seed + image * self.views if self.first_seeds is None else self.first_seeds[image]
        return range(first, first + self.views)

    @property
    def work(self) -> OverImages | OverSamples:
        """What is done to each image, one object for all orders of the same."""
        return self.served.over_samples(self.params) if self.in_parts else self.served.over_images

    @property
    def mixes(self) -> bool:
        """Whether the results are mixed with one another at the end."""
        return self.served.pipeline.batched

    def output_bytes(self, image: Encoded | Ready | EncodedSample) -> int:
        """Bytes of one image's results before they are encoded; where their size depends on it, as large as it is."""
        pixels = self._pixels(image)
        beside = image.targets.bytes_at(pixels) if isinstance(image, EncodedSample) else 0
        return self.views * (self.served.pixel_bytes * pixels * image.frames + beside)

    def size(self, image: Encoded | Ready | EncodedSample, encoded_bytes: int) -> Size:
        """What one of an image's results costs is told from this: views share what is decoded."""
        pixels = self._pixels(image) * image.frames
        return Size(1, encoded_bytes // self.views, image.pixels // self.views, pixels)

    def _pixels(self, image: Encoded | Ready | EncodedSample) -> int:
        """Of one picture of a result."""
        signature = self.served.signature
        if signature.height and signature.width:
            return signature.height * signature.width
        height, width = image.size
        return (signature.height or height) * (signature.width or width)

    def check(self, sample: EncodedSample) -> EncodedSample:
        """A sample as the pipeline takes it. Raises TargetInvalid where something is missing that it needs."""
        if not self.mixes:
            return sample
        labels = sample.targets.labels
        if labels is None:
            raise TargetInvalid(LABELS_PART, f"pipeline {self.served.name!r} mixes labels: send that of each image")
        return replace(sample, targets=sample.targets.with_label()) if labels.shape == (1,) else sample


def variant_of(served: Served, dtype: str | None, wire: str | None) -> Served:
    """A pipeline with its floats cast to ``dtype``, or sent as bytes where ``wire`` says so.

    Raises ParameterInvalid where its results are no floats, or cannot be finished later.
    """
    given = served.signature.dtype
    if dtype is not None and not (given or "").startswith(("float", "bfloat")):
        raise ParameterInvalid("dtype", dtype, f"left out: pipeline {served.name!r} gives {given}")
    if dtype is not None:
        served = served.giving(dtype)
    try:
        return served if wire is None else served.in_bytes()
    except NoFinish as exc:
        allowed = f"left out: results of pipeline {served.name!r} cannot be finished later, for {exc}"
        raise ParameterInvalid(WIRE_QUERY, wire, allowed) from exc


@dataclass(frozen=True, slots=True)
class ReplayOrder:
    """Records over samples: how these become pixels, and what the answer may be."""

    rule: InputRule
    accept: str
    quality: int

    def form(self, results: Sequence[Augmented]) -> Form:
        """How to write these results: by what they are, for no pipeline says it beforehand. Raises NotAcceptable."""
        images = [result.leaves[IMAGE_PART] for result in results if IMAGE_PART in result.leaves]
        return Form(negotiate(self.accept, media_types_of(images)), self.quality)
