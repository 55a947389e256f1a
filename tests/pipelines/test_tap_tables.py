"""Tables of weights on a device: each is brought there once, and none that a launch still reads is written over."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from augserve_pipelines.interpolation import InterpolationMode
from augserve_pipelines.kernels.resample import axis_table
from augserve_pipelines.kernels.tap_tables import TapTables, Way

BILINEAR: Way = (InterpolationMode.BILINEAR, True, "torchvision")
BICUBIC: Way = (InterpolationMode.BICUBIC, True, "pillow")


def make_tables(capacity: int = 1 << 20) -> TapTables:
    return TapTables(torch.device("cpu"), capacity)


def find(tables: TapTables, way: Way, extents: list[int], size: int) -> tuple[Tensor, NDArray[np.int64]]:
    return tables.find(way, np.array(extents), np.full(len(extents), size))


def check(taps: Tensor, columns: NDArray[np.int64], way: Way, extents: list[int], size: int) -> None:
    for extent, (place, step, count, bits) in zip(extents, columns.T.tolist(), strict=True):
        numbers = taps[place : place + (count + 1) * step].view(count + 1, step).numpy()
        table = axis_table(extent, size, *way)
        if table is None:
            assert (numbers == [np.arange(size), np.full(size, 1 << bits)]).all()
        else:
            assert bits == table.precision
            assert (numbers[0] == table.starts).all()
            assert (table.weights == numbers[1:].T).all()


@pytest.mark.parametrize("way", [BILINEAR, BICUBIC], ids=str)
def test_every_axis_finds_its_own_table(way: Way) -> None:
    tables, extents = make_tables(), [9, 100, 24, 9, 17, 24, 3]
    for size in (24, 7, 24):
        check(*find(tables, way, extents, size), way, extents, size)


def test_a_table_is_brought_once() -> None:
    tables = make_tables()
    before, first = find(tables, BILINEAR, [50, 60], 24)
    find(tables, BILINEAR, [70], 24)
    after, second = find(tables, BILINEAR, [60, 50], 24)
    assert before.data_ptr() == after.data_ptr()
    assert (first[:, ::-1] == second).all()


def test_the_same_axis_resampled_in_another_way_has_a_table_of_its_own() -> None:
    tables = make_tables()
    for way in (BILINEAR, BICUBIC, BILINEAR):
        check(*find(tables, way, [40, 41], 24), way, [40, 41], 24)


def test_where_there_is_no_room_a_launch_still_reads_what_it_found() -> None:
    tables = make_tables(capacity=1000)
    held = [(extents, *find(tables, BILINEAR, extents, 24)) for extents in ([50, 60], [70, 80, 90], [50], [400], [50])]
    assert len({taps.data_ptr() for _, taps, _ in held}) > 1
    for extents, taps, columns in held:
        check(taps, columns, BILINEAR, extents, 24)


def test_tables_are_added_in_and_outside_of_inference_mode() -> None:
    tables = make_tables()
    for inside in (True, False, True):
        with torch.inference_mode(inside):
            check(*find(tables, BILINEAR, [30 + inside, 60], 24), BILINEAR, [30 + inside, 60], 24)


def test_threads_find_the_same_tables() -> None:
    tables = make_tables(capacity=20_000)
    extents = [[int(extent) for extent in np.random.default_rng(seed).integers(1, 300, 40)] for seed in range(64)]
    with ThreadPoolExecutor(8) as threads:
        found = list(threads.map(lambda some: find(tables, BILINEAR, some, 24), extents))
    for some, (taps, columns) in zip(extents, found, strict=True):
        check(taps, columns, BILINEAR, some, 24)
