"""The one op that a crop, a resize, a crop of that and a flip are fused into."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from augserve_pipelines.batch import Batch, Block
from augserve_pipelines.frames import Frames, IntArray
from augserve_pipelines.interpolation import InterpolationMode
from augserve_pipelines.kernels.lookup import lookup_image
from augserve_pipelines.kernels.resample import Parity, resample_image
from augserve_pipelines.kernels.resample_pixels import Arithmetic, Window, resample_pixels, takes
from augserve_pipelines.kernels.windows import Windows, has_weights, launched
from augserve_pipelines.ops import BoolArray, Op
from augserve_pipelines.transforms.normalize import Finish
from augserve_pipelines.transforms.tables import Tabled

__all__ = ["Resample", "windows_of"]


@dataclass(frozen=True, slots=True)
class Resample(Op):
    """Cut ``source`` out, resize that to ``size``, cut ``target`` out of it, mirror it: in one step.

    Windows are (top, left, height, width) in pixels and lie inside what they are cut from.
    """

    source: IntArray  # [N, 4]
    size: IntArray  # [N, 2]
    target: IntArray  # [N, 4]
    flip: BoolArray  # [N]
    interpolation: InterpolationMode
    antialias: bool
    parity: Parity = "torchvision"
    tail: Finish | Tabled | None = None  # what becomes of the bytes

    def __getitem__(self, rows: Any) -> Resample:
        tail = None if self.tail is None else self.tail[rows]
        windows = self.source[rows], self.size[rows], self.target[rows], self.flip[rows]
        return Resample(*windows, self.interpolation, self.antialias, self.parity, tail)

    def mirrored(self, rows: BoolArray) -> Resample:
        """The same, with what comes out for these samples mirrored."""
        windows = self.source, self.size, self.target, self.flip ^ rows
        return Resample(*windows, self.interpolation, self.antialias, self.parity, self.tail)

    def then(self, tail: Finish | Tabled) -> Resample:
        """The same with another tail."""
        windows = self.source, self.size, self.target, self.flip
        return Resample(*windows, self.interpolation, self.antialias, self.parity, tail)

    def frames(self, frames: Frames) -> Frames:
        resized = frames.resized(self.target[:, 2], self.target[:, 3])
        return resized if self.tail is None else self.tail.frames(resized)

    def launches(self, frames: Frames, *, alone: bool = False) -> int:
        """One for each size of result, of any sizes of images; ``nearest-exact`` has no kernel of our own."""
        sizes = len(np.unique(self.target[:, 2:], axis=0))
        return sizes if has_weights(self.interpolation, self.antialias) else 3 * len(frames)

    def image(self, x: Tensor) -> Tensor:
        out = self._empty(x[0], (*x.shape[:-2], *self.target[0, 2:].tolist()))
        self._resample(list(x), out)
        return out

    def run(self, batch: Batch) -> Batch:
        """Samples of any sizes, straight into one dense block for each size of result."""
        images = list(batch)
        groups: dict[object, list[int]] = {}
        for row, (image, size) in enumerate(zip(images, self.target[:, 2:].tolist(), strict=True)):
            groups.setdefault((*image.shape[:-2], *size, image.dtype, image.device), []).append(row)
        return Batch([self._block(rows, images) for rows in groups.values()])

    def run_into(self, batch: Batch, out: Tensor) -> None:
        self._resample(list(batch), out)

    def _block(self, rows: list[int], images: list[Tensor]) -> Block:
        first = images[rows[0]]
        out = self._empty(first, (len(rows), *first.shape[:-2], *self.target[rows[0], 2:].tolist()))
        self[rows]._resample([images[row] for row in rows], out)
        return Block(np.array(rows), out)

    def _resample(self, images: Sequence[Tensor], out: Tensor) -> None:
        tables = self._tables(images, out)
        if launched(images, self.interpolation, self.antialias):
            from augserve_pipelines.kernels.resample_triton import resample_batch  # it imports Triton

            resample_batch(images, self.windows(), out, tables)
            return
        finish = self.tail.arithmetic() if isinstance(self.tail, Finish) else None
        direct = self._is_torchvisions()
        table = [column.tolist() for column in (self.source, self.size, self.target, self.flip)]
        for row, (image, result, *window) in enumerate(zip(images, out.unbind(), *table, strict=True)):
            own = None if tables is None else tables[row % len(tables)]
            if direct and takes(image, window[2][3]) and result.is_contiguous():
                self._by_pixels(image, Window(*window), finish, own, result)
            else:
                self._by_steps(image, Window(*window), own, result)

    def _is_torchvisions(self) -> bool:
        smooth = self.interpolation in (InterpolationMode.BILINEAR, InterpolationMode.BICUBIC)
        return smooth and (self.parity == "torchvision" or not self.antialias)

    def _by_pixels(
        self, image: Tensor, window: Window, finish: Arithmetic | None, table: Tensor | None, out: Tensor
    ) -> None:
        if finish is not None or table is None:
            resample_pixels(image, window, self.interpolation, self.antialias, finish, out)
            return
        pixels = torch.empty(out.shape, dtype=torch.uint8)
        resample_pixels(image, window, self.interpolation, self.antialias, None, pixels)
        lookup_image(pixels, table, False, out)

    def _by_steps(self, image: Tensor, window: Window, table: Tensor | None, out: Tensor) -> None:
        top, left, height, width = window.source
        part = image[..., top : top + height, left : left + width]
        size = (window.size[0], window.size[1])
        resized = resample_image(part, size, self.interpolation, self.antialias, self.parity)
        if tuple(window.target) != (0, 0, *size):
            top, left, height, width = window.target
            resized = resized[..., top : top + height, left : left + width]
        self._finish(resized, window.mirrored, table, out)

    def windows(self) -> Windows:
        """What kernels are told of it."""
        parity = self.parity if self.antialias else "torchvision"  # Pillow averages always
        return Windows(self.source, self.size, self.target, self.flip, self.interpolation, self.antialias, parity)

    def _tables(self, images: Sequence[Tensor], out: Tensor) -> Tensor | None:
        if self.tail is None or all(image.dtype != torch.uint8 for image in images):
            return None
        return self.tail.tables(out.shape[-3])

    def _finish(self, image: Tensor, flip: bool, table: Tensor | None, out: Tensor) -> None:
        if self.tail is None:
            out.copy_(_mirrored(image) if flip else image)
        elif image.dtype == torch.uint8 and image.ndim == 3 and table is not None:
            lookup_image(image, table, flip, out)
        elif image.dtype == torch.uint8:
            for frame, result in zip(image, out, strict=True):
                self._finish(frame, flip, table, result)
        else:
            out.copy_(self.tail.image((_mirrored(image) if flip else image).unsqueeze(0))[0])

    def _empty(self, like: Tensor, shape: tuple[int, ...]) -> Tensor:
        dtype = like.dtype if self.tail is None else self.tail.dtype
        return torch.empty(shape, dtype=dtype, device=like.device)


def windows_of(heights: IntArray, widths: IntArray) -> IntArray:
    """The windows ``[N, 4]`` that are all of images of these sizes."""
    windows = np.zeros((4, len(heights)), np.int64)
    windows[2], windows[3] = heights, widths
    return windows.T


def _mirrored(image: Tensor) -> Tensor:
    # torch mirrors pixels whole, in 12 us instead of 52 for 224 x 224, where it sees four dimensions
    return image.unsqueeze(0).flip(-1).squeeze(0)
