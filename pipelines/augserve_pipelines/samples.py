"""One sample: a structure of images, masks, boxes and whatever else lies beside them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import numpy as np
import torch
from PIL import Image as Picture
from torch import Tensor
from torch.utils import _pytree as pytree  # what torchvision itself flattens its inputs with

from augserve_pipelines.frames import Frames, is_interleaved
from augserve_pipelines.tv_tensors import BoundingBoxes, Image, KeyPoints, Mask, Video
from augserve_pipelines.tv_tensors.interop import kind_of, metadata

__all__ = ["Pending", "Sample", "frames_of", "size_of"]

Size: TypeAlias = tuple[int, int]  # height, width
Shape: TypeAlias = tuple[int, ...]

TRANSFORMED: tuple[type, ...] = (Tensor, Picture.Image)
PICTURES = (Image, Video, Picture.Image)
_PICTURE_DTYPES = {"F": torch.float32, "I": torch.int32, "I;16": torch.uint16}


@dataclass(frozen=True, slots=True)
class Pending:
    """Stands for a leaf of this kind that nothing is to be done with now."""

    kind: type


@dataclass(frozen=True, slots=True)
class Sample:
    """A flattened structure. ``acts`` are the places of the leaves that transforms act on.

    As in torchvision: tensors that are marked as nothing pass where there is an image, a video or a PIL image; where
    there is none, the first of them is the image.
    """

    leaves: tuple[Any, ...]
    structure: pytree.TreeSpec
    acts: tuple[int, ...]

    @classmethod
    def of(cls, value: Any, types: tuple[type, ...] = TRANSFORMED) -> Sample:
        """The sample of a structure; ``types`` are what may be acted on at all."""
        leaves, structure = pytree.tree_flatten(value)
        return cls(tuple(leaves), structure, _acted_on(leaves, types))

    def value(self) -> Any:
        """The structure again."""
        return pytree.tree_unflatten(list(self.leaves), self.structure)

    def kind_at(self, place: int) -> type | None:
        """The kind of a leaf, pending or not."""
        leaf = self.leaves[place]
        return leaf.kind if isinstance(leaf, Pending) else kind_of(leaf)

    def places(self, *kinds: type) -> list[int]:
        """Where leaves of these kinds are, among those that are acted on."""
        return [place for place in self.acts if kind_of(self.leaves[place]) in kinds]

    def kinds(self) -> set[type]:
        """The kinds of all leaves, pending ones and those that are not acted on too."""
        kinds = (self.kind_at(place) for place in range(len(self.leaves)))
        return {kind for kind in kinds if kind is not None}

    def first(self, *kinds: type) -> Any:
        """The first leaf of these kinds among those that are acted on, or None."""
        return next((self.leaves[place] for place in self.places(*kinds)), None)

    def mapped(self, change: Callable[[Any], Any]) -> Sample:
        """The sample with every leaf changed that is acted on and is not pending."""
        present = (place for place in self.acts if not isinstance(self.leaves[place], Pending))
        return self.with_leaves({place: change(self.leaves[place]) for place in present})

    def with_leaves(self, changed: Mapping[int, Any]) -> Sample:
        """The sample with other leaves in some places."""
        return replace(self, leaves=tuple(changed.get(place, leaf) for place, leaf in enumerate(self.leaves)))

    def without_pixels(self) -> Sample:
        """The sample with its pixels and masks pending: what can be changed before a pixel is read."""
        return self._pending([*self.pixel_places(), *self.places(Mask)])

    def alone(self, places: Sequence[int]) -> Sample:
        """The sample with everything pending but what is in these places."""
        return self._pending([place for place in range(len(self.leaves)) if place not in places])

    def _pending(self, places: Sequence[int]) -> Sample:
        return self.with_leaves({place: Pending(kind_of(self.leaves[place]) or object) for place in places})

    def pixel_places(self) -> list[int]:
        """Where the images and videos are."""
        return self.places(Tensor, *PICTURES)


def frames_of(samples: Sequence[Sample]) -> Frames:
    """The frames of samples: of the first image of each, else of what is there; without an image, of no channels."""
    rows = [_row(sample) for sample in samples]
    dtypes, leads, kept = (np.empty(len(rows), object) for _ in range(3))
    for i, row in enumerate(rows):
        dtypes[i], leads[i], kept[i] = row.dtype, row.lead, samples[i].without_pixels()
    return Frames(
        heights=np.array([row.size[0] for row in rows], np.int64),
        widths=np.array([row.size[1] for row in rows], np.int64),
        channels=np.array([row.channels for row in rows], np.int64),
        dtypes=dtypes,
        leads=leads,
        videos=np.array([row.video for row in rows], bool),
        interleaved=np.array([row.interleaved for row in rows], bool),
        samples=kept,
    )


def size_of(leaf: Any) -> Size | None:
    """Height and width of an image, a video, a mask or the canvas of coordinates; None of anything else."""
    kind = kind_of(leaf)
    if kind in (BoundingBoxes, KeyPoints):
        height, width = metadata(leaf)["canvas_size"]
        return int(height), int(width)
    if kind is Picture.Image:
        return leaf.height, leaf.width
    if kind is None or leaf.ndim < 2:
        return None
    return leaf.shape[-2], leaf.shape[-1]


@dataclass(frozen=True, slots=True)
class _Row:
    size: Size
    channels: int
    dtype: torch.dtype | None
    lead: Shape
    video: bool
    interleaved: bool


def _row(sample: Sample) -> _Row:
    pixels = sample.first(Tensor, *PICTURES)
    if isinstance(pixels, Picture.Image):
        dtype = _PICTURE_DTYPES.get(pixels.mode, torch.uint8)
        return _Row((pixels.height, pixels.width), len(pixels.getbands()), dtype, (), False, False)
    if pixels is not None and pixels.ndim >= 3:
        *lead, channels, height, width = pixels.shape
        video, interleaved = kind_of(pixels) is Video, is_interleaved(pixels)
        return _Row((height, width), channels, pixels.dtype, tuple(lead), video, interleaved)
    sizes = (size_of(sample.leaves[place]) for place in sample.acts)
    return _Row(next((size for size in sizes if size is not None), (1, 1)), 0, None, (), False, False)


def _acted_on(leaves: Sequence[Any], types: tuple[type, ...]) -> tuple[int, ...]:
    kinds = [kind_of(leaf) for leaf in leaves]
    pure = not any(kind in PICTURES for kind in kinds)
    acts = []
    for place, (leaf, kind) in enumerate(zip(leaves, kinds, strict=True)):
        if not isinstance(leaf, types):
            continue
        if kind is Tensor:
            if not pure:
                continue
            pure = False
        acts.append(place)
    return tuple(acts)
