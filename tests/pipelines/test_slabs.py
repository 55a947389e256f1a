"""Memory that is lent: bounded, back when its last view is gone, and given back."""

from __future__ import annotations

import gc
import threading

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from augserve_pipelines.slabs import ALIGNMENT, PageableMemory, SlabPool, lay_out

KIB = 1024


class CountedMemory(PageableMemory):
    """Host memory that knows how much of it is out, and has only so much."""

    def __init__(self, most: int = 1 << 40) -> None:
        self.out = 0
        self.most = most

    def allocate(self, size: int) -> NDArray[np.uint8]:
        if self.out + size > self.most:
            raise MemoryError
        self.out += size
        return np.full(size, 0xAB, np.uint8)

    def free(self, slab: NDArray[np.uint8]) -> None:
        self.out -= slab.nbytes


@given(st.lists(st.integers(0, 5000), max_size=20))
def test_items_are_aligned_and_do_not_overlap(sizes: list[int]) -> None:
    layout = lay_out(sizes)
    ends = [start + size for start, size in zip(layout.offsets, sizes, strict=True)]
    assert all(start % ALIGNMENT == 0 for start in layout.offsets)
    assert all(end <= start for end, start in zip(ends, [*layout.offsets[1:], layout.size], strict=False))
    assert layout.size < sum(sizes) + (len(sizes) + 1) * ALIGNMENT


def test_memory_is_lent_again_once_the_last_view_is_gone() -> None:
    pool = SlabPool(100 * KIB, PageableMemory())
    lent = pool.lend(10 * KIB)
    address = lent.data_ptr()
    view = memoryview(lent[256:].view(torch.float32).view(-1, 4)[1:].numpy())
    del lent
    assert pool.free == 0
    other = pool.lend(10 * KIB)
    assert other.data_ptr() != address
    del view
    assert pool.free > 0
    assert pool.lend(10 * KIB).data_ptr() == address


def test_tensors_of_inference_hold_it_too() -> None:
    pool = SlabPool(100 * KIB, PageableMemory())
    with torch.inference_mode():
        rows = list(pool.lend(10 * KIB).view(10, KIB))
    row = rows[3]
    del rows
    assert pool.free == 0
    del row
    assert pool.free > 0


def test_slabs_stay_within_the_limit_and_the_rest_is_pageable() -> None:
    memory = CountedMemory()
    pool = SlabPool(100 * KIB, memory)
    lent = [pool.lend(30 * KIB) for _ in range(10)]
    assert memory.out == pool.held <= 100 * KIB
    assert len({tensor.data_ptr() for tensor in lent}) == 10
    assert pool.lend(101 * KIB).nbytes == 101 * KIB
    assert memory.out <= 100 * KIB


def test_free_slabs_make_room_for_larger_ones() -> None:
    memory = CountedMemory()
    pool = SlabPool(100 * KIB, memory)
    small = [pool.lend(20 * KIB) for _ in range(4)]
    del small
    large = pool.lend(90 * KIB)
    assert (memory.out, pool.held, pool.free) == (92 * KIB, 92 * KIB, 0)  # whole pages of 4 KiB
    del large


def test_a_little_is_not_lent_from_a_large_slab() -> None:
    pool = SlabPool(100 << 20, PageableMemory())
    large = pool.lend(20 << 20)
    del large
    little = pool.lend(2 << 20)
    assert pool.free >= 20 << 20
    del little


def test_trimming_gives_back_all_that_nobody_has() -> None:
    memory = CountedMemory()
    pool = SlabPool(100 * KIB, memory)
    kept, dropped = pool.lend(10 * KIB), pool.lend(20 * KIB)
    del dropped
    pool.trim()
    assert memory.out == pool.held == 16 * KIB
    del kept
    pool.trim()
    assert memory.out == pool.held == 0


def test_where_the_system_has_no_more_the_limit_is_what_there_is() -> None:
    memory = CountedMemory(most=16 * KIB)
    pool = SlabPool(100 * KIB, memory)
    lent = [pool.lend(10 * KIB) for _ in range(3)]
    assert (pool.limit, pool.held) == (16 * KIB, 16 * KIB)
    assert [tensor.nbytes for tensor in lent] == [10 * KIB] * 3
    assert pool.lend(0).nbytes == 0


def test_slabs_come_back_from_any_thread_and_from_cycles() -> None:
    pool = SlabPool(100 * KIB, PageableMemory())
    cycle: list[object] = [pool.lend(10 * KIB)]
    cycle.append(cycle)
    del cycle
    lent = [pool.lend(10 * KIB)]
    thread = threading.Thread(target=lent.clear)
    thread.start()
    thread.join()
    gc.collect()
    assert pool.free == pool.held > 0


def test_a_pool_that_is_gone_takes_nothing_with_it() -> None:
    lent = SlabPool(100 * KIB, PageableMemory()).lend(KIB)
    gc.collect()
    assert lent.fill_(7).sum() == 7 * KIB


@pytest.mark.parametrize("threads", [4])
def test_no_two_threads_have_the_same_memory(threads: int) -> None:
    pool = SlabPool(200 * KIB, PageableMemory())
    wrong: list[int] = []

    def write_and_look(number: int) -> None:
        for _ in range(200):
            lent = pool.lend(16 * KIB).fill_(number)
            if bool((lent != number).any()):
                wrong.append(number)

    workers = [threading.Thread(target=write_and_look, args=(number,)) for number in range(threads)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert not wrong
    assert pool.held <= 200 * KIB
