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
    """Heights, widths (pixels), channels and dtypes of N samples, each an ``[N]`` array."""

    heights: IntArray
    widths: IntArray
    channels: IntArray
    dtypes: NDArray[np.object_]

    @classmethod
    def of(cls, images: Sequence[torch.Tensor]) -> Frames:
        """The frames of images ``[..., C, H, W]``."""
        shapes = np.array([image.shape[-3:] for image in images], np.int64).reshape(len(images), 3)
        dtypes = np.empty(len(images), object)
        dtypes[:] = [image.dtype for image in images]
        return cls(shapes[:, 1].copy(), shapes[:, 2].copy(), shapes[:, 0].copy(), dtypes)

    def __len__(self) -> int:
        return len(self.heights)

    def __getitem__(self, rows: Any) -> Frames:
        return Frames(self.heights[rows], self.widths[rows], self.channels[rows], self.dtypes[rows])

    def resized(self, heights: ArrayLike, widths: ArrayLike) -> Frames:
        """The same samples at other sizes; a scalar holds for all of them."""
        return replace(self, heights=self._column(heights), widths=self._column(widths))

    def with_channels(self, channels: ArrayLike) -> Frames:
        return replace(self, channels=self._column(channels))

    def with_dtype(self, dtype: torch.dtype) -> Frames:
        return replace(self, dtypes=np.full(len(self), dtype, object))

    def put(self, rows: NDArray[np.bool_], other: Frames) -> Frames:
        """These frames with ``other`` in the rows where the mask is true."""
        changed = Frames(self.heights.copy(), self.widths.copy(), self.channels.copy(), self.dtypes.copy())
        changed.heights[rows], changed.widths[rows] = other.heights, other.widths
        changed.channels[rows], changed.dtypes[rows] = other.channels, other.dtypes
        return changed

    def keys(self) -> list[Hashable]:
        """What samples must share to lie in one dense block: channels, height, width, dtype."""
        return list(
            zip(self.channels.tolist(), self.heights.tolist(), self.widths.tolist(), self.dtypes.tolist(), strict=True)
        )

    def _column(self, values: ArrayLike) -> IntArray:
        return np.full(len(self), values, np.int64)
