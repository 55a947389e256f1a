"""Cut windows that overlap with boxes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import islice, repeat
from typing import Annotated, Any, NamedTuple

import numpy as np
import PIL.Image
import torch
from numpy.typing import NDArray
from pydantic import Field
from torch import Tensor

from augserve_pipelines.arguments import Words
from augserve_pipelines.constraints import Items
from augserve_pipelines.dispatch import ALL_KINDS, Call, functional
from augserve_pipelines.errors import InvalidInput, WrongKind
from augserve_pipelines.frames import Frames
from augserve_pipelines.kernels.boxes import convert_bounding_box_format
from augserve_pipelines.lanes import Lanes
from augserve_pipelines.ops import NOTHING, Op, Select
from augserve_pipelines.parameters import Positive
from augserve_pipelines.samples import Sample
from augserve_pipelines.transforms.base import Transform
from augserve_pipelines.transforms.crop import Crop
from augserve_pipelines.transforms.shares import between
from augserve_pipelines.tv_tensors import BoundingBoxes, Image
from augserve_pipelines.tv_tensors.interop import metadata

__all__ = ["CropToBoxes", "RandomIoUCrop", "zeroed_bounding_boxes"]

Sides = tuple[int, int, int, int]  # top, left, height, width
ObjectArray = NDArray[np.object_]

Factor = Annotated[Positive, Words("a number")]
Overlaps = Annotated[Annotated[Sequence[float], Items()] | None, Words("a list of numbers, or null", example=[0.5])]
Trials = Annotated[int, Field(ge=1), Words("an integer")]

OVERLAPS = (0.0, 0.1, 0.3, 0.5, 0.7, 0.9, 1.0)
MOST_WINDOWS = 10_000
"""How many windows are tried for a sample, in all. torchvision goes on without end."""


class Window(NamedTuple):
    """A window in pixels, and which boxes have their middle in it, ``[boxes]``."""

    top: int
    left: int
    height: int
    width: int
    kept: NDArray[np.bool_]


def _zeroed(bounding_boxes: Tensor, kept: Sequence[bool]) -> Tensor:
    if len(kept) != len(bounding_boxes):
        raise InvalidInput(f"there are {len(bounding_boxes)} boxes; {len(kept)} are kept or not")
    mask = torch.tensor(kept, dtype=torch.bool, device=bounding_boxes.device)
    return bounding_boxes.masked_fill(~mask.unsqueeze(1), 0)


@functional(boxes=_zeroed)
def zeroed_bounding_boxes(inpt: Any, kept: Sequence[bool]) -> Any:
    """Boxes with zeros in place of those that are not kept."""


@dataclass(frozen=True, slots=True)
class CropToBoxes(Crop):
    """Cut windows; boxes with their middle elsewhere become zeros."""

    kept: ObjectArray  # [N], of bools [boxes]

    def calls(self) -> Iterator[Call]:
        yield from Crop.calls(self)
        yield Call(zeroed_bounding_boxes, {"kept": self.kept[0].tolist()})


class RandomIoUCrop(Transform):
    """Cut a random window that overlaps with a box at least so much, or leave the sample (SSD, arXiv:1512.02325).

    Boxes with their middle outside the window become zeros: SanitizeBoundingBoxes, at once or later, takes them out.

    Draws: the least overlap; where it is less than 1, up to ``trials`` times the window's width and height, and where
    their ratio is in range its left and top, until a box has its middle in it and overlaps so much. Where none does,
    all of that again. After 10,000 windows, the sample is left as it is.

    Args:
        min_scale: the least width and height of the window, as a share of the image's.
        max_scale: the greatest.
        min_aspect_ratio: the least width / height of the window.
        max_aspect_ratio: the greatest.
        sampler_options: overlaps (intersection over union of window and box) to draw from; 1 or more leaves the sample
            as it is. Null is 0, 0.1, 0.3, 0.5, 0.7, 0.9 and 1.
        trials: how many windows to try for each overlap.

    Raises:
        TypeError: the sample has no boxes, or neither an image nor a tensor.
        InvalidInput: the boxes are rotated.
    """

    acts_on = ALL_KINDS
    needs = (BoundingBoxes,)
    one_size = True

    def __init__(
        self,
        min_scale: Factor = 0.3,
        max_scale: Factor = 1.0,
        min_aspect_ratio: Factor = 0.5,
        max_aspect_ratio: Factor = 2.0,
        sampler_options: Overlaps = None,
        trials: Trials = 40,
    ) -> None:
        super().__init__()
        for low, high, name in ((min_scale, max_scale, "scale"), (min_aspect_ratio, max_aspect_ratio, "aspect_ratio")):
            if low > high:
                raise ValueError(f"min_{name} is {low}, greater than max_{name}, which is {high}")
        self.min_scale = min_scale
        self.max_scale = max_scale
        self.min_aspect_ratio = min_aspect_ratio
        self.max_aspect_ratio = max_aspect_ratio
        self.options = OVERLAPS if sampler_options is None else sampler_options
        self.trials = trials

    def draw(self, lanes: Lanes, frames: Frames) -> Op:
        if frames.samples is None:
            raise WrongKind("RandomIoUCrop needs boxes beside each image")
        for sample in frames.samples:
            _check(sample)
        windows = [self._window(lanes[np.array([i])], frames[np.array([i])]) for i in range(len(frames))]
        found = [window for window in windows if window is not None]
        if not found:
            return NOTHING
        *sides, kept = zip(*found, strict=True)
        top, left, height, width = (np.array(column, np.int64) for column in sides)
        crop = CropToBoxes(top, left, height, width, np.fromiter(kept, object, len(found)))
        return Select(np.array([window is not None for window in windows]), crop)

    def _window(self, lane: Lanes, frame: Frames) -> Window | None:
        """The window of one sample; None leaves it as it is."""
        boxes, size = Boxes(frame), (int(frame.heights[0]), int(frame.widths[0]))
        for overlap in islice(self._overlaps(lane), MOST_WINDOWS):
            if overlap >= 1:
                return None
            sides = self._sides(lane, size)
            kept = None if sides is None else boxes.kept(sides, overlap)
            if sides is not None and kept is not None:
                return Window(*sides, kept)
        return None

    def _overlaps(self, lane: Lanes) -> Iterator[float]:
        """The least overlap for each window that is tried."""
        while True:
            overlap = self.options[int(lane.integers(0, len(self.options))[0])]
            yield from repeat(overlap, self.trials)

    def _sides(self, lane: Lanes, size: tuple[int, int]) -> Sides | None:
        """A window to try, where its width and height are in range."""
        width = _share(size[1], between(self.min_scale, self.max_scale, lane.rand()))
        height = _share(size[0], between(self.min_scale, self.max_scale, lane.rand()))
        # torchvision divides by a height of 0
        if not height or not self.min_aspect_ratio <= width / height <= self.max_aspect_ratio:
            return None
        left, top = _share(size[1] - width, lane.rand()), _share(size[0] - height, lane.rand())
        return (top, left, height, width) if width else None


def _share(length: int, share: NDArray[np.float32]) -> int:
    return int(np.float32(length) * share[0])


class Boxes:
    """The first boxes of a sample; rotated ones are refused where it matters what they are, as in torchvision."""

    def __init__(self, frame: Frames) -> None:
        assert frame.samples is not None
        self._boxes = frame.samples[0].first(BoundingBoxes)

    def kept(self, sides: Sides, overlap: float) -> NDArray[np.bool_] | None:
        """Which have their middle in a window, if one of those overlaps with it so much."""
        top, left, height, width = sides
        right, bottom = left + width, top + height
        x, y = self._middles
        inside = (left < x) & (x < right) & (top < y) & (y < bottom)
        if not inside.any():
            return None
        corners = self._corners[inside]
        measured = _overlaps if isinstance(corners, Tensor) else _overlaps_of_arrays
        if measured(corners, [left, top, right, bottom]).max() < overlap:
            return None
        return np.asarray(inside)

    @cached_property
    def _corners(self) -> Any:
        """``[N, 4]``; as an array where numpy's arithmetic is torch's, in half the time for a few boxes."""
        boxes = self._boxes.as_subclass(Tensor)
        corners = convert_bounding_box_format(boxes, metadata(self._boxes)["format"], "XYXY").cpu()
        return corners.numpy() if corners.dtype in (torch.float32, torch.float64) else corners

    @cached_property
    def _middles(self) -> tuple[Any, Any]:
        corners = self._corners
        return 0.5 * (corners[:, 0] + corners[:, 2]), 0.5 * (corners[:, 1] + corners[:, 3])


def _check(sample: Sample) -> None:
    kinds = sample.kinds()
    if BoundingBoxes not in kinds or not kinds & {Tensor, Image, PIL.Image.Image}:
        raise WrongKind("RandomIoUCrop needs boxes beside an image, a PIL image or a tensor")


def _overlaps_of_arrays(corners: NDArray[np.floating[Any]], window: list[int]) -> NDArray[np.floating[Any]]:
    """Intersection over union of boxes ``[N, 4]`` with one, ``[N]``."""
    own = np.array(window, corners.dtype)
    shared = np.maximum(np.minimum(corners[:, 2:], own[2:]) - np.maximum(corners[:, :2], own[:2]), 0)
    area, sides = shared[:, 0] * shared[:, 1], corners[:, 2:] - corners[:, :2]
    whole: NDArray[np.floating[Any]] = sides[:, 0] * sides[:, 1] + (own[2] - own[0]) * (own[3] - own[1])
    with np.errstate(divide="ignore", invalid="ignore"):  # of boxes without an area
        overlaps: NDArray[np.floating[Any]] = area / (whole - area)
    return overlaps


def _overlaps(corners: Tensor, sides: list[int]) -> Tensor:
    """``_overlaps_of_arrays`` for numbers that numpy does not have, or divides otherwise."""
    window = corners.new_tensor([sides])
    first, last = torch.maximum(corners[:, :2], window[:, :2]), torch.minimum(corners[:, 2:], window[:, 2:])
    shared = _wide(last - first).clamp(min=0).prod(1)
    return shared / (_areas(corners) + _areas(window) - shared)


def _areas(corners: Tensor) -> Tensor:
    wide = _wide(corners)
    return (wide[:, 2:] - wide[:, :2]).prod(1)


def _wide(values: Tensor) -> Tensor:
    """In a type whose products do not overflow."""
    if values.dtype in (torch.float32, torch.float64, torch.int32, torch.int64):
        return values
    return values.float() if values.is_floating_point() else values.int()
