"""Put images onto larger canvases."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from pydantic import AfterValidator, Field

from augserve_pipelines.arguments import Words
from augserve_pipelines.constraints import Items
from augserve_pipelines.dispatch import ALL_KINDS
from augserve_pipelines.frames import Frames
from augserve_pipelines.lanes import Lanes
from augserve_pipelines.ops import Op
from augserve_pipelines.parameters import Fill, Probability, increasing
from augserve_pipelines.transforms.base import RandomTransform
from augserve_pipelines.transforms.pad_edges import PadEdges
from augserve_pipelines.transforms.shares import between, share_of

__all__ = ["RandomZoomOut"]

SideRange = Annotated[
    Sequence[Annotated[float, Field(ge=1)]],
    Items((2,)),
    AfterValidator(increasing),
    Words("two numbers [low, high], 1 or more"),
]


class RandomZoomOut(RandomTransform):
    """Put the sample at a random place of a larger canvas, with probability ``p`` (SSD, arXiv:1512.02325).

    Draws: one number for ``p``; then the factor, the left and the top.

    Args:
        fill: value of the canvas, or a list with one for each channel, in the value range of the image at this step;
            null is 0. Or a mapping from kinds of input to these; masks take one number.
        side_range: the least and the greatest factor of height and width, 1 or more.
        p: probability of doing so.

    Raises:
        InvalidInput: the fill does not suit the image.
    """

    acts_on = ALL_KINDS
    one_size = True

    def __init__(self, fill: Fill = 0, side_range: SideRange = (1.0, 4.0), p: Probability = 0.5) -> None:
        super().__init__()
        self.fill = fill
        self.side_range = side_range
        self.p = p

    def draw_fired(self, lanes: Lanes, frames: Frames) -> Op:
        low, high = self.side_range
        factor = between(low, high, lanes.rand())
        columns = share_of(frames.widths, factor) - frames.widths
        rows = share_of(frames.heights, factor) - frames.heights
        left, top = share_of(columns, lanes.rand()), share_of(rows, lanes.rand())
        return PadEdges.drawn((left, top, columns - left, rows - top), self.fill, "constant", frames)
