"""Take frames out of videos."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Annotated, Any

import numpy as np
import torch
from torch import Tensor

from augserve_pipelines.arguments import Words
from augserve_pipelines.dispatch import Call, functional
from augserve_pipelines.errors import InvalidInput
from augserve_pipelines.frames import Frames
from augserve_pipelines.lanes import Lanes
from augserve_pipelines.ops import NOTHING, Op, Select
from augserve_pipelines.parameters import Pixels
from augserve_pipelines.transforms.base import Transform
from augserve_pipelines.transforms.fill import pixel_kinds
from augserve_pipelines.tv_tensors import Video

__all__ = [
    "TemporalSubsample",
    "UniformTemporalSubsample",
    "uniform_temporal_subsample",
    "uniform_temporal_subsample_video",
]

Count = Annotated[Pixels, Words("an integer", example=16)]


def uniform_temporal_subsample_video(video: Tensor, num_samples: int) -> Tensor:
    """As many frames of ``[..., T, C, H, W]``, from the first to the last at even distances, rounded down.

    Raises:
        InvalidInput: there are no frames.
    """
    if video.ndim < 4 or not video.shape[-4]:
        raise InvalidInput(f"a video has frames, [..., T, C, H, W]; this has the shape {[*video.shape]}")
    places = torch.linspace(0, video.shape[-4] - 1, num_samples, device=video.device).long()
    return video.index_select(-4, places)


@functional(tensor=uniform_temporal_subsample_video, video=uniform_temporal_subsample_video)
def uniform_temporal_subsample(inpt: Any, num_samples: int) -> Any:
    """Take frames at even distances.

    Args:
        inpt: a video, or a tensor ``[..., T, C, H, W]``.
        num_samples: how many; where there are fewer, some are repeated.
    """


@dataclass(frozen=True, slots=True)
class TemporalSubsample(Op):
    """Take frames at even distances."""

    num_samples: int

    def frames(self, frames: Frames) -> Frames:
        assert frames.leads is not None  # see UniformTemporalSubsample.draw
        leads = ((*lead[:-1], self.num_samples) for lead in frames.leads)
        return replace(frames, leads=np.fromiter(leads, object, len(frames)))

    def image(self, x: Tensor) -> Tensor:
        return uniform_temporal_subsample_video(x, self.num_samples)

    def calls(self) -> Iterator[Call]:
        yield Call(uniform_temporal_subsample, {"num_samples": self.num_samples})


class UniformTemporalSubsample(Transform):
    """Take frames of videos at even distances, the first and the last among them; images stay as they are.

    Draws: nothing.

    Args:
        num_samples: how many frames to take; where there are fewer, some are repeated.

    Raises:
        InvalidInput: a tensor that is not marked as an image has no frames.
    """

    acts_on = (Tensor, Video)
    transformed_types = (Tensor,)

    def __init__(self, num_samples: Count) -> None:
        super().__init__()
        self.num_samples = num_samples

    def draw(self, lanes: Lanes, frames: Frames) -> Op:
        acts = np.array([kind in (Tensor, Video) for kind in pixel_kinds(frames)], bool) & (frames.channels > 0)
        if not acts.any():
            return NOTHING
        for row in np.flatnonzero(acts).tolist():
            if len(frames.shape(row)) < 4:
                shape = [*frames.shape(row)]
                raise InvalidInput(f"UniformTemporalSubsample takes videos, [..., T, C, H, W], not {shape}")
        return Select(acts, TemporalSubsample(self.num_samples))
