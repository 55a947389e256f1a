"""What a pipeline runs on: images or videos, and which targets must or may be beside them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TypeAlias

from augserve_pipelines.errors import InvalidInput
from augserve_pipelines.frames import Frames
from augserve_pipelines.pipeline import Pipeline
from augserve_pipelines.probing import SIZES, TARGETS, alternatives, with_targets

__all__ = ["Accepted", "accepted"]

Draw: TypeAlias = Callable[[Frames, Sequence[int]], object]


@dataclass(frozen=True, slots=True)
class Accepted:
    """What a pipeline runs on, of the size of a photograph."""

    images: bool
    videos: bool
    needs: frozenset[str]
    """Of ``boxes``, ``masks``, ``keypoints`` and ``labels``, those without which it refuses a sample."""
    targets: frozenset[str]
    """Those that may be there."""


def accepted(pipeline: Pipeline) -> Accepted:
    """What a pipeline runs on, found by drawing for one photograph, and for a video as large."""
    channels = pipeline.input.channels
    images, videos, *rotated = alternatives(pipeline.transforms, channels, SIZES[:1])
    takes_images = any(_takes(pipeline.sketch, one) for one in (images, *rotated))
    # A sketch asks no step whether it refuses a kind of targets, but a plan of a video would hold its noise.
    draw = pipeline.plan if takes_images else pipeline.sketch

    def runs_with(draw: Draw, targets: Collection[str]) -> bool:
        plain, video, turned = with_targets(targets, channels)
        return any(_takes(draw, one) for one in ((plain, turned) if takes_images else (video,)))

    needs = frozenset(name for name in TARGETS if not runs_with(pipeline.sketch, {*TARGETS} - {name}))
    possible = ("labels",) if pipeline.batched else TARGETS
    targets = frozenset(name for name in possible if runs_with(draw, needs | {name}))
    return Accepted(takes_images, _takes(pipeline.sketch, videos), needs, targets)


def _takes(draw: Draw, frames: Frames) -> bool:
    with suppress(InvalidInput):
        draw(frames, range(len(frames)))
        return True
    return False
