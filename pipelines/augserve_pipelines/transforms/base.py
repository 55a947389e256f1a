"""What all transforms share: the checked constructor, the draw, and eager use."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from enum import Enum
from types import MappingProxyType
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from augserve_pipelines.arguments import shown
from augserve_pipelines.dispatch import PIXEL_KINDS
from augserve_pipelines.errors import InvalidInput, WrongKind
from augserve_pipelines.frames import Frames
from augserve_pipelines.lanes import GlobalLane, Lanes
from augserve_pipelines.ops import NOTHING, Op, Select
from augserve_pipelines.parameters import validated
from augserve_pipelines.refusals import explained
from augserve_pipelines.samples import TRANSFORMED, Sample, frames_of, size_of


class Transform(nn.Module):
    """An augmentation step, named and parameterised as in ``torchvision.transforms.v2``.

    The typed ``__init__`` of a subclass is its schema: arguments are checked against the annotations, and ``arguments``
    keeps them all, defaults included. ``draw`` is the one method to write; for eager use alone, torchvision's
    ``transform``, and ``make_params`` where something is drawn.
    """

    arguments: Mapping[str, Any] = MappingProxyType({})  # of a subclass without a constructor
    inplace: bool = False  # whether eager use writes into the image that it is given; pipelines never do

    acts_on: ClassVar[tuple[type, ...]] = PIXEL_KINDS
    """The kinds of input that change; others come back as they are."""
    needs: ClassVar[tuple[type, ...]] = ()
    """The kinds of input that there must be one of."""
    one_size: ClassVar[bool] = False
    """Whether inputs of several sizes are refused, because the draw depends on the size."""
    batched: ClassVar[bool] = False
    """Whether it acts on a whole batch of collated samples, such as MixUp."""
    transformed_types: ClassVar[tuple[type, ...]] = TRANSFORMED
    """Types of inputs that are looked at."""

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "__init__" in vars(cls):
            # every constructor is checked alike
            cls.__init__ = validated(cls.__init__)  # type: ignore[method-assign, assignment]

    def draw(self, lanes: Lanes, frames: Frames) -> Op:
        """The op for N samples: one row each, drawn from the sample's own lane, in torchvision's order of draws."""
        name, lacks = type(self).__name__, "neither draw() nor transform()"
        if self._is_eager():
            lacks = "transform(), which is for eager use; a pipeline needs draw()"
        raise NotImplementedError(f"{name} defines {lacks}")

    def check_inputs(self, flat_inputs: list[Any]) -> None:
        """Refuse inputs, in a transform of one's own for eager use: all leaves of the sample, in order."""

    def make_params(self, flat_inputs: list[Any]) -> dict[str, Any]:
        """What a transform of one's own for eager use draws, once for the leaves that it acts on."""
        return {}

    def transform(self, inpt: Any, params: dict[str, Any]) -> Any:
        """One leaf after a transform of one's own for eager use, given what ``make_params`` drew."""
        raise NotImplementedError(f"{type(self).__name__} defines neither draw() nor transform()")

    def _is_eager(self) -> bool:
        return type(self).transform is not Transform.transform

    def steps(self) -> Sequence[Transform]:
        """The transforms that this one is made of."""
        return ()

    def check_sample(self, sample: Sample) -> None:
        """Refuse a sample that the transform does not act on as a whole, whatever is drawn.

        Raises:
            TypeError: it has inputs of a kind that the transform cannot take.
            ValueError: it lacks one that the transform needs.
        """

    def forward(self, *inputs: Any) -> Any:
        """Transform one sample eagerly, as torchvision does, drawing from torch's global generator.

        Args:
            inputs: an image ``[..., C, H, W]``, or any nested structure of images, videos, masks, boxes, key points and
                PIL images (see ``augserve_pipelines.tv_tensors``). A tensor that is marked as none of these is the
                image where it is the first and there is no other image; else it comes back as it is, as anything else
                does. All inputs share one draw.

        Returns:
            The same structure, transformed.
        """
        if torch.compiler.is_compiling():
            from augserve_pipelines.scripting import compiled  # what only few need

            return compiled(self, inputs)
        return self.eagerly(*inputs)

    def eagerly(self, *inputs: Any) -> Any:
        """``forward`` where nothing traces it."""
        sample = Sample.of(inputs if len(inputs) != 1 else inputs[0], self.transformed_types)
        self.check_sample(sample)
        return (self._transformed(sample) if self._is_eager() else self.act(sample)).value()

    def _transformed(self, sample: Sample) -> Sample:
        self.check_inputs(list(sample.leaves))
        params = self.make_params([sample.leaves[place] for place in sample.acts])
        return sample.mapped(lambda leaf: self.transform(leaf, params))

    def act(self, sample: Sample) -> Sample:
        """A checked sample after one draw from torch's global generator."""
        groups = _groups(sample, self.acts_on)
        if self.one_size:
            _check_sizes(type(self).__name__, sample, self.acts_on)
        if len(groups) < 2 or self.needs:  # what is needed would be in one group alone
            return self._act(sample)
        state, result = torch.get_rng_state(), sample
        for places in groups:  # what is drawn does not depend on the size, or else one_size were set
            torch.set_rng_state(state)
            part = self._act(replace(sample, acts=places))
            result = result.with_leaves({place: part.leaves[place] for place in places})
        return result

    def _act(self, sample: Sample) -> Sample:
        with explained(sample.leaves[place] for place in sample.acts):
            result = self.draw(GlobalLane(), frames_of([sample])).leaves(sample)
        if not self.inplace:
            return result
        changed = {place: _written(sample.leaves[place], result.leaves[place]) for place in sample.acts}
        return result.with_leaves(changed)

    def __prepare_scriptable__(self) -> nn.Module:
        """What ``torch.jit.script`` compiles in place of the transform.

        Raises:
            RuntimeError: TorchScript cannot run it.
        """
        from augserve_pipelines.scripting import scriptable  # what only few need

        return scriptable(self)

    def extra_repr(self) -> str:
        plain = (bool, int, float, str, tuple, list, torch.dtype, Enum)
        given = {name: value for name, value in self.arguments.items() if isinstance(value, plain)}
        return ", ".join(f"{name}={getattr(value, 'value', value)}" for name, value in given.items())


def is_batched(transform: Transform) -> bool:
    """Whether a transform, or one that it is made of, acts on a whole batch."""
    return transform.batched or any(is_batched(child) for child in transform.steps())


class RandomTransform(Transform):
    """A transform that fires with probability ``p``: one draw decides, then the others draw what they need."""

    p: float

    def draw(self, lanes: Lanes, frames: Frames) -> Op:
        fires = lanes.rand() < np.float32(self.p)  # torchvision compares in float32
        if not np.count_nonzero(fires):
            return NOTHING
        return Select(fires, self.draw_fired(lanes[fires], frames[fires]))

    def draw_fired(self, lanes: Lanes, frames: Frames) -> Op:
        """The op for the samples that the transform fires on."""
        raise NotImplementedError(f"{type(self).__name__} does not define draw_fired()")


def _groups(sample: Sample, kinds: tuple[type, ...]) -> list[tuple[int, ...]]:
    """Places of one size, number of channels and dtype together; what is not of these kinds is in the first group."""
    images = {place: _shape(sample.leaves[place]) for place in sample.pixel_places()}
    sizes = {place: size_of(sample.leaves[place]) for place in sample.places(*kinds)}
    if len(set(sizes.values())) < 2 and len(set(images.values())) < 2:
        return [sample.acts]
    groups: dict[object, list[int]] = {}
    for place in (*images, *(place for place in sizes if place not in images)):
        key = images.get(place) or next((k for k in groups if k[0] == sizes[place]), (sizes[place],))  # type: ignore[index]
        groups.setdefault(key, []).append(place)
    first, *others = groups.values()
    rest = (place for place in sample.acts if place not in images and place not in sizes)
    return [tuple(sorted(places)) for places in ([*first, *rest], *others)]


def _shape(leaf: Any) -> tuple[object, ...]:
    if isinstance(leaf, Tensor):
        return size_of(leaf), tuple(leaf.shape[:-2]), leaf.dtype
    return size_of(leaf), leaf.mode


def _check_sizes(name: str, sample: Sample, kinds: tuple[type, ...]) -> None:
    sizes = {place: size for place in sample.acts if (size := size_of(sample.leaves[place])) is not None}
    if not sizes:
        raise WrongKind(f"{name} found no image, video, mask, boxes or key points")
    own = {sizes[place] for place in sample.places(*kinds) if place in sizes}
    if len(own) > 1:
        raise ValueError(f"{name} takes inputs of one size; these have {shown(sorted(own))}")


def _written(given: Any, result: Any) -> Any:
    if not isinstance(given, Tensor) or result is given:
        return result
    try:
        given.copy_(result)  # of a marked tensor it returns a plain one
    except RuntimeError as error:
        raise InvalidInput(f"the image cannot be written into: {error}") from error
    return given
