"""What all transforms share: the checked constructor, the draw, and eager use."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils import _pytree as pytree  # what torchvision itself flattens its inputs with

from augserve_pipelines.frames import Frames
from augserve_pipelines.lanes import GlobalLane, Lanes
from augserve_pipelines.ops import NOTHING, Op, Select
from augserve_pipelines.parameters import validated


class Transform(nn.Module):
    """An augmentation step, named and parameterised as in ``torchvision.transforms.v2``.

    The typed ``__init__`` of a subclass is its schema: arguments are checked against the annotations, and ``arguments``
    keeps them all, defaults included. ``draw`` is the one method to write.
    """

    arguments: Mapping[str, Any] = MappingProxyType({})  # of a subclass without a constructor
    inplace: bool = False  # whether eager use writes into the image that it is given; pipelines never do

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "__init__" in vars(cls):
            # every constructor is checked alike
            cls.__init__ = validated(cls.__init__)  # type: ignore[method-assign, assignment]

    def draw(self, lanes: Lanes, frames: Frames) -> Op:
        """The op for N samples: one row each, drawn from the sample's own lane, in torchvision's order of draws."""
        raise NotImplementedError(f"{type(self).__name__} does not define draw()")

    def forward(self, *inputs: Any) -> Any:
        """Transform one sample eagerly, as torchvision does, drawing from torch's global generator.

        Args:
            inputs: an image ``[..., C, H, W]``, or any nested structure of which the first tensor is taken for the
                image. Leading dimensions share one draw.

        Returns:
            The same structure, with the image transformed.

        Raises:
            TypeError: there is no tensor of three or more dimensions among the inputs.
        """
        leaves, structure = pytree.tree_flatten(inputs if len(inputs) != 1 else inputs[0])
        place = _image_place(leaves, type(self).__name__)
        image = leaves[place]
        op = self.draw(GlobalLane(), Frames.of([image]))
        result = op.image(image.unsqueeze(0)).squeeze(0)
        leaves[place] = image.copy_(result) if self.inplace else result
        return pytree.tree_unflatten(leaves, structure)

    def extra_repr(self) -> str:
        plain = (bool, int, float, str, tuple, list, torch.dtype)
        return ", ".join(f"{name}={value}" for name, value in self.arguments.items() if isinstance(value, plain))


class RandomTransform(Transform):
    """A transform that fires with probability ``p``: one draw decides, then the others draw what they need."""

    p: float

    def draw(self, lanes: Lanes, frames: Frames) -> Op:
        fires = lanes.rand() < np.float32(self.p)  # torchvision compares in float32
        if not fires.any():
            return NOTHING
        return Select(fires, self.draw_fired(lanes[fires], frames[fires]))

    def draw_fired(self, lanes: Lanes, frames: Frames) -> Op:
        """The op for the samples that the transform fires on."""
        raise NotImplementedError(f"{type(self).__name__} does not define draw_fired()")


def _image_place(leaves: list[Any], name: str) -> int:
    for place, leaf in enumerate(leaves):
        if isinstance(leaf, Tensor):
            if leaf.ndim < 3:
                raise TypeError(f"{name} takes images [..., C, H, W]; got a tensor of shape {[*leaf.shape]}")
            return place
    kinds = sorted({type(leaf).__name__ for leaf in leaves})
    raise TypeError(
        f"{name} takes a tensor [..., C, H, W]; got {kinds}. ToImage() makes one of a PIL image or an array"
    )
