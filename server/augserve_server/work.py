"""What the device is given to do: a pipeline over images, or over samples of several parts."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

from torch import Tensor

from augserve.wire import IMAGE_PART, MASKS_PART
from augserve_pipelines import Pipeline
from augserve_pipelines.deferred import Deferred, Loaded
from augserve_pipelines.records import Record
from augserve_pipelines.tv_tensors.interop import like

if TYPE_CHECKING:
    from augserve_server.place import Place  # which knows images that are decoded later, and they know this


@dataclass(frozen=True, slots=True, eq=False)
class Augmented:
    """The result of a sample of several parts: what they have become, and the record of it where that was asked for."""

    leaves: Mapping[str, Any]
    record: Record | None = None

    @property
    def nbytes(self) -> int:
        """Of all parts together."""
        return sum(int(leaf.nbytes) for leaf in self.leaves.values())


Result: TypeAlias = Tensor | Augmented


def pictures(result: Result) -> list[Tensor]:
    """The parts of a result that have pixels: its image or clip, and its masks."""
    if isinstance(result, Tensor):
        return [result]
    return [result.leaves[name] for name in (IMAGE_PART, MASKS_PART) if name in result.leaves]


class Work(Protocol):
    """A queue's work: everything in one batch is done by the same object."""

    @property
    def name(self) -> str:
        """Of the pipeline."""

    def run(
        self, items: Sequence[Any], seeds: Sequence[int], place: Place, nearly_done: Callable[[], None]
    ) -> Sequence[Result | Exception]:
        """The result of each item, in host memory, or why it has none. Raises InvalidInput where one cannot be run.

        ``nearly_done`` may be called when the device has nothing more to begin.
        """


@dataclass(frozen=True, slots=True, eq=False)
class OverImages:
    """A pipeline over images [C, H, W]."""

    pipeline: Pipeline

    @property
    def name(self) -> str:
        return self.pipeline.name

    def run(
        self,
        items: Sequence[Tensor | Deferred],
        seeds: Sequence[int],
        place: Place,
        nearly_done: Callable[[], None],
    ) -> list[Tensor | Exception]:
        tensors = [item for item in items if isinstance(item, Tensor)]
        if len(tensors) == len(items):
            return [*place.run(self.pipeline, tensors, seeds)]
        images = [Loaded(item) if isinstance(item, Tensor) else item for item in items]
        return place.decode_and_run(self.pipeline, images, seeds, nearly_done)


@dataclass(frozen=True, slots=True, eq=False)
class OverSamples:
    """A pipeline over samples of several parts."""

    pipeline: Pipeline
    records: bool

    @property
    def name(self) -> str:
        return self.pipeline.name

    def run(
        self,
        items: Sequence[Mapping[str, Tensor]],
        seeds: Sequence[int],
        place: Place,
        nearly_done: Callable[[], None],
    ) -> list[Augmented]:
        done = self.pipeline(items, seeds, device=place.device, records=self.records)
        records = done.records if self.records else [None] * len(items)
        return [Augmented(in_host_memory(leaves), record) for leaves, record in zip(done, records, strict=True)]


def in_host_memory(leaves: Mapping[str, Any]) -> dict[str, Any]:
    """The parts of a sample as they are, on the CPU."""
    return {name: like(leaf, leaf.as_subclass(Tensor).cpu()) for name, leaf in leaves.items()}
