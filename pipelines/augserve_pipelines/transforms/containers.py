"""Transforms of transforms: in order, at random, one of several, in random order."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from augserve_pipelines.frames import Frames, IntArray
from augserve_pipelines.lanes import GlobalLane, Lanes
from augserve_pipelines.ops import NOTHING, Chain, Op, Select, after
from augserve_pipelines.parameters import Probability, Transforms, Weights
from augserve_pipelines.transforms.base import RandomTransform, Transform


class Compose(Transform):
    """Run transforms in order.

    Draws: what the steps draw, in order.

    Args:
        transforms: the steps, at least one.
    """

    def __init__(self, transforms: Transforms) -> None:
        super().__init__()
        self.transforms = transforms

    def steps(self) -> Sequence[Transform]:
        return self.transforms

    def draw(self, lanes: Lanes, frames: Frames) -> Op:
        return draw_in_order(self.transforms, lanes, frames)

    def forward(self, *inputs: Any) -> Any:
        """Run the steps on one sample eagerly; see ``Transform.forward``."""
        return _in_order(self.transforms, inputs)


class Identity(Transform):
    """Leave the sample as it is."""

    acts_on = ()

    def __init__(self) -> None:
        super().__init__()

    def draw(self, lanes: Lanes, frames: Frames) -> Op:
        return NOTHING


class RandomApply(RandomTransform):
    """Run all of the transforms with probability ``p``, or none of them.

    Draws: one number for ``p``; where it fires, what the steps draw.

    Args:
        transforms: the steps, at least one.
        p: probability of running them.
    """

    def __init__(self, transforms: Transforms, p: Probability = 0.5) -> None:
        super().__init__()
        self.transforms = transforms
        self.p = p

    def steps(self) -> Sequence[Transform]:
        return self.transforms

    def draw_fired(self, lanes: Lanes, frames: Frames) -> Op:
        return draw_in_order(self.transforms, lanes, frames)

    def eagerly(self, *inputs: Any) -> Any:
        """Run the steps, or none of them, on one sample eagerly; see ``Transform.forward``."""
        fires = GlobalLane().rand() < np.float32(self.p)
        return _in_order(self.transforms, inputs) if fires.all() else _alone(inputs)


class RandomChoice(Transform):
    """Run one of the transforms, picked at random.

    Draws: one ``multinomial`` over the weights; then what the picked step draws.

    Args:
        transforms: what to choose from, at least one.
        p: a weight for each transform, in any scale; absent: all alike.
    """

    def __init__(self, transforms: Transforms, p: Weights = None) -> None:
        super().__init__()
        weights = [1.0] * len(transforms) if p is None else list(p)
        if len(weights) != len(transforms):
            raise ValueError(f"p has {len(weights)} weights for {len(transforms)} transforms: one each is needed")
        if not sum(weights) > 0:
            raise ValueError(f"p is {weights}: at least one weight must be greater than 0")
        self.transforms = transforms
        self.p = [weight / sum(weights) for weight in weights]

    def steps(self) -> Sequence[Transform]:
        return self.transforms

    def draw(self, lanes: Lanes, frames: Frames) -> Op:
        return draw_one_each(self.transforms, self._picks(lanes), lanes, frames)

    def eagerly(self, *inputs: Any) -> Any:
        """Run one of the transforms on one sample eagerly; see ``Transform.forward``."""
        return self.transforms[self._picks(GlobalLane())[0]](*inputs)

    def _picks(self, lanes: Lanes) -> IntArray:
        weights = torch.tensor(self.p)
        picks = lanes.each(lambda generator, _: int(torch.multinomial(weights, 1, generator=generator)))
        return np.array(picks, np.int64)


class RandomOrder(Transform):
    """Run all of the transforms, in random order.

    Draws: one permutation; then what each step draws, in the order they run.

    Args:
        transforms: the steps, at least one.
    """

    def __init__(self, transforms: Transforms) -> None:
        super().__init__()
        self.transforms = transforms

    def steps(self) -> Sequence[Transform]:
        return self.transforms

    def draw(self, lanes: Lanes, frames: Frames) -> Op:
        order = lanes.permutation(len(self.transforms))  # [N, steps]
        ops: list[Op] = []
        for picks in order.T:
            ops.append(draw_one_each(self.transforms, picks, lanes, frames))
            frames = after(ops[-1], frames)
        return Chain(tuple(ops))

    def eagerly(self, *inputs: Any) -> Any:
        """Run the transforms in random order on one sample eagerly; see ``Transform.forward``."""
        order = GlobalLane().permutation(len(self.transforms))[0]
        return _in_order([self.transforms[place] for place in order], inputs)


def draw_one_each(transforms: Sequence[Transform], picks: IntArray, lanes: Lanes, frames: Frames) -> Op:
    """Draw for each sample the one transform that it picked, ``[N]`` indices into ``transforms``."""
    ops: list[Op] = []
    for place, transform in enumerate(transforms):
        rows = picks == place
        if rows.any():
            ops.append(Select(rows, _drawn(transform, lanes[rows], frames[rows])))
    return Chain(tuple(ops))


def draw_in_order(transforms: Sequence[Transform], lanes: Lanes, frames: Frames) -> Op:
    """Draw each transform on what the ones before it make of the frames."""
    op, _ = drawn_in_order(transforms, lanes, frames)
    return op


def drawn_in_order(transforms: Sequence[Transform], lanes: Lanes, frames: Frames) -> tuple[Op, Frames]:
    """``draw_in_order``, and the frames after all of them."""
    ops = []
    for transform in transforms:
        ops.append(_drawn(transform, lanes, frames))
        frames = after(ops[-1], frames)
    return Chain(tuple(ops)), frames


def _drawn(transform: Transform, lanes: Lanes, frames: Frames) -> Op:
    if frames.samples is not None and not transform.batched and not lanes.probing:
        for sample in frames.samples:
            transform.check_sample(sample)
    return transform.draw(lanes, frames)


def _in_order(transforms: Sequence[Transform], inputs: tuple[Any, ...]) -> Any:
    for transform in transforms:
        outputs = transform(*inputs)
        inputs = outputs if len(inputs) > 1 else (outputs,)
    return outputs


def _alone(inputs: tuple[Any, ...]) -> Any:
    return inputs if len(inputs) > 1 else inputs[0]
