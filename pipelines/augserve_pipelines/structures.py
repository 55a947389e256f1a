"""Run a drawn op over samples that are more than an image: pixels as a batch, everything beside them by calls."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from PIL import Image as Picture
from torch import Tensor
from torch.utils import _pytree as pytree

from augserve_pipelines import executor
from augserve_pipelines.errors import InvalidInput
from augserve_pipelines.frames import Frames
from augserve_pipelines.ops import Op
from augserve_pipelines.plan import Plan
from augserve_pipelines.records import Record
from augserve_pipelines.samples import Pending, Sample, size_of
from augserve_pipelines.transforms.pictures import to_image
from augserve_pipelines.tv_tensors import Image, Mask, Video
from augserve_pipelines.tv_tensors.interop import kind_of, like

__all__ = ["Samples", "collated", "read_samples", "run_samples", "separated"]

PlanFor = Callable[[Op, Frames], Plan]


@dataclass(frozen=True)
class Samples(Sequence[Any]):
    """Results that are more than an image, in the order of the samples: structures as they were given."""

    values: Sequence[Any]
    seeds: Sequence[int] = ()
    records: Sequence[Record] = ()
    """What was done to each, where that was asked for."""

    def __len__(self) -> int:
        return len(self.values)

    def __getitem__(self, index: Any) -> Any:
        return self.values[index]


def read_samples(values: Sequence[Any], device: torch.device | str | None) -> list[Sample]:
    """The samples of structures: PIL images become tensors, and tensors go to the device.

    Raises:
        InvalidInput: the images of one sample differ in size.
    """
    samples = [_sample(pytree.tree_map(_without_pictures, value)) for value in values]
    for index, sample in enumerate(samples):
        _check(index, sample)
    if device is None:
        return samples
    return [sample.mapped(lambda leaf: like(leaf, leaf.as_subclass(Tensor).to(device))) for sample in samples]


def run_samples(op: Op, samples: Sequence[Sample], after: Frames, plan: PlanFor, chunk: int | None) -> list[Sample]:
    """What an op makes of samples.

    Args:
        op: what was drawn for them, a row for each.
        samples: with all their leaves.
        after: the frames after the op, whose samples have everything but pixels.
        plan: fuses the op for images of such frames.
        chunk: how many images to take through at once on the CPU.
    """
    assert after.samples is not None
    results = list(after.samples)
    _put_pixels(op, samples, results, plan, chunk)
    _put_by_calls(op, samples, results)
    return results


def collated(samples: Sequence[Sample]) -> Sample:
    """One sample of all: images and labels stacked, as ``torch.utils.data.default_collate`` does.

    Raises:
        InvalidInput: the samples differ in structure, or images in shape.
    """
    first = samples[0]
    if any(sample.structure != first.structure for sample in samples):
        raise InvalidInput("the samples of one batch must be of one structure")
    leaves = zip(*(sample.leaves for sample in samples), strict=True)
    return Sample.of(pytree.tree_unflatten([_stacked(column) for column in leaves], first.structure))


def separated(batch: Sample, count: int) -> list[Any]:
    """The structures of the ``count`` samples that a collated one is made of."""
    return [
        pytree.tree_unflatten([like(leaf, leaf.as_subclass(Tensor)[i]) for leaf in batch.leaves], batch.structure)
        for i in range(count)
    ]


def _put_pixels(op: Op, samples: Sequence[Sample], results: list[Sample], plan: PlanFor, chunk: int | None) -> None:
    where = [(i, place) for i, sample in enumerate(samples) for place in _alike(sample)]
    if not where:
        return
    leaves = [samples[i].leaves[place] for i, place in where]
    images = [leaf.as_subclass(Tensor) for leaf in leaves]
    rows = np.array([i for i, _ in where])
    own = op if np.array_equal(rows, np.arange(len(samples))) else op[rows]
    for (i, place), leaf, image in zip(
        where, leaves, executor.run(plan(own, Frames.of(images)), images, chunk), strict=True
    ):
        pending = results[i].leaves[place]
        pure = isinstance(pending, Pending) and pending.kind is Tensor
        results[i] = results[i].with_leaves({place: image if pure else like(leaf, image)})


def _put_by_calls(op: Op, samples: Sequence[Sample], results: list[Sample]) -> None:
    """Masks, and images that are unlike the one that was drawn for, such as a video beside an image."""
    others = [[*sample.places(Mask), *(set(sample.pixel_places()) - set(_alike(sample)))] for sample in samples]
    waiting = [i for i, places in enumerate(others) if places]

    def run(rows: slice) -> None:
        for i in waiting[rows]:
            done = op[np.array([i])].leaves(samples[i].alone(others[i]))
            results[i] = results[i].with_leaves({place: done.leaves[place] for place in others[i]})

    executor.in_threads(run, [slice(start, start + 1) for start in range(len(waiting))])


def _alike(sample: Sample) -> list[int]:
    """Where the first image is, and those of its kind, shape and dtype."""
    places = sample.pixel_places()
    about = [(kind_of(leaf), leaf.shape, leaf.dtype) for leaf in (sample.leaves[place] for place in places)]
    return [place for place, one in zip(places, about, strict=True) if one == about[0]]


def _sample(value: Any) -> Sample:
    """The sample of a structure; tensors of labels beside boxes are no images, though there be no other."""
    sample = Sample.of(value)
    images = [place for place in sample.acts if kind_of(leaf := sample.leaves[place]) is not Tensor or leaf.ndim > 2]
    return replace(sample, acts=tuple(images)) if images else sample


def _without_pictures(leaf: Any) -> Any:
    return to_image(leaf) if isinstance(leaf, Picture.Image) else leaf


def _check(index: int, sample: Sample) -> None:
    if not sample.acts:
        value = type(sample.value()).__name__
        raise InvalidInput(f"image {index} is {value}; a tensor, or a structure that holds an image, is needed")
    pixels = [sample.leaves[place] for place in sample.pixel_places()]
    for leaf in pixels:
        if leaf.ndim < 3 or 0 in leaf.shape:
            raise InvalidInput(
                f"image {index} is a tensor of shape {[*leaf.shape]}; [..., C, H, W] with no empty side is needed"
            )
    sizes = sorted({size for leaf in pixels if (size := size_of(leaf)) is not None})
    if len(sizes) > 1:
        raise InvalidInput(f"the images of sample {index} have several sizes: {sizes}; they share one draw")


def _stacked(column: Sequence[Any]) -> Any:
    first = column[0]
    if isinstance(first, Tensor):
        if len({(leaf.shape, leaf.dtype) for leaf in column}) > 1:
            shapes = sorted({f"{[*leaf.shape]} {leaf.dtype}" for leaf in column})
            raise InvalidInput(f"a batch is of one shape, and these tensors have {len(shapes)}: {', '.join(shapes)}")
        stacked = torch.stack([leaf.as_subclass(Tensor) for leaf in column])
        return like(first, stacked) if kind_of(first) in (Image, Video) else stacked
    if isinstance(first, bool | int | float):
        return torch.tensor(column)
    raise InvalidInput(f"a batch is made of images and numbers; this sample has a {type(first).__name__}")
