"""A pipeline: transforms compiled to run over batches, one seed and one draw for every sample."""

from __future__ import annotations

import copy
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from os import PathLike

import numpy as np
import torch
from torch import Tensor

from augserve_pipelines import canonical, definition, executor
from augserve_pipelines.batch import Batch
from augserve_pipelines.errors import InvalidInput
from augserve_pipelines.frames import Frames
from augserve_pipelines.input_rule import InputRule
from augserve_pipelines.kernels.resample import Parity
from augserve_pipelines.lanes import Lanes
from augserve_pipelines.ops import Chain, Op, Select
from augserve_pipelines.plan import Plan, plan
from augserve_pipelines.transforms.base import Transform
from augserve_pipelines.transforms.containers import Compose
from augserve_pipelines.transforms.conversion import CastTo

# What `signature` draws for: sizes a photograph may have, each under many seeds.
_PROBE_SIZES = ((480, 640), (640, 480), (333, 333), (1200, 1601))
_PROBE_SEEDS = 64


@dataclass(frozen=True, slots=True)
class OutputSignature:
    """What a pipeline makes of a photograph: None where it depends on the input or on chance."""

    dtype: str | None
    channels: int | None
    height: int | None
    width: int | None


class Pipeline:
    """Transforms that run over batches of images of any sizes, with random parameters drawn per sample.

    Sample ``i`` is what ``torch.manual_seed(seeds[i])`` and the transforms of torchvision give for image ``i`` on the
    CPU, whatever else is in the batch.

    Args:
        transforms: the steps in order.
        parity: whose antialiased bilinear and bicubic resize to reproduce: torchvision's or Pillow's.
        name: what to call it.
        description: one line for people.
        input: how encoded images become pixels, for those who decode for the pipeline.
    """

    def __init__(
        self,
        transforms: Sequence[Transform],
        *,
        parity: Parity = "torchvision",
        name: str = "",
        description: str = "",
        input: InputRule | None = None,  # the key's name in YAML
    ) -> None:
        if parity not in ("torchvision", "pillow"):
            raise ValueError(f"parity is {parity!r}; allowed: 'torchvision', 'pillow'")
        self.transforms = tuple(transforms)
        self.parity: Parity = parity
        self.name = name
        self.description = description
        self.input = InputRule() if input is None else input
        self._compose = Compose(self.transforms)
        self._cast: torch.dtype | None = None

    @classmethod
    def load(cls, path: str | PathLike[str]) -> Pipeline:
        """The pipeline of a YAML file, named for the file's stem.

        Raises:
            InvalidPipeline: with every problem of the file.
        """
        found = definition.load(path)
        return cls(
            found.transforms, parity=found.parity, name=found.name, description=found.description, input=found.input
        )

    def __call__(
        self,
        images: Sequence[Tensor],
        seeds: Sequence[int] | None = None,
        *,
        device: torch.device | str | None = None,
        chunk: int | None = None,
    ) -> Batch:
        """Run the pipeline over N images.

        Args:
            images: tensors ``[C, H, W]``, of any sizes; uint8 as decoded, or floats in [0, 1]. They are not changed.
            seeds: a seed for each image, 0 to 2**64 - 1. Absent: fresh ones, which the batch keeps.
            device: where to run. Absent: where the images lie.
            chunk: how many samples to take through the pipeline at once on the CPU; it changes no byte.

        Returns:
            The results in the order of the images.

        Raises:
            InvalidInput: images or seeds that cannot be run, such as an image smaller than its crop.
        """
        seeds = [secrets.randbits(32) for _ in images] if seeds is None else [int(seed) for seed in seeds]
        _check(images, seeds)
        if device is not None:
            images = [image.to(device, non_blocking=True) for image in images]
        batch = executor.run(self.plan(Frames.of(images), seeds), images, chunk)
        batch.seeds = seeds
        return batch

    def plan(self, frames: Frames, seeds: Sequence[int]) -> Plan:
        """Draw for samples of these frames and fuse what was drawn, before a pixel is read."""
        op = self._compose.draw(Lanes(seeds), frames)
        if self._cast is not None:
            op = Chain((op, _cast_of_floats(op.frames(frames), self._cast)))
        return plan(op, frames, self.parity)

    def giving(self, dtype: torch.dtype) -> Pipeline:
        """The same pipeline, of the same name and fingerprint, with results of floats cast to another dtype of floats.

        Raises:
            ValueError: the dtype is of integers.
        """
        if not dtype.is_floating_point:
            raise ValueError(f"dtype is {dtype}; results of floats are cast to float16, bfloat16, float32 or float64")
        other = copy.copy(self)
        other._cast = dtype
        return other

    @cached_property
    def fingerprint(self) -> str:
        """The sha256 of the canonical form: equal for pipelines that give equal results."""
        return canonical.fingerprint(self.parity, self.input, self.transforms)

    def to_yaml(self) -> str:
        """The canonical YAML, every default spelled out."""
        return canonical.to_yaml(self.description, self.parity, self.input, self.transforms)

    def signature(self) -> OutputSignature:
        """What comes out for photographs, found by drawing for several sizes under many seeds.

        Raises:
            InvalidInput: the pipeline cannot run on photographs at all.
        """
        outputs = self.plan(_probe(1 if self.input.mode == "L" else 3), range(len(_PROBE_SIZES) * _PROBE_SEEDS)).outputs
        dtypes = {str(dtype).removeprefix("torch.") for dtype in outputs.dtypes}
        return OutputSignature(
            dtype=dtypes.pop() if len(dtypes) == 1 else None,
            channels=_same(outputs.channels),
            height=_same(outputs.heights),
            width=_same(outputs.widths),
        )


def _cast_of_floats(frames: Frames, dtype: torch.dtype) -> Op:
    floats = np.array([present.is_floating_point for present in frames.dtypes], bool)
    return Select(floats, CastTo(dtype, scale=False))


def _probe(channels: int) -> Frames:
    count = len(_PROBE_SIZES) * _PROBE_SEEDS
    heights, widths = np.tile(np.array(_PROBE_SIZES), (_PROBE_SEEDS, 1)).T
    dtypes = np.full(count, torch.uint8, object)
    return Frames(heights, widths, np.full(count, channels), dtypes)


def _same(values: np.ndarray[tuple[int], np.dtype[np.int64]]) -> int | None:
    return int(values[0]) if (values == values[0]).all() else None


def _check(images: Sequence[Tensor], seeds: Sequence[int]) -> None:
    if len(images) != len(seeds):
        raise InvalidInput(f"{len(images)} images and {len(seeds)} seeds: one seed for each image is needed")
    for index, image in enumerate(images):
        if not isinstance(image, Tensor) or image.ndim != 3 or 0 in image.shape:
            got = f"a tensor of shape {[*image.shape]}" if isinstance(image, Tensor) else type(image).__name__
            raise InvalidInput(f"image {index} is {got}; a tensor [C, H, W] with no empty side is needed")
    for index, seed in enumerate(seeds):
        if not 0 <= seed < 1 << 64:
            raise InvalidInput(f"seed {index} is {seed}; 0 to 2**64 - 1 is allowed")
