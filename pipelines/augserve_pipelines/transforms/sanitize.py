"""Drop objects from a sample that are not worth keeping, with their labels: what boxes and key points share."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from augserve_pipelines.dispatch import Call, functional
from augserve_pipelines.errors import InvalidInput
from augserve_pipelines.frames import Frames
from augserve_pipelines.lanes import Lanes
from augserve_pipelines.ops import NOTHING, Op
from augserve_pipelines.samples import Pending, Sample
from augserve_pipelines.transforms.base import Transform
from augserve_pipelines.transforms.labels import places_of_labels
from augserve_pipelines.tv_tensors.interop import kind_of, like

__all__ = ["Keep", "Kept", "Sanitizer", "keep_objects"]


@dataclass(frozen=True, slots=True)
class Kept:
    """Which objects of one sample stay, and where their labels are."""

    valid: Tensor  # [objects], bool
    labels: tuple[int, ...]


KeptArray: TypeAlias = NDArray[np.object_]  # [N] of Kept


@dataclass(frozen=True, slots=True)
class Keep(Op):
    """Keep some objects of each sample: in its labels, and in its leaves of these kinds.

    Labels are no kind that a functional acts on: a record that is replayed leaves them as they are, and says which
    objects stayed.
    """

    kept: KeptArray
    kinds: tuple[type, ...]

    def image(self, x: Tensor) -> Tensor:
        return x

    def parts(self) -> Op:
        return NOTHING

    def calls(self) -> Iterator[Call]:
        yield Call(keep_objects, {"valid": self.kept[0].valid.tolist()}, self.kinds)

    def leaves(self, sample: Sample) -> Sample:
        kept: Kept = self.kept[0]
        changed: dict[int, Any] = {}
        for place, leaf in enumerate(sample.leaves):
            if isinstance(leaf, Pending):
                continue
            if place in kept.labels:
                changed[place] = _picked(leaf, kept.valid)
            elif kind_of(leaf) in self.kinds:
                changed[place] = like(leaf, _kept_of(leaf.as_subclass(Tensor), kept.valid))
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


def _kept_of(entries: Tensor, valid: Tensor | Sequence[bool]) -> Tensor:
    """Those entries that stay, where there is one for each object: a mask of all of them at once has rows instead."""
    one_each = entries.ndim > 0 and len(entries) == len(valid)
    return _picked(entries, torch.as_tensor(valid, dtype=torch.bool)) if one_each else entries


@functional(mask=_kept_of, boxes=_kept_of, keypoints=_kept_of)
def keep_objects(inpt: Any, valid: Sequence[bool]) -> Any:
    """Keep the boxes, masks or points of those objects that are ``valid``, one for each."""


def _check_labels(labels: Any, leaf: Any) -> None:
    if isinstance(labels, Pending):  # it is not read before the draw
        return
    if labels.ndim == 0 or len(labels) != len(leaf):
        name, shape = type(leaf).__name__, [*labels.shape]
        raise InvalidInput(f"there are {len(leaf)} {name} and labels of shape {shape}: one label each is needed")
