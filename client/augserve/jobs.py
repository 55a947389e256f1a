"""A call from images and samples to results, all but the sending."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from augserve.bodies import Reader, reader
from augserve.errors import InvalidInput, ServiceError
from augserve.inference import build_inference
from augserve.parcels import Parcel, read_parcel
from augserve.requests import Call, Replay, Request, build_form, plan, travels_as_form
from augserve.responses import Answer, PortionResults, merge, read_form, read_inference, read_rejection
from augserve.samples import Item, Items, Sample, is_item, listed


@dataclass(frozen=True, slots=True)
class Job:
    """One call: what is sent of each item, and how it is split over requests."""

    call: Call | Replay
    parcels: Sequence[Parcel]
    portions: Sequence[range]
    reader: Reader
    bare: bool
    """One item was given, and no number of views: the answer is its result and not a sequence of one."""

    @classmethod
    def plan(cls, call: Call | Replay, items: Items, images_per_request: int, bytes_per_request: int) -> Job:
        """Look at the items without reading those that are paths.

        Raises:
            InvalidInput: An item or an argument cannot be sent.
            OSError: A path is not there.
        """
        several = listed(items)
        call.check(len(several))
        parcels = [_parcel(call, i, item) for i, item in enumerate(several)]
        portions = plan(call, parcels, images_per_request, bytes_per_request)
        return cls(call, parcels, portions, reader(call.form, call.device), bare=call.views is None and is_item(items))

    def request(self, portion: range) -> Request:
        """The request for a portion of the items; reads those that are paths."""
        if isinstance(self.call, Replay) or self._as_form(portion):
            return build_form(self.call, self.parcels, portion)
        return build_inference(self.call, self.parcels, portion)

    def read(self, answer: Answer, portion: range) -> PortionResults:
        """The results in an answer."""
        own = self.parcels[portion.start : portion.stop]
        if isinstance(self.call, Replay) or self._as_form(portion):
            return read_form(answer, self.call, portion, own, self.reader)
        return read_inference(answer, self.call, portion, own, self.reader)

    def _as_form(self, portion: range) -> bool:
        """Whether a portion does not travel over the Open Inference Protocol: one image alone is a body as it is."""
        first = self.parcels[portion.start]
        return travels_as_form(self.call, first.pixel_part) or (self.bare and first.is_image)

    def reject(self, error: ServiceError, portion: range) -> PortionResults:
        """The results where a request failed because all of its images did; raises ``error`` where it is not so."""
        return read_rejection(error, self.call, portion)

    def finish(self, portions: Sequence[PortionResults]) -> Any:
        """What the caller gets."""
        results = merge(self.call, range(len(self.parcels)), portions)
        return results.raise_for_errors()[0] if self.bare else results


def _parcel(call: Call | Replay, index: int, item: Item) -> Parcel:
    try:
        parcel = read_parcel(item)
    except InvalidInput as error:
        error.add_note(f"it is number {index} of what was given, counted from 0")
        raise
    if not parcel.parts:
        raise InvalidInput(f"sample {index} has neither an image nor targets")
    if isinstance(call, Replay):
        return parcel.with_record(call.records[index])
    if isinstance(item, Sample) and item.image is None:
        raise InvalidInput(f"sample {index} has no image; only replay takes targets alone")
    return parcel
