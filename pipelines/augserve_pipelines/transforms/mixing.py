"""Mix the images of a batch with one another, and their labels likewise: MixUp and CutMix."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from torch import Tensor
from torch.nn import functional as F

from augserve_pipelines.arguments import Words
from augserve_pipelines.errors import InvalidInput
from augserve_pipelines.frames import Frames
from augserve_pipelines.lanes import Lanes
from augserve_pipelines.ops import Op
from augserve_pipelines.parameters import Positive
from augserve_pipelines.samples import PICTURES, Pending, Sample, size_of
from augserve_pipelines.transforms.base import Transform
from augserve_pipelines.transforms.conversion import IMAGES
from augserve_pipelines.transforms.labels import LabelsGetter, find_labels, places_of
from augserve_pipelines.tv_tensors import BoundingBoxes, KeyPoints, Mask, Video
from augserve_pipelines.tv_tensors.interop import kind_of, like

__all__ = ["CutMix", "CutMixBatch", "MixUp", "MixUpBatch"]

Alpha = Annotated[Positive, Words("a number greater than 0")]
Classes = Annotated[Annotated[int, Field(ge=1)] | None, Words("an integer or null", example=1000)]
Mode = Literal["batch", "pair", "elem"]
Getter: TypeAlias = Callable[[Any], Any] | Literal["default"] | None
Box: TypeAlias = tuple[int, int, int, int]  # x1, y1, x2, y2

_REFUSED = (PICTURES[-1], BoundingBoxes, Mask, KeyPoints)


@dataclass(frozen=True, slots=True)
class MixUpBatch(Op):
    """Blend each image of a batch with its partner, and the labels likewise. A sample of this op is a batch."""

    shares: NDArray[np.object_]  # of each batch: of each image in the blend
    mode: Mode
    num_classes: int | None
    getter: Getter

    def leaves(self, sample: Sample) -> Sample:
        shares = self.shares[0]
        partners = _partners(self.mode, len(shares))
        place, labels = _labels(sample, self.getter, self.num_classes)
        mixed = {place: _blended(_as_shares(labels, self.num_classes), partners, shares)}
        for image_place in _images(sample):
            image = sample.leaves[image_place]
            mixed[image_place] = like(image, self._mixed(image.as_subclass(Tensor), partners))
        return sample.with_leaves(mixed)

    def _mixed(self, images: Tensor, partners: Sequence[int]) -> Tensor:
        return _blended(images, partners, self.shares[0])


@dataclass(frozen=True, slots=True)
class CutMixBatch(MixUpBatch):
    """Paste a rectangle of its partner into each image of a batch, and blend the labels by its area."""

    boxes: NDArray[np.object_]  # of each batch: of each image

    def _mixed(self, images: Tensor, partners: Sequence[int]) -> Tensor:
        result = images.clone()
        for place, (partner, (x1, y1, x2, y2)) in enumerate(zip(partners, self.boxes[0], strict=True)):
            result[place, ..., y1:y2, x1:x2] = images[partner, ..., y1:y2, x1:x2]
        return result


class _Mixing(Transform):
    acts_on = IMAGES
    batched = True

    def __init__(
        self,
        *,
        alpha: Alpha = 1.0,
        num_classes: Classes = None,
        labels_getter: LabelsGetter = "default",
        mode: Mode = "batch",
    ) -> None:
        super().__init__()
        self.alpha = float(alpha)
        self.num_classes = num_classes
        self.labels_getter = labels_getter
        self.mode: Mode = mode

    def check_sample(self, sample: Sample) -> None:
        for leaf in sample.leaves:
            if kind_of(leaf) in _REFUSED:
                raise InvalidInput(f"{type(self).__name__} mixes images and videos, not {type(leaf).__name__}")
        _, labels = _labels(sample, self.labels_getter, self.num_classes)
        for place in _images(sample):
            leaf = sample.leaves[place]
            self._check(leaf.shape, leaf.dtype, kind_of(leaf) is Video, len(labels))

    def act(self, sample: Sample) -> Sample:
        return self._act(sample)  # what is drawn holds for images of all sizes

    def _sizes(self, frames: Frames) -> list[int]:
        """How many images each batch has."""
        return [self._size(frames, row) for row in range(len(frames))]

    def _size(self, frames: Frames, row: int) -> int:
        shape = frames.shape(row)
        size = shape[0]
        if frames.samples is not None:
            size = len(_labels(frames.samples[row], self.labels_getter, self.num_classes)[1])
        is_video = frames.videos is not None and bool(frames.videos[row])
        self._check(shape, frames.dtypes[row], is_video, size)
        return size

    def _check(self, shape: Sequence[int], dtype: torch.dtype, is_video: bool, size: int) -> None:
        wanted = "[N, T, C, H, W]" if is_video else "[N, C, H, W]"
        if len(shape) != (5 if is_video else 4):
            raise InvalidInput(f"{type(self).__name__} takes a batch {wanted}, got {[*shape]}")
        if shape[0] != size:
            raise InvalidInput(f"{type(self).__name__} got {shape[0]} images and {size} labels")

    def _shares(self, count: int, generator: torch.Generator) -> list[float]:
        """As many draws of Beta(alpha, alpha) as the mode takes for so many images."""
        draws = _draws(self.mode, count)
        parameters = torch.full((draws, 2), self.alpha)
        drawn: list[float] = torch._sample_dirichlet(parameters, generator=generator)[:, 0].tolist()
        return drawn


class MixUp(_Mixing):
    """Blend the images of a batch with one another, and their labels by the same shares.

    It acts on whole batches: eagerly on what a data loader gives, in a pipeline on the samples of one call. An image is
    ``share * image + (1 - share) * partner``, its label likewise.

    Draws: the shares, of a Beta distribution.

    Args:
        alpha: both parameters of the Beta distribution of the share.
        num_classes: the number of classes, where labels are numbers of classes.
        labels_getter: where the labels ``[N]`` or ``[N, classes]`` are: "default" is the second item, or the key
            ``labels``; in Python also a function of the whole input.
        mode: ``batch`` draws one share for the batch, as torchvision does, ``elem`` one for each image, ``pair`` one
            for each pair of images. The partner is the image before, the last one's being the first; in pairs, image i
            from the front and image i from the back.

    Raises:
        InvalidInput: the images are not floats, are no batch, or the labels do not go with them.
    """

    def draw(self, lanes: Lanes, frames: Frames) -> Op:
        sizes = self._sizes(frames)
        drawn = lanes.each(lambda generator, row: self._shares(sizes[row], generator))
        shares = [_for_all(self.mode, own, 1.0, size) for own, size in zip(drawn, sizes, strict=True)]
        return MixUpBatch(_column(shares), self.mode, self.num_classes, self.labels_getter)

    def _check(self, shape: Sequence[int], dtype: torch.dtype, is_video: bool, size: int) -> None:
        if not dtype.is_floating_point:
            raise InvalidInput(f"MixUp takes floats, got {dtype}: ToDtype(float32, scale=True) goes before it")
        super()._check(shape, dtype, is_video, size)


class CutMix(_Mixing):
    """Paste a rectangle of another image of the batch into each image, and blend their labels by its area.

    It acts on whole batches: eagerly on what a data loader gives, in a pipeline on the samples of one call.

    Draws: the shares, of a Beta distribution; the middles of the rectangles across; those down.

    Args:
        alpha: both parameters of the Beta distribution of the share of the image that stays.
        num_classes: the number of classes, where labels are numbers of classes.
        labels_getter: where the labels ``[N]`` or ``[N, classes]`` are: "default" is the second item, or the key
            ``labels``; in Python also a function of the whole input.
        mode: ``batch`` draws one rectangle for the batch, as torchvision does, ``elem`` one for each image, ``pair``
            one for each pair of images. The partner is the image before, the last one's being the first; in pairs,
            image i from the front and image i from the back.

    Raises:
        InvalidInput: the images are no batch or have several sizes, or the labels do not go with them.
    """

    one_size = True

    def check_sample(self, sample: Sample) -> None:
        super().check_sample(sample)
        sizes = {size_of(sample.leaves[place]) for place in _images(sample)}
        if len(sizes) > 1:
            raise InvalidInput(f"CutMix takes images of one size; these have {sorted(map(str, sizes))}")

    def draw(self, lanes: Lanes, frames: Frames) -> Op:
        counts = self._sizes(frames)
        drawn = lanes.each(lambda generator, row: self._boxes(counts[row], frames.shape(row)[-2:], generator))
        boxes = [_for_all(self.mode, own, (0, 0, 0, 0), count) for own, count in zip(drawn, counts, strict=True)]
        areas = (frames.heights * frames.widths).tolist()
        shares = [[_kept(box, area) for box in own] for own, area in zip(boxes, areas, strict=True)]
        return CutMixBatch(_column(shares), self.mode, self.num_classes, self.labels_getter, _column(boxes))

    def _boxes(self, count: int, size: Sequence[int], generator: torch.Generator) -> list[Box]:
        height, width = size
        shares = self._shares(count, generator)
        across, down = (torch.randint(side, (len(shares),), generator=generator).tolist() for side in (width, height))
        return [_box(*drawn, height, width) for drawn in zip(shares, across, down, strict=True)]


def _box(share: float, x: int, y: int, height: int, width: int) -> Box:
    radius = 0.5 * math.sqrt(1.0 - share)
    across, down = int(radius * width), int(radius * height)
    return max(x - across, 0), max(y - down, 0), min(x + across, width), min(y + down, height)


def _kept(box: Box, area: int) -> float:
    x1, y1, x2, y2 = box
    return 1.0 - (x2 - x1) * (y2 - y1) / area


def _draws(mode: Mode, count: int) -> int:
    return {"batch": 1, "pair": count // 2, "elem": count}[mode]


def _for_all(mode: Mode, drawn: list[Any], alone: Any, count: int) -> list[Any]:
    """What was drawn for each image; ``alone`` is for the one in the middle that is its own partner."""
    if mode == "batch":
        return drawn * count
    return drawn if mode == "elem" else [*drawn, *[alone] * (count % 2), *drawn[::-1]]


def _partners(mode: Mode, count: int) -> list[int]:
    order = list(range(count))
    return order[::-1] if mode == "pair" else [*order[-1:], *order[:-1]]


def _blended(values: Tensor, partners: Sequence[int], shares: Sequence[float]) -> Tensor:
    result = values[torch.tensor(partners, dtype=torch.int64, device=values.device)]
    if len(set(shares)) == 1:
        return result.mul_(1.0 - shares[0]).add_(values.mul(shares[0]))
    for own, value, share in zip(result, values, shares, strict=True):
        own.mul_(1.0 - share).add_(value.mul(share))
    return result


def _images(sample: Sample) -> list[int]:
    return [place for place in sample.places(*IMAGES) if not isinstance(sample.leaves[place], Pending)]


def _labels(sample: Sample, getter: Getter, classes: int | None) -> tuple[int, Tensor]:
    """The place of the labels, and the labels.

    Raises:
        InvalidInput: there are none, or they cannot be mixed.
    """
    labels = find_labels(getter, sample.value())
    if not isinstance(labels, Tensor) or labels.ndim not in (1, 2):
        got = f"a tensor of {labels.ndim} dimensions" if isinstance(labels, Tensor) else type(labels).__name__
        raise InvalidInput(
            f"labels to mix are a tensor [N] or [N, classes], not {got}:"
            " beside the images, the second item of a batch, or under its key 'labels', or where labels_getter says"
        )
    _check_labels(labels, classes)
    places = places_of(sample, [labels])
    if not places:
        raise InvalidInput("labels_getter must give a tensor that is in the sample itself")
    return places[0], labels


def _check_labels(labels: Tensor, classes: int | None) -> None:
    if labels.ndim == 2:
        if classes not in (None, labels.shape[1]):
            raise InvalidInput(f"labels have {labels.shape[1]} classes, and num_classes is {classes}")
    elif classes is None:
        raise InvalidInput("num_classes is needed where labels are numbers of classes")
    elif labels.is_floating_point() or not ((labels >= 0) & (labels < classes)).all():
        raise InvalidInput(f"labels are integers from 0 to {classes - 1}, num_classes being {classes}")


def _as_shares(labels: Tensor, classes: int | None) -> Tensor:
    """One share for each class, ``[N, classes]``, floats."""
    if labels.ndim == 1:
        labels = F.one_hot(labels.long(), num_classes=classes or -1)
    return labels if labels.is_floating_point() else labels.float()


def _column(values: Sequence[object]) -> NDArray[np.object_]:
    return np.fromiter(values, object, len(values))
