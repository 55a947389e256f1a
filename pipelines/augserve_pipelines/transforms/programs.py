"""Steps of colours in one op: a program for each sample, which neighbouring ops of colours are fused into."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from augserve_pipelines.batch import Batch, Block
from augserve_pipelines.frames import Frames, IntArray
from augserve_pipelines.kernels import color, color_programs, histogram, layout, sharpness
from augserve_pipelines.kernels.color_codes import Code
from augserve_pipelines.kernels.color_programs import Places
from augserve_pipelines.kernels.launching import launches
from augserve_pipelines.kernels.upload import bring
from augserve_pipelines.ops import BoolArray, Chain, Fused, Op, Select
from augserve_pipelines.transforms.channels import GRAY_OR_RGB, PermuteChannels
from augserve_pipelines.transforms.color import Jitter
from augserve_pipelines.transforms.grayscale import ToGray
from augserve_pipelines.transforms.histogram import Autocontrast, Equalize
from augserve_pipelines.transforms.pointwise import Invert, Posterize, Solarize
from augserve_pipelines.transforms.retouch import Retouch
from augserve_pipelines.transforms.sharpness import Sharpen

__all__ = ["ColorProgram", "moved_up", "programmed"]

FloatArray = NDArray[np.float64]

# of the four that Jitter numbers
_JITTER = np.array([Code.BRIGHTNESS, Code.CONTRAST, Code.SATURATION, Code.HUE])


@dataclass(frozen=True, slots=True)
class ColorProgram(Retouch):
    """The steps of each sample in order; those with any are of bytes, of 1 or 3 channels."""

    codes: IntArray  # [N, K], of Code
    values: FloatArray  # [N, K]

    def frames(self, frames: Frames) -> Frames:
        return frames.planar(_any_of(self.codes, color_programs.PLANAR_THERE) & (frames.channels != 0))

    def launches(self, frames: Frames, *, alone: bool = False) -> int:
        """One for each segment, and two more where one counts something for the next, for gray and for colours."""
        total = 0
        for channels in np.unique(frames.channels):
            cuts = color_programs.segments(self.codes[self.active() & (frames.channels == channels)])
            total += sum(3 if cut.gathers.any() else 1 for cut in cuts)
        return total

    def then(self, later: ColorProgram) -> ColorProgram:
        """This program, and the later one after it."""
        codes = np.concatenate([self.codes, later.codes], axis=1)
        values = np.concatenate([self.values, later.values], axis=1)
        longest = max(int((codes > 0).sum(1).max()), 1)
        order = np.argsort(codes == Code.NOTHING, axis=1, kind="stable")[:, :longest]
        return ColorProgram(np.take_along_axis(codes, order, 1), np.take_along_axis(values, order, 1))

    def only(self, rows: BoolArray) -> ColorProgram:
        """The same without the steps of the other samples."""
        return replace(self, codes=np.where(rows[:, None], self.codes, Code.NOTHING))

    def is_pointwise(self) -> bool:
        """Whether every step changes each byte by itself."""
        return bool(color_programs.is_of(self.codes, _POINTWISE).all())

    def active(self) -> BoolArray:
        """Which samples have steps."""
        return _any_of(self.codes, [*Code][1:])

    def change(self, row: int, image: Tensor) -> None:
        planar = False  # in torchvision
        for code, value in zip(self.codes[row].tolist(), self.values[row].tolist(), strict=True):
            if code == Code.CONTRAST:
                color.stretch(image, value, planar)
            elif code:
                _CHANGES[code](image, value)
            planar |= code in color_programs.PLANAR_THERE

    def changed(self, row: int, image: Tensor) -> Tensor:
        copy = layout.dense_copy(image.cpu())
        for one in copy.view(-1, *copy.shape[-3:]):
            self.change(row, one)
        return copy.to(image.device)

    def image(self, x: Tensor) -> Tensor:
        planar = _any_of(self.codes, color_programs.PLANAR).any()
        out = torch.empty_like(x, memory_format=torch.contiguous_format if planar else torch.preserve_format)
        self.write(x, out)
        return out

    def write(self, x: Tensor, out: Tensor) -> None:
        if launches(x.device) and layout.dense(out) is out:
            self._launch([(np.arange(len(x)), x, out)])
        else:
            Retouch.write(self, x, out)

    def run(self, batch: Batch) -> Batch:
        active, planar = self.active(), _any_of(self.codes, color_programs.PLANAR)
        if not active.any():
            return batch
        if launches(batch.blocks[0].data.device):
            return self._run_together(batch)
        if not active.all():
            return Select(active, self[active]).run(batch)
        if planar.any() and not planar.all() and any(not block.data.is_contiguous() for block in batch.blocks):
            return Chain((Select(planar, self[planar]), Select(~planar, self[~planar]))).run(batch)
        return Op.run(self, batch)

    def _run_together(self, batch: Batch) -> Batch:
        """All samples at once, whatever their sizes."""
        active, planar = self.active(), _any_of(self.codes, color_programs.PLANAR)
        blocks, parts = [], []
        for block in batch.blocks:
            if not active[block.rows].any():
                blocks.append(block)
                continue
            x = layout.dense(block.data)
            groups = (
                [np.full(len(block.rows), True)] if x.is_contiguous() else [planar[block.rows], ~planar[block.rows]]
            )
            for number, rows in enumerate(groups):
                if rows.any():
                    own = x if rows.all() else x[bring(torch.from_numpy(np.flatnonzero(rows)), x.device)]
                    out = torch.empty_like(own, memory_format=(torch.contiguous_format, torch.preserve_format)[number])
                    parts.append((block.rows[rows], own, out))
                    blocks.append(Block(block.rows[rows], out))
        self._launch(parts)
        return Batch(blocks)

    def _launch(self, parts: Sequence[tuple[IntArray, Tensor, Tensor]]) -> None:
        """Give samples to our kernels: their rows, what they are, and where they go."""
        for channels in GRAY_OR_RGB:
            alike = [part for part in parts if part[2].shape[-3] == channels]
            if not alike:
                continue
            rows = np.concatenate([rows.repeat(math.prod(out.shape[1:-3])) for rows, _, out in alike])
            sources, targets = [layout.dense(x) for _, x, _ in alike], [out for _, _, out in alike]
            sharp = color_programs.needs_spare(self.codes[rows])
            spares = [torch.empty_like(out) for out in targets] if sharp else targets
            of, to, by = (Places.joined([Places.of(one) for one in each]) for each in (sources, targets, spares))
            color_programs.run_programs(self.codes[rows], self.values[rows], of, to, by, targets[0].device)


def programmed(op: Op, frames: Frames) -> Op:
    """The op as a program, where it is of colours and its images are bytes of 1 or 3 channels; else itself."""
    inner = op.op if isinstance(op, Select) else op
    if not isinstance(inner, _KINDS):
        return op
    rows = op.rows if isinstance(op, Select) else np.ones(len(frames), bool)
    own = frames[rows]
    if not _fits(own) or (steps := _steps(inner, own)) is None:
        return op
    codes, values = np.zeros((len(rows), steps[0].shape[1]), np.int64), np.zeros((len(rows), steps[0].shape[1]))
    codes[rows], values[rows] = steps
    return ColorProgram(codes, values)


def moved_up(ops: Sequence[Fused]) -> list[Fused]:
    """The ops, with steps moved from programs into earlier ones, where nothing between touches their samples.

    RandAugment warps some samples between the colours of others: of two operations all colours end in one program.
    """
    moved = list(ops)
    for place, (op, origins) in enumerate(moved):
        if isinstance(op, ColorProgram) and (found := _earlier(moved[:place])) is not None:
            before, touched = found
            earlier, of_earlier = moved[before]
            assert isinstance(earlier, ColorProgram)
            moved[before] = Fused(earlier.then(op.only(~touched)), of_earlier + origins)
            moved[place] = Fused(op.only(touched), origins)
    return [one for one in moved if not (isinstance(one.op, ColorProgram) and not one.op.active().any())]


def _earlier(ops: Sequence[Fused]) -> tuple[int, BoolArray] | None:
    """The place of the last program, and which samples are touched after it."""
    touched: BoolArray = np.zeros(1, bool)
    for place in reversed(range(len(ops))):
        match ops[place].op:
            case ColorProgram(codes):
                return place, np.broadcast_to(touched, len(codes))
            case Select(rows, _):
                touched = touched | rows
            case _:
                return None
    return None


def _steps(op: Op, frames: Frames) -> tuple[IntArray, FloatArray] | None:
    """The codes and values ``[n, K]`` of an op of colours."""
    count = len(frames)
    match op:
        case Jitter(order, factors):
            values = np.take_along_axis(factors, order, axis=1).astype(np.float64)
            return np.where(np.isnan(values), Code.NOTHING, _JITTER[order]), np.nan_to_num(values)
        case ToGray(channels) if (channels == frames.channels).all():
            return _column(Code.GRAY, np.zeros(count))
        case PermuteChannels(permutation):
            return _column(Code.PERMUTE, np.array([_packed(order) for order in permutation], np.float64))
        case Posterize(bits):
            return _column(Code.POSTERIZE, 256.0 - np.exp2(8 - bits))
        case Solarize(threshold) if (threshold <= 255).all():
            return _column(Code.SOLARIZE, threshold)
        case Sharpen(factor):
            return _column(Code.SHARPNESS, factor)
        case Invert() | Equalize() | Autocontrast():
            return _column(_PLAIN[type(op)], np.zeros(count))
    return None


def _column(code: Code, values: FloatArray) -> tuple[IntArray, FloatArray]:
    return np.full((len(values), 1), code, np.int64), values[:, None]


def _packed(order: tuple[int, ...]) -> int:
    return sum(channel * 3**place for place, channel in enumerate(order))


def _unpacked(value: float) -> list[int]:
    return [int(value) // 3**place % 3 for place in range(3)]


def _fits(frames: Frames) -> bool:
    return set(frames.dtypes.tolist()) <= {torch.uint8} and set(frames.channels.tolist()) <= {*GRAY_OR_RGB}


def _any_of(codes: IntArray, some: Sequence[Code]) -> BoolArray:
    found: BoolArray = np.asarray(color_programs.is_of(codes, some).any(axis=1))
    return found


def _gray(image: Tensor, _: float) -> None:
    if len(image) == 3:
        image.copy_(color.gray_bytes(image))


def _permute(image: Tensor, value: float) -> None:
    if len(image) == 3:
        image.copy_(image[_unpacked(value)])


def _posterize(image: Tensor, mask: float) -> None:
    image.bitwise_and_(int(mask))


def _invert(image: Tensor, _: float) -> None:
    image.bitwise_not_()


def _equalize(image: Tensor, _: float) -> None:
    planar = image.contiguous()
    histogram.equalize(planar)
    if planar is not image:
        image.copy_(planar)


def _autocontrast(image: Tensor, _: float) -> None:
    histogram.autocontrast(image)


_POINTWISE = (Code.NOTHING, Code.BRIGHTNESS, Code.POSTERIZE, Code.SOLARIZE, Code.INVERT)
_KINDS = (Jitter, ToGray, PermuteChannels, Posterize, Solarize, Sharpen, Invert, Equalize, Autocontrast)
_PLAIN: Mapping[type[Op], Code] = {Invert: Code.INVERT, Equalize: Code.EQUALIZE, Autocontrast: Code.AUTOCONTRAST}
_CHANGES: Mapping[int, Callable[[Tensor, float], None]] = {  # of bytes [C, H, W], in place
    Code.BRIGHTNESS: color.brighten,
    Code.SATURATION: color.saturate,
    Code.HUE: color.shift_hue,
    Code.GRAY: _gray,
    Code.PERMUTE: _permute,
    Code.POSTERIZE: _posterize,
    Code.SOLARIZE: color.invert_from,
    Code.INVERT: _invert,
    Code.EQUALIZE: _equalize,
    Code.AUTOCONTRAST: _autocontrast,
    Code.SHARPNESS: sharpness.sharpen,
}
