"""What is known of N samples before a pixel is read: sizes, channels and dtypes."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from augserve_pipelines.kernels.layout import last_three

IntArray: TypeAlias = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Frames:
    """Heights, widths (pixels), channels and dtypes of N samples, each an ``[N]`` array.

    A sample without an image, such as boxes alone, has no channels and no dtype.
    """

    heights: IntArray
    widths: IntArray
    channels: IntArray
    dtypes: NDArray[np.object_]
    leads: NDArray[np.object_] | None = None
    """Dimensions in front of the channels, tuples: the frames of a video. None: there are none."""
    videos: NDArray[np.bool_] | None = None
    """Which samples are videos. None: none is."""
    interleaved: NDArray[np.bool_] | None = None
    """Which images torchvision has pixel by pixel in memory, which some draws follow. None: none."""
    samples: NDArray[np.object_] | None = None
    """The samples but for their pixels, where they are more than an image: boxes, points and labels as they are now."""

    @classmethod
    def of(cls, images: Sequence[torch.Tensor]) -> Frames:
        """The frames of images ``[..., C, H, W]``."""
        shapes = [image.shape for image in images]
        dtypes = np.empty(len(images), object)
        dtypes[:] = [image.dtype for image in images]
        leads = None
        if any(len(shape) > 3 for shape in shapes):
            leads = np.fromiter((tuple(shape[:-3]) for shape in shapes), object, len(images))
        channels, heights, widths = last_three(shapes).T.copy()
        return cls(heights, widths, channels, dtypes, leads, interleaved=_interleaved(images, widths))

    @classmethod
    def decoded(cls, shapes: Sequence[tuple[int, int, int]]) -> Frames:
        """The frames of images as decoders give them: uint8 of these ``[C, H, W]``, pixel by pixel in memory."""
        channels, heights, widths = last_three(shapes).T.copy()
        interleaved = (channels > 1) & (heights * widths > 1)
        return cls(heights, widths, channels, _same(torch.uint8, len(shapes)), interleaved=interleaved)

    def __len__(self) -> int:
        return len(self.heights)

    def __getitem__(self, rows: Any) -> Frames:
        # every column by hand: dataclasses.replace takes 3 us, and a plan makes dozens of frames
        return Frames(
            self.heights[rows],
            self.widths[rows],
            self.channels[rows],
            self.dtypes[rows],
            None if self.leads is None else self.leads[rows],
            None if self.videos is None else self.videos[rows],
            None if self.interleaved is None else self.interleaved[rows],
            None if self.samples is None else self.samples[rows],
        )

    def imaged(self) -> Frames:
        """The frames of the samples that have an image."""
        return self if np.count_nonzero(self.channels) == len(self) else self[self.channels > 0]

    def led(self, count: int) -> Frames:
        """The same images, ``count`` of each: one more dimension in front of the channels."""
        before = [()] * len(self) if self.leads is None else self.leads.tolist()
        return replace(self, leads=np.fromiter(((*lead, count) for lead in before), object, len(self)))

    def resized(self, heights: ArrayLike, widths: ArrayLike) -> Frames:
        """The same samples at other sizes; a scalar holds for all of them."""
        height, width = self._column(heights), self._column(widths)
        more = (self.leads, self.videos, self.interleaved, self.samples)
        return Frames(height, width, self.channels, self.dtypes, *more)

    def planar(self, rows: NDArray[np.bool_] | None = None) -> Frames:
        """The same samples, those of a mask, or all, laid out channel by channel."""
        if self.interleaved is None or not np.count_nonzero(self.interleaved):
            return self
        interleaved = np.zeros(len(self), bool) if rows is None else self.interleaved & ~rows
        more = (self.leads, self.videos, interleaved, self.samples)
        return Frames(self.heights, self.widths, self.channels, self.dtypes, *more)

    def with_channels(self, channels: ArrayLike) -> Frames:
        return replace(self, channels=self._column(channels))

    def with_dtype(self, dtype: torch.dtype) -> Frames:
        more = (self.leads, self.videos, self.interleaved, self.samples)
        return Frames(self.heights, self.widths, self.channels, _same(dtype, len(self)), *more)

    def put(self, rows: NDArray[np.bool_], other: Frames) -> Frames:
        """These frames with ``other`` in the rows where the mask is true."""
        heights, widths, channels, dtypes = (
            _put(column, own, rows)
            for column, own in (
                (self.heights, other.heights),
                (self.widths, other.widths),
                (self.channels, other.channels),
                (self.dtypes, other.dtypes),
            )
        )
        leads = self.leads if other.leads is None else _put(_tuples(self), other.leads, rows)
        return Frames(
            heights,
            widths,
            channels,
            dtypes,
            leads,
            self.videos,
            _changed(self.interleaved, other.interleaved, rows),
            _changed(self.samples, other.samples, rows),
        )

    def keys(self) -> list[Hashable]:
        """What samples must share to lie in one dense block: shape and dtype."""
        columns = [self.channels.tolist(), self.heights.tolist(), self.widths.tolist(), self.dtypes.tolist()]
        if self.leads is not None:
            columns.append(self.leads.tolist())
        return list(zip(*columns, strict=True))

    def are_alike(self) -> bool:
        """Whether all samples have one key."""
        columns = (column.tolist() for column in (self.channels, self.heights, self.widths, self.dtypes))
        return self.leads is None and all(column.count(column[0]) == len(column) for column in columns if column)

    def shape(self, row: int) -> tuple[int, ...]:
        """``[..., C, H, W]`` of a sample."""
        lead = () if self.leads is None else self.leads[row]
        return (*lead, int(self.channels[row]), int(self.heights[row]), int(self.widths[row]))

    def _column(self, values: ArrayLike) -> IntArray:
        return values if isinstance(values, np.ndarray) and values.ndim else np.full(len(self), values, np.int64)


def is_interleaved(image: torch.Tensor) -> bool:
    """Whether ``[..., C, H, W]`` lies pixel by pixel, with gaps or without: a copy by torch lies so too."""
    return not image.is_contiguous() and 0 < image.stride(-3) < image.stride(-1)


def _interleaved(images: Sequence[torch.Tensor], widths: IntArray) -> NDArray[np.bool_] | None:
    steps = last_three([image.stride() for image in images])
    found = (steps[:, 0] > 0) & (steps[:, 0] < steps[:, 2])
    for row in np.flatnonzero(found & (widths == 1)).tolist():  # whose step across may be anything
        found[row] = is_interleaved(images[row])
    return found if found.any() else None


def _same(dtype: torch.dtype, count: int) -> NDArray[np.object_]:
    dtypes = np.empty(count, object)
    dtypes.fill(dtype)
    return dtypes


def _tuples(frames: Frames) -> NDArray[np.object_]:
    return np.fromiter((() for _ in range(len(frames))), object, len(frames)) if frames.leads is None else frames.leads


def _changed(column: NDArray[Any] | None, other: NDArray[Any] | None, rows: NDArray[np.bool_]) -> NDArray[Any] | None:
    return column if column is None or other is None else _put(column, other, rows)


def _put(column: NDArray[Any], other: NDArray[Any], rows: NDArray[np.bool_]) -> NDArray[Any]:
    if column is other:
        return column
    changed = column.copy()
    changed[rows] = other
    return changed
