"""An op is a table with one row per sample: what a transform drew, nothing random left."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, fields, replace
from functools import cache
from typing import Any, ClassVar, NamedTuple, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from augserve_pipelines.batch import Batch, Block
from augserve_pipelines.dispatch import Call
from augserve_pipelines.frames import Frames, IntArray
from augserve_pipelines.kernels.resample import Parity
from augserve_pipelines.kernels.upload import bring
from augserve_pipelines.samples import Sample

BoolArray = NDArray[np.bool_]


class Kernels(NamedTuple):
    """How many kernels are launched on CUDA, torch's and ours: for a block of samples of one shape, for a sample."""

    block: int
    sample: int


@dataclass(frozen=True, slots=True)
class Op:
    """The base of all ops. Fields that are numpy arrays have one row per sample; the others hold for all samples."""

    planar: ClassVar[bool] = False
    """Whether torchvision lays the results out channel by channel; see ``Frames.interleaved``."""
    kernels: ClassVar[Kernels] = Kernels(1, 0)
    """What is launched for the op with its usual parameters, of uint8 of three channels, where Triton is installed."""

    def __getitem__(self, rows: Any) -> Self:
        """The same op for some of its rows: a mask or indices."""
        names = _array_fields(type(self))  # type: ignore[arg-type]  # mypy takes the instances' __hash__ for the class's
        return replace(self, **{name: getattr(self, name)[rows] for name in names}) if names else self

    def frames(self, frames: Frames) -> Frames:
        """What the op makes of its input's sizes, channels and dtypes."""
        return frames.planar() if self.planar else frames

    def launches(self, frames: Frames, *, alone: bool = False) -> int:
        """About how many kernels are launched on CUDA for images of these frames: for people, who read ``explain``.

        An op that has a kernel of its own, which takes samples of any shapes at once, overrides this, and says how many
        launches that takes: 1, or one for each shape of result.

        Args:
            frames: of the images that the op's rows act on.
            alone: whether each image is a block of its own, as they come in; else those of one shape are one block.
        """
        pairs = zip(frames.keys(), self.frames(frames).keys(), strict=True)
        blocks = len(frames) if alone else len(set(pairs))
        return self.kernels.block * blocks + self.kernels.sample * len(frames)

    def image(self, x: Tensor) -> Tensor:
        """``[n, ..., C, H, W]`` → ``[n, ..., C, h, w]``: row ``i`` acts on ``x[i]``; all rows give one size."""
        raise TypeError(f"{type(self).__name__} does not act on images")

    def calls(self) -> Iterator[Call]:
        """What an op of one row is, as calls of functionals: for any leaf of the sample, and for its record."""
        raise TypeError(f"{type(self).__name__} does not say what it calls")

    def with_parity(self, parity: Parity) -> Op:
        """The op told whose bytes to give, where it resizes."""
        return self

    def parts(self) -> Op | None:
        """The op that pixels may go through instead, where fusion knows more of it; None: this one."""
        return None

    def leaf(self, leaf: Any) -> Any:
        """An image, mask, boxes or anything else after an op of one row."""
        for call in self.calls():
            leaf = call(leaf)
        return leaf

    def leaves(self, sample: Sample) -> Sample:
        """A sample after an op of one row; leaves that are pending stay so."""
        return sample.mapped(self.leaf)

    def row(self, *names: str) -> dict[str, Any]:
        """The values of an op of one row, in plain Python."""
        return {name: getattr(self, name)[0].tolist() for name in names}

    def write(self, x: Tensor, out: Tensor) -> None:
        """``image(x)``, written into ``out``."""
        out.copy_(self.image(x))

    def run_into(self, batch: Batch, out: Tensor) -> None:
        """``run(batch)`` where all results have one shape: sample ``i`` is written into ``out[i]``."""
        for block in batch.blocks:
            first, count = int(block.rows[0]), len(block.rows)
            if np.array_equal(block.rows, np.arange(first, first + count)):
                self[block.rows].write(block.data, out[first : first + count])
            else:
                out.index_copy_(0, _there(block.rows, out), self[block.rows].image(block.data))

    def run(self, batch: Batch) -> Batch:
        """The op over a batch of any shapes; row ``i`` of the op acts on sample ``i``."""
        return _gathered([part for block in batch.blocks for part in _run_block(self, block)])


@dataclass(frozen=True, slots=True)
class Select(Op):
    """``op`` for the samples where ``rows`` is true; ``op`` has one row for each of those, in their order."""

    rows: BoolArray  # [N]
    op: Op

    def __getitem__(self, rows: Any) -> Select:
        picked = self.rows[rows]
        return Select(picked, self.op[self._ranks()[rows][picked]])

    def frames(self, frames: Frames) -> Frames:
        if type(self.op).frames is Op.frames:
            return frames.planar(self.rows) if self.op.planar else frames
        return frames.put(self.rows, self.op.frames(frames[self.rows])) if self.rows.any() else frames

    def launches(self, frames: Frames, *, alone: bool = False) -> int:
        """Those of the op, and of taking its samples out of their blocks and back into them."""
        own = self.op.launches(frames[self.rows], alone=alone)
        if self.rows.all() or not self.rows.any():
            return own
        keys = frames.keys()
        split = {key for key, row in zip(keys, self.rows, strict=True) if row}
        split &= {key for key, row in zip(keys, self.rows, strict=True) if not row}
        return own + (0 if alone else 2 * len(split)) + len(set(self.frames(frames).keys()))

    def calls(self) -> Iterator[Call]:
        return self.op.calls() if self.rows[0] else iter(())

    def leaf(self, leaf: Any) -> Any:
        return self.op.leaf(leaf) if self.rows[0] else leaf

    def leaves(self, sample: Sample) -> Sample:
        return self.op.leaves(sample) if self.rows[0] else sample

    def image(self, x: Tensor) -> Tensor:
        if self.rows.all():
            return self.op.image(x)
        if not self.rows.any():
            return x
        picked = _there(np.flatnonzero(self.rows), x)
        return x.index_copy(0, picked, self.op.image(x[picked]))

    def run(self, batch: Batch) -> Batch:
        if self.rows.all():
            return self.op.run(batch)
        if not self.rows.any():
            return batch
        ranks, originals = self._ranks(), np.flatnonzero(self.rows)
        picked = [Block(ranks[block.rows], block.data) for block in _kept(batch, self.rows)]
        done = [Block(originals[block.rows], block.data) for block in self.op.run(Batch(picked)).blocks]
        return _gathered([*done, *_kept(batch, ~self.rows)])

    def _ranks(self) -> NDArray[np.int64]:
        return np.cumsum(self.rows) - 1  # of sample i among the selected ones


@dataclass(frozen=True, slots=True)
class Chain(Op):
    """Ops in order."""

    ops: tuple[Op, ...]

    def __getitem__(self, rows: Any) -> Chain:
        return Chain(tuple(op[rows] for op in self.ops))

    def frames(self, frames: Frames) -> Frames:
        for op in self.ops:
            frames = op.frames(frames)
        return frames

    def launches(self, frames: Frames, *, alone: bool = False) -> int:
        total = 0
        for op in self.ops:
            total += op.launches(frames, alone=alone)
            frames, alone = op.frames(frames), False
        return total

    def calls(self) -> Iterator[Call]:
        for op in self.ops:
            yield from op.calls()

    def leaf(self, leaf: Any) -> Any:
        for op in self.ops:
            leaf = op.leaf(leaf)
        return leaf

    def leaves(self, sample: Sample) -> Sample:
        for op in self.ops:
            sample = op.leaves(sample)
        return sample

    def image(self, x: Tensor) -> Tensor:
        for op in self.ops:
            x = op.image(x)
        return x

    def run(self, batch: Batch) -> Batch:
        for op in self.ops:
            batch = op.run(batch)
        return batch


class Fused(NamedTuple):
    """An op after fusion, and which of the ops before it, by their places in order, it stands for."""

    op: Op
    origins: tuple[int, ...]


NOTHING = Chain(())


def after(op: Op, frames: Frames) -> Frames:
    """The frames after an op, with what it makes of the samples' boxes, points and labels."""
    changed = op.frames(frames)
    if frames.samples is None:
        return changed
    samples = np.empty(len(frames), object)
    for i, sample in enumerate(frames.samples):
        samples[i] = op[np.array([i])].leaves(sample)
    return replace(changed, samples=samples)


def each_row(kernel: Callable[..., Tensor], x: Tensor, *parameters: NDArray[Any]) -> Tensor:
    """``kernel(x[i], *parameters[i])`` stacked: for kernels whose bytes depend on taking one sample at a time."""
    rows = [kernel(image, *row) for image, *row in zip(x, *(p.tolist() for p in parameters), strict=True)]
    return rows[0].unsqueeze(0) if len(rows) == 1 else torch.stack(rows)


def merged(blocks: Sequence[Block]) -> Batch:
    """A batch of these blocks, those of one shape, dtype and memory layout laid together.

    A block keeps its layout: which of torch's loops takes a value, and how often it rounds, may follow from where it
    lies, and must not follow from a sample's neighbours.
    """
    if len(blocks) == 1:
        return Batch(blocks)
    groups: dict[object, list[Block]] = {}
    for block in blocks:
        groups.setdefault((block.data.shape[1:], block.data.dtype, _is_channels_last(block.data)), []).append(block)
    return Batch([group[0] if len(group) == 1 else _joined(group) for group in groups.values()])


def _run_block(op: Op, block: Block) -> list[Block]:
    own = op[block.rows]
    if len(block.rows) == 1 or type(op).frames is Op.frames:
        return [Block(block.rows, own.image(block.data))]
    groups: dict[object, list[int]] = {}
    for row, key in enumerate(own.frames(Frames.of(list(block.data))).keys()):
        groups.setdefault(key, []).append(row)
    if len(groups) == 1:
        return [Block(block.rows, own.image(block.data))]
    return [Block(block.rows[rows], own[rows].image(block.data[rows])) for rows in groups.values()]


def _kept(batch: Batch, mask: BoolArray) -> list[Block]:
    blocks = []
    for block in batch.blocks:
        keep = mask[block.rows]
        if keep.all():
            blocks.append(block)
        elif keep.any():
            blocks += _pieces(block, keep)
    return blocks


def _pieces(block: Block, keep: BoolArray) -> list[Block]:
    """The samples of a block that are kept: on the CPU as they lie."""
    if block.data.device.type != "cpu":
        return [Block(block.rows[keep], block.data[_there(np.flatnonzero(keep), block.data)])]
    edges = np.flatnonzero(np.diff(keep, prepend=False, append=False)).tolist()  # where kept neighbours begin and end
    spans = [slice(*pair) for pair in zip(edges[::2], edges[1::2], strict=True)]
    return [Block(block.rows[span], block.data[span]) for span in spans]


def _there(rows: IntArray, data: Tensor) -> Tensor:
    """Rows, where a block lies that is indexed by them."""
    return bring(torch.from_numpy(rows), data.device)


def _gathered(blocks: Sequence[Block]) -> Batch:
    """A batch of these blocks: laid together where every launch costs; as they lie on the CPU, where copies do.

    AutoAugment of photographs of 300 x 400 took 5.0 ms each where every operation split and joined them, 0.9 ms so.
    """
    on_cpu = all(block.data.device.type == "cpu" for block in blocks)
    return Batch(blocks) if on_cpu else merged(blocks)


def _joined(blocks: list[Block]) -> Block:
    rows, data = np.concatenate([block.rows for block in blocks]), [block.data for block in blocks]
    if _is_channels_last(data[0]):
        return Block(rows, torch.cat([part.movedim(-3, -1) for part in data]).movedim(-1, -3))
    return Block(rows, torch.cat(data))


def _is_channels_last(data: Tensor) -> bool:
    return data.movedim(-3, -1).is_contiguous()


@cache
def _array_fields(kind: type[Op]) -> tuple[str, ...]:
    return tuple(field.name for field in fields(kind) if "Array" in str(field.type))
