"""Colours of uint8 images on CUDA, by a program of steps for each image: what is launched, and with what.

A program is cut into segments; ``color_triton`` does one segment of all programs in one launch. What a segment has to
know of the whole image is counted, in integers, by the segment before it. So ColorJitter, whatever its order, takes
two launches and a tiny one between them.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from augserve_pipelines.kernels import layout
from augserve_pipelines.kernels.color import twice_rounded
from augserve_pipelines.kernels.color_codes import Code, Column
from augserve_pipelines.kernels.upload import upload

__all__ = ["PLANAR", "PLANAR_THERE", "Places", "Segment", "is_of", "run_programs", "segments"]

IntArray = NDArray[np.int64]
FloatArray = NDArray[np.float64]

PLANAR = (Code.EQUALIZE, Code.GRAY, Code.PERMUTE)
"""The steps after which an image of this engine lies channel by channel."""

PLANAR_THERE = (Code.HUE, *PLANAR)
"""The steps after which one of torchvision does."""

LANES = 8
"""How many float32 values one of the vectors has that torch adds up a mean in, with AVX2 and with AVX512.

torch keeps four vectors of sums, adds those up, and then their lanes one by one. Each of the 32 sums is an integer,
which float32 holds exactly in images of less than 2.1 million pixels; so counting them as integers and adding them up
as torch does gives the mean's every bit. Beyond that, torch's sums may round on their way.
"""

_PERIOD = 4 * LANES
_BLOCK = 1024  # pixels
_COUNTS = 768  # of three channels
_ONLY_COLORED = (Code.SATURATION, Code.HUE, Code.GRAY, Code.PERMUTE)


@dataclass(frozen=True, slots=True)
class Places:
    """Where N images lie, ``[N, 3]`` of address and distances of channels and of pixels in bytes, and their sizes."""

    lies: IntArray
    sizes: IntArray  # [N, 3]: channels, height, width

    @classmethod
    def of(cls, images: Tensor) -> Places:
        """Those of a block ``[n, ..., C, H, W]``, each dense in the sense of ``layout.dense``."""
        count = images[..., 0, 0, 0].numel()
        channels, height, width = images.shape[-3:]
        first = images.data_ptr() + np.arange(count) * (channels * height * width)
        strides = (
            (1, channels) if layout.dense(images) is images and not images.is_contiguous() else (height * width, 1)
        )
        lies = np.column_stack([first, np.full((count, 2), strides)])
        return cls(lies, np.tile((channels, height, width), (count, 1)))

    @classmethod
    def joined(cls, parts: Sequence[Places]) -> Places:
        return cls(np.concatenate([part.lies for part in parts]), np.concatenate([part.sizes for part in parts]))

    def __getitem__(self, rows: Any) -> Places:
        return Places(self.lies[rows], self.sizes[rows])


@dataclass(frozen=True, slots=True)
class Segment:
    """One launch: the images whose programs have such a segment, those that gather for their next one first."""

    rows: IntArray
    begin: IntArray  # the columns of the steps, the head among them
    end: IntArray
    head: IntArray
    gathers: IntArray  # the head of the next segment, where it needs statistics
    writes: NDArray[np.bool_]
    reads: IntArray  # 0: the input, 1: the output, 2: the spare
    spare: NDArray[np.bool_]  # whether the result goes to the spare
    first_step: IntArray


def segments(codes: IntArray) -> list[Segment]:
    """Cut programs ``[N, K]`` into segments, each of which begins with one of the steps from CONTRAST on, or none.

    Sharpness reads neighbours, so what it reads must lie elsewhere than what it writes: in a spare buffer. The last
    segment of each program writes the output.
    """
    heads, sharp = codes >= Code.CONTRAST, codes == Code.SHARPNESS
    opens_sharp = _at(sharp, (codes > 0).argmax(1))  # which needs nothing counted before it
    number: IntArray = np.cumsum(heads, axis=1) - opens_sharp[:, None]  # the segment of each step
    last = np.maximum(number[:, -1], 0)

    def spare_after(place: int) -> NDArray[np.bool_]:
        found: NDArray[np.bool_] = (sharp & (number > place)).sum(1) % 2 == 1
        return found

    found, silent = [], np.zeros(len(codes), bool)
    for place in range(int(last.max(initial=0)) + 1):
        begin, end = (number < place).sum(1), (number <= place).sum(1)
        head = np.where((begin < end) & _at(heads, begin), _at(codes, begin), 0)
        follows = np.where(end < codes.shape[1], _at(codes, end), 0)
        gathers = np.where(follows == Code.SHARPNESS, 0, follows)
        idle = ((codes > 0) & (number == place)).sum(1) == 0
        reads = np.where(silent | (place == 0), 0, 1 + spare_after(place - 1))
        silent = idle & (last > 0)
        rows = np.flatnonzero(last >= place)
        rows = rows[np.argsort(gathers[rows] == 0, kind="stable")]
        columns: Sequence[NDArray[Any]] = (
            begin,
            end,
            head,
            gathers,
            ~silent,
            reads,
            spare_after(place),
            begin + (head > 0),
        )
        found.append(Segment(rows, *(column[rows] for column in columns)))
    return found


def run_programs(
    codes: IntArray, values: FloatArray, sources: Places, targets: Places, spares: Places, device: torch.device
) -> None:
    """Run the program of each of N images.

    Args:
        codes: ``[N, K]``, of ``Code``.
        values: ``[N, K]``, what goes with them.
        sources: where the images lie, all of 1 channel or all of 3.
        targets: where the results go.
        spares: as much memory again, for programs with sharpness; it lies as the results do.
        device: where they lie.
    """
    codes = _effective(codes, sources.sizes)
    cuts = segments(codes)
    tables = [_jobs(cut, codes, sources, targets, spares) for cut in cuts]
    factors = np.stack([values, 1.0 - values], axis=-1).astype(np.float32)
    jobs, steps, weights = upload([np.concatenate(tables), codes.astype(np.int32), factors], device)
    levels = torch.empty((len(codes), _COUNTS), dtype=torch.uint8, device=device)
    begin = 0
    with _on(device):
        for cut, table in zip(cuts, tables, strict=True):
            _launch(cut, table, jobs[begin : begin + len(table)], steps, weights, levels, int(sources.sizes[0, 0]))
            begin += len(table)


def is_of(codes: IntArray, some: Sequence[Code]) -> NDArray[np.bool_]:
    """Which of these codes are among some."""
    return _table(tuple(some))[codes]  # np.isin sorts


@cache
def _table(some: tuple[Code, ...]) -> NDArray[np.bool_]:
    table = np.zeros(len(Code), bool)
    table[[*some]] = True
    return table


def needs_spare(codes: IntArray) -> bool:
    """Whether any program has sharpness in another place than the first."""
    sharp = codes == Code.SHARPNESS
    return bool((sharp & (np.cumsum(codes > 0, axis=1) > 1)).any())


def _launch(
    cut: Segment, table: IntArray, jobs: Tensor, steps: Tensor, weights: Tensor, levels: Tensor, channels: int
) -> None:
    from augserve_pipelines.kernels.color_triton import levels_kernel, segment_kernel

    gathering = int((cut.gathers > 0).sum())
    counts = torch.zeros((gathering, _COUNTS), dtype=torch.int32, device=jobs.device)
    tiles = -(-int((table[:, Column.HEIGHT] * table[:, Column.WIDTH]).max()) // _BLOCK)
    options: dict[str, Any] = {"CHANNELS": channels, "INTERPRETED": not jobs.is_cuda, "enable_fp_fusion": False}
    segment_kernel[(len(table), tiles)](
        jobs, steps, weights, levels, counts, FLAT=_flat(table), PERIOD=_PERIOD, BLOCK=_BLOCK, num_warps=8, **options
    )
    if gathering:
        levels_kernel[(gathering,)](jobs, weights, counts, levels, LANES=LANES, **options)


def _jobs(cut: Segment, codes: IntArray, sources: Places, targets: Places, spares: Places) -> IntArray:
    rows = cut.rows
    channels, heights, widths = sources.sizes[rows].T
    planar = (sources.lies[rows, 1] != 1) | (channels == 1) | _planar_before(codes)[rows, cut.begin]
    columns = (
        *_chosen(cut.reads, sources.lies[rows], targets.lies[rows], spares.lies[rows]).T,
        *(_chosen(1 + cut.spare, sources.lies[rows], targets.lies[rows], spares.lies[rows]) * cut.writes[:, None]).T,
        heights,
        widths,
        rows,
        cut.head,
        rows * codes.shape[1] + cut.begin,
        rows * codes.shape[1] + cut.first_step,
        rows * codes.shape[1] + cut.end,
        cut.gathers,
        rows * codes.shape[1] + cut.end,
        np.where(planar, heights * widths, 1),
        np.where(planar, 1, channels),
        *np.array([twice_rounded(count) for count in (channels * heights * widths).tolist()]).T,
    )
    return np.column_stack(columns)


def _chosen(which: IntArray, *lies: IntArray) -> IntArray:
    chosen: IntArray = np.choose(which[:, None], lies)
    return chosen


def _planar_before(codes: IntArray) -> NDArray[np.bool_]:
    """Whether torchvision has laid the image channel by channel before a column, and before the end: ``[N, K + 1]``."""
    planar: NDArray[np.bool_] = np.pad(np.cumsum(is_of(codes, PLANAR_THERE), axis=1), ((0, 0), (1, 0))) > 0
    return planar


def _effective(codes: IntArray, sizes: IntArray) -> IntArray:
    """The codes without those that leave images of these sizes as they are."""
    codes = codes.copy()
    codes[(sizes[:, :1] == 1) & is_of(codes, _ONLY_COLORED)] = Code.NOTHING
    codes[(sizes[:, 1:].min(1) <= 2)[:, None] & (codes == Code.SHARPNESS)] = Code.NOTHING
    return codes


def _flat(table: IntArray) -> bool:
    """Whether all images lie channel by channel, and addresses and sizes are multiples of 16 bytes."""
    sizes, written = table[:, Column.HEIGHT] * table[:, Column.WIDTH], table[:, Column.TARGET] > 0
    strides = table[:, [Column.SOURCE_PIXEL, Column.TARGET_PIXEL]]
    together = sizes | table[:, Column.SOURCE] | table[:, Column.TARGET]
    return bool((strides[:, 0] == 1).all() and (strides[written, 1] == 1).all() and (together % 16 == 0).all())


def _at(table: NDArray[Any], columns: IntArray) -> NDArray[Any]:
    found: NDArray[Any] = table[np.arange(len(table)), np.minimum(columns, table.shape[1] - 1)]
    return found


def _on(device: torch.device) -> AbstractContextManager[Any]:
    return torch.cuda.device(device) if device.type == "cuda" else nullcontext()
