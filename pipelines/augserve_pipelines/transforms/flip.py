"""Mirror images."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from augserve_pipelines.frames import Frames
from augserve_pipelines.lanes import Lanes
from augserve_pipelines.ops import Op
from augserve_pipelines.parameters import Probability
from augserve_pipelines.transforms.base import RandomTransform


def horizontal_flip_image(image: Tensor) -> Tensor:
    """Mirror ``[..., C, H, W]`` left to right."""
    return image.flip(-1)


def vertical_flip_image(image: Tensor) -> Tensor:
    """Mirror ``[..., C, H, W]`` top to bottom."""
    return image.flip(-2)


@dataclass(frozen=True, slots=True)
class FlipX(Op):
    """Mirror left to right."""

    def image(self, x: Tensor) -> Tensor:
        return horizontal_flip_image(x)


@dataclass(frozen=True, slots=True)
class FlipY(Op):
    """Mirror top to bottom."""

    def image(self, x: Tensor) -> Tensor:
        return vertical_flip_image(x)


class RandomHorizontalFlip(RandomTransform):
    """Mirror the sample left to right with probability ``p``.

    Draws: one number for ``p``.

    Args:
        p: probability of mirroring.
    """

    def __init__(self, p: Probability = 0.5) -> None:
        super().__init__()
        self.p = p

    def draw_fired(self, lanes: Lanes, frames: Frames) -> Op:
        return FlipX()


class RandomVerticalFlip(RandomTransform):
    """Mirror the sample top to bottom with probability ``p``.

    Draws: one number for ``p``.

    Args:
        p: probability of mirroring.
    """

    def __init__(self, p: Probability = 0.5) -> None:
        super().__init__()
        self.p = p

    def draw_fired(self, lanes: Lanes, frames: Frames) -> Op:
        return FlipY()
