"""A call of ``augment`` from images to results, all but the sending."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from augserve.bodies import Reader, reader
from augserve.errors import ServiceError
from augserve.inputs import Images, Source, is_image, listed, read_source
from augserve.requests import Call, Request, build_augment, plan
from augserve.responses import Answer, PortionResults, merge, read_portion, read_rejection


@dataclass(frozen=True, slots=True)
class Job:
    """One call: its images, and how they are split over requests."""

    call: Call
    sources: Sequence[Source]
    portions: Sequence[range]
    reader: Reader
    bare: bool
    """One image was given, and no number of views: the answer is its result and not a sequence of one."""

    @classmethod
    def plan(cls, call: Call, images: Images, images_per_request: int, bytes_per_request: int) -> Job:
        """Look at the images without reading those that are paths.

        Raises:
            InvalidInput: An image or an argument cannot be sent.
            OSError: A path is not there.
        """
        several = listed(images)
        call.check(len(several))
        sources = [read_source(image) for image in several]
        portions = plan(call, sources, images_per_request, bytes_per_request)
        return cls(call, sources, portions, reader(call.form), bare=call.views is None and is_image(images))

    def request(self, portion: range) -> Request:
        """The request for a portion of the images; reads those that are paths."""
        return build_augment(self.call, self.sources, portion)

    def read(self, answer: Answer, portion: range) -> PortionResults:
        """The results in an answer."""
        return read_portion(answer, self.call, portion, self.reader)

    def reject(self, error: ServiceError, portion: range) -> PortionResults:
        """The results where a request failed because all of its images did; raises ``error`` where it is not so."""
        return read_rejection(error, self.call, portion)

    def finish(self, portions: Sequence[PortionResults]) -> Any:
        """What the caller gets."""
        results = merge(self.call, portions)
        return results.raise_for_errors()[0] if self.bare else results
