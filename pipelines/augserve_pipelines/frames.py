"""What is known of N samples before a pixel is read: sizes, channels and dtypes."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

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
        shapes = np.array([image.shape[-3:] for image in images], np.int64).reshape(len(images), 3)
        dtypes = np.empty(len(images), object)
        dtypes[:] = [image.dtype for image in images]
        leads = None
        if any(image.ndim > 3 for image in images):
            leads = np.fromiter((tuple(image.shape[:-3]) for image in images), object, len(images))
        channels, heights, widths = (shapes[:, column].copy() for column in range(3))
        return cls(heights, widths, channels, dtypes, leads, interleaved=_interleaved(images))

    def __len__(self) -> int:
        return len(self.heights)

    def __getitem__(self, rows: Any) -> Frames:
        picked = Frames(self.heights[rows], self.widths[rows], self.channels[rows], self.dtypes[rows])
        columns = ((name, getattr(self, name)) for name in _OPTIONAL)
        more: dict[str, Any] = {name: column[rows] for name, column in columns if column is not None}
        return replace(picked, **more) if more else picked

    def imaged(self) -> Frames:
        """The frames of the samples that have an image."""
        return self if self.channels.all() else self[self.channels > 0]

    def led(self, count: int) -> Frames:
        """The same images, ``count`` of each: one more dimension in front of the channels."""
        before = [()] * len(self) if self.leads is None else self.leads.tolist()
        return replace(self, leads=np.fromiter(((*lead, count) for lead in before), object, len(self)))

    def resized(self, heights: ArrayLike, widths: ArrayLike) -> Frames:
        """The same samples at other sizes; a scalar holds for all of them."""
        return replace(self, heights=self._column(heights), widths=self._column(widths))

    def planar(self, rows: NDArray[np.bool_] | None = None) -> Frames:
        """The same samples, those of a mask, or all, laid out channel by channel."""
        if self.interleaved is None:
            return self
        return replace(self, interleaved=np.zeros(len(self), bool) if rows is None else self.interleaved & ~rows)

    def with_channels(self, channels: ArrayLike) -> Frames:
        return replace(self, channels=self._column(channels))

    def with_dtype(self, dtype: torch.dtype) -> Frames:
        return replace(self, dtypes=np.full(len(self), dtype, object))

    def put(self, rows: NDArray[np.bool_], other: Frames) -> Frames:
        """These frames with ``other`` in the rows where the mask is true."""
        changed = Frames(self.heights.copy(), self.widths.copy(), self.channels.copy(), self.dtypes.copy())
        changed.heights[rows], changed.widths[rows] = other.heights, other.widths
        changed.channels[rows], changed.dtypes[rows] = other.channels, other.dtypes
        more: dict[str, Any] = {name: _put(getattr(self, name), getattr(other, name), rows) for name in _OPTIONAL}
        return replace(changed, **more) if any(column is not None for column in more.values()) else changed

    def keys(self) -> list[Hashable]:
        """What samples must share to lie in one dense block: shape and dtype."""
        columns = [self.channels.tolist(), self.heights.tolist(), self.widths.tolist(), self.dtypes.tolist()]
        if self.leads is not None:
            columns.append(self.leads.tolist())
        return list(zip(*columns, strict=True))

    def shape(self, row: int) -> tuple[int, ...]:
        """``[..., C, H, W]`` of a sample."""
        lead = () if self.leads is None else self.leads[row]
        return (*lead, int(self.channels[row]), int(self.heights[row]), int(self.widths[row]))

    def _column(self, values: ArrayLike) -> IntArray:
        return np.full(len(self), values, np.int64)


_OPTIONAL = ("leads", "videos", "interleaved", "samples")


def is_interleaved(image: torch.Tensor) -> bool:
    """Whether ``[..., C, H, W]`` lies pixel by pixel, with gaps or without: a copy by torch lies so too."""
    return not image.is_contiguous() and 0 < image.stride(-3) < image.stride(-1)


def _interleaved(images: Sequence[torch.Tensor]) -> NDArray[np.bool_] | None:
    found = [is_interleaved(image) for image in images]
    return np.array(found, bool) if any(found) else None


def _put(column: NDArray[Any] | None, other: NDArray[Any] | None, rows: NDArray[np.bool_]) -> NDArray[Any] | None:
    if column is None and other is None:
        return None
    if column is None:  # leads are the one thing that an op may add
        column = np.fromiter((() for _ in rows), object, len(rows))
    changed = column.copy()
    if other is not None:
        changed[rows] = other
    return changed
