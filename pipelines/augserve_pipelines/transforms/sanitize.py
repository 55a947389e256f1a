"""Drop objects from a sample that are not worth keeping, with their labels: what boxes and key points share."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, TypeAlias

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from augserve_pipelines.dispatch import Call
from augserve_pipelines.errors import InvalidInput
from augserve_pipelines.frames import Frames
from augserve_pipelines.lanes import Lanes
from augserve_pipelines.ops import NOTHING, Op
from augserve_pipelines.samples import Pending, Sample
from augserve_pipelines.transforms.base import Transform
from augserve_pipelines.transforms.labels import places_of_labels
from augserve_pipelines.tv_tensors.interop import kind_of, like

__all__ = ["Keep", "Kept", "Sanitizer"]


@dataclass(frozen=True, slots=True)
class Kept:
    """Which objects of one sample stay, and where their labels are."""

    valid: Tensor  # [objects], bool
    labels: tuple[int, ...]


KeptArray: TypeAlias = NDArray[np.object_]  # [N] of Kept


@dataclass(frozen=True, slots=True)
class Keep(Op):
    """Keep some objects of each sample: in its labels, and in its leaves of these kinds.

    It calls nothing, so that a record takes all boxes and points along when it is replayed.
    """

    kept: KeptArray
    kinds: tuple[type, ...]

    def image(self, x: Tensor) -> Tensor:
        return x

    def parts(self) -> Op:
        return NOTHING

    def calls(self) -> Iterator[Call]:
        return iter(())

    def leaves(self, sample: Sample) -> Sample:
        kept: Kept = self.kept[0]
        changed: dict[int, Any] = {}
        for place, leaf in enumerate(sample.leaves):
            if isinstance(leaf, Pending):
                continue
            if place in kept.labels:
                changed[place] = _picked(leaf, kept.valid)
            elif kind_of(leaf) in self.kinds and _is_one_each(leaf, kept.valid):
                changed[place] = like(leaf, _picked(leaf, kept.valid))
        return sample.with_leaves(changed)


class Sanitizer(Transform):
    """Base of the transforms that drop objects."""

    kind: ClassVar[type]
    """What tells which objects stay; of several such leaves, the first."""

    labels_getter: Any

    def valid(self, leaf: Any) -> Tensor:
        """Which objects stay, ``[objects]``."""
        raise NotImplementedError(f"{type(self).__name__} does not define valid()")

    def draw(self, lanes: Lanes, frames: Frames) -> Op:
        if frames.samples is not None:
            return self._op(list(frames.samples))
        if lanes.probing:
            return NOTHING
        raise InvalidInput(f"{type(self).__name__} needs samples with {self.kind.__name__}, not images alone")

    def act(self, sample: Sample) -> Sample:
        """A sample without the objects that go."""
        return self._op([sample]).leaves(sample)  # as one, whatever sizes the leaves are of

    def _op(self, samples: Sequence[Sample]) -> Op:
        return Keep(np.fromiter((self._kept(sample) for sample in samples), object, len(samples)), self.acts_on)

    def _kept(self, sample: Sample) -> Kept:
        labels = places_of_labels(self.labels_getter, sample)
        leaf = sample.first(self.kind)
        if leaf is None:
            raise InvalidInput(f"{type(self).__name__} needs {self.kind.__name__}: there are none in the sample")
        for place in labels:
            _check_labels(sample.leaves[place], leaf)
        return Kept(self.valid(leaf), labels)


def _picked(leaf: Any, valid: Tensor) -> Tensor:
    plain: Tensor = leaf.as_subclass(Tensor)
    return plain[valid.to(plain.device)]


def _is_one_each(leaf: Any, valid: Tensor) -> bool:
    """Whether a leaf has as many entries as there are objects: a mask of all of them at once has rows instead."""
    return leaf.ndim > 0 and len(leaf) == len(valid)


def _check_labels(labels: Any, leaf: Any) -> None:
    if isinstance(labels, Pending):  # it is not read before the draw
        return
    if labels.ndim == 0 or len(labels) != len(leaf):
        name, shape = type(leaf).__name__, [*labels.shape]
        raise InvalidInput(f"there are {len(leaf)} {name} and labels of shape {shape}: one label each is needed")
