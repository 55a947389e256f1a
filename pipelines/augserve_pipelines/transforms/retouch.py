"""Ops that change one image at a time, bytes on the CPU in place."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from augserve_pipelines.kernels import layout
from augserve_pipelines.ops import Op

__all__ = ["Retouch"]


@dataclass(frozen=True, slots=True)
class Retouch(Op):
    """The base of ops that keep the shape and the dtype, and have a loop for bytes that works in place.

    Samples are taken one at a time: torch's sums and fused operations may depend on what lies beside them.
    """

    def change(self, row: int, image: Tensor) -> None:
        """Change the bytes ``[C, H, W]`` of a sample, dense in the sense of ``layout.dense``."""
        raise NotImplementedError(f"{type(self).__name__} does not define change()")

    def changed(self, row: int, image: Tensor) -> Tensor:
        """A changed copy of the image ``[..., C, H, W]`` of a sample, of any dtype on any device."""
        raise NotImplementedError(f"{type(self).__name__} does not define changed()")

    def image(self, x: Tensor) -> Tensor:
        out = torch.empty_like(x)
        self.write(x, out)
        return out

    def write(self, x: Tensor, out: Tensor) -> None:
        if not layout.on_cpu(x):
            self._write_changed(x, out)
            return
        place = out if layout.alike(x, out) else torch.empty_like(x)  # what torch rounds follows from how values lie
        if layout.dense(place) is not place:
            self._write_changed(x, out)
            return
        place.copy_(x)
        for row, images in enumerate(place.view(len(place), -1, *place.shape[-3:])):
            for image in images:
                self.change(row, image)
        if place is not out:
            out.copy_(place)

    def _write_changed(self, x: Tensor, out: Tensor) -> None:
        for row, image in enumerate(x):
            out[row] = self.changed(row, image)
