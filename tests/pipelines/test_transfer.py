"""Batches on their way through a device, on the CPU: the same bytes, bounded memory, nothing of other requests."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from augserve_pipelines import Batch, Frames, InvalidInput, Pipeline
from augserve_pipelines import transforms as T
from augserve_pipelines.deferred import put
from augserve_pipelines.frames import is_interleaved
from augserve_pipelines.packing import Packed
from augserve_pipelines.slabs import PageableMemory, SlabPool
from augserve_pipelines.transfer import IN_FLIGHT, Budget, Idle, Transfer, TransferLimits, pieces
from factories import make_image, make_images

CPU = torch.device("cpu")
MIB = 1 << 20
POISON = 0xA5


class PoisonedMemory(PageableMemory):
    def allocate(self, size: int) -> NDArray[np.uint8]:
        return np.full(size, POISON, np.uint8)


def make_transfer(pinned: int = 64 * MIB, device: int = 64 * MIB) -> Transfer:
    return Transfer(CPU, TransferLimits(pinned, device))


def test_images_of_any_size_layout_and_dtype_come_out_as_they_went_in() -> None:
    pixels = make_image((33, 20)).movedim(0, -1).contiguous().movedim(-1, 0)
    images = [make_image((7, 13)), pixels, make_image((5, 9), torch.float32), make_image((1, 1), channels=1), pixels.mT]
    packed = Packed.of(images, CPU)
    slab = torch.full((packed.size,), POISON, dtype=torch.uint8)
    assert packed.fill(slab) == {}
    for view, image in zip(packed.views(slab.clone(), range(len(images))), images, strict=True):
        assert torch.equal(view, image)
        assert view.dtype == image.dtype
        assert is_interleaved(view) == is_interleaved(image)


@pytest.mark.parametrize("batch", range(3))
def test_a_transfer_changes_no_byte(batch: int) -> None:
    pipeline = Pipeline([T.RandomResizedCrop(32), T.RandomHorizontalFlip(), T.GaussianBlur(3)])
    images, seeds = make_images(9), range(batch * 9, batch * 9 + 9)
    results = make_transfer().run(pipeline, images, seeds)
    for result, expected in zip(results, pipeline(images, seeds), strict=True):
        assert torch.equal(result, expected)


def test_results_of_several_shapes_stay_in_order() -> None:
    pipeline = Pipeline([T.Resize(16), T.ToDtype(torch.float32, scale=True)])
    images = make_images(7)
    results = make_transfer().run(pipeline, images, range(7))
    assert all(torch.equal(*pair) for pair in zip(results, pipeline(images, range(7)), strict=True))


def test_results_of_one_shape_lie_one_after_another() -> None:
    results = make_transfer().run(Pipeline([T.CenterCrop(16)]), make_images(4), range(4))
    assert [result.data_ptr() - results[0].data_ptr() for result in results] == [i * 3 * 16 * 16 for i in range(4)]


def test_more_than_the_device_holds_goes_in_pieces() -> None:
    seen: list[int] = []
    pipeline = Pipeline([T.RandomCrop(20)])

    def run(images: Sequence[Tensor], seeds: Sequence[int]) -> Batch:
        seen.append(len(images))
        return pipeline(images, seeds)

    images = [make_image((100, 100))] * 5
    results = make_transfer(device=70_000).run(run, images, range(5))
    assert seen == [2, 2, 1]
    assert all(torch.equal(*pair) for pair in zip(results, pipeline(images, range(5)), strict=True))


def test_a_plan_that_was_drawn_before_runs_too() -> None:
    pipeline = Pipeline([T.RandomResizedCrop(32), T.RandomApply([T.GaussianBlur(3)]), T.RandomHorizontalFlip()])
    images = make_images(9)
    plan = pipeline.plan(Frames.of(images), range(9))
    results = make_transfer(device=200_000).run_plan(plan, images)
    assert all(torch.equal(*pair) for pair in zip(results, pipeline(images, range(9)), strict=True))


def test_pieces_are_neighbours_and_hold_one_at_least() -> None:
    found = [(rows.start, rows.stop) for rows in pieces([5, 5, 20, 1, 2, 3, 4], 10)]
    assert found == [(0, 2), (2, 3), (3, 7)]
    assert list(pieces([], 10)) == []


def test_memory_that_is_used_again_shows_nothing_of_what_it_held() -> None:
    transfer = make_transfer()
    transfer.slabs = SlabPool(64 * MIB, PoisonedMemory())
    pipeline = Pipeline([T.RandomHorizontalFlip()])
    secret = [torch.full((3, 50, 60), POISON, dtype=torch.uint8)] * 3
    addresses = {result.data_ptr() for result in transfer.run(pipeline, secret, range(3))}
    zeros = [torch.zeros(3, 7, 5, dtype=torch.uint8), torch.zeros(3, 49, 59, dtype=torch.uint8)]
    results = transfer.run(pipeline, zeros, range(2))
    assert addresses & {result.data_ptr() for result in results}
    assert not any(result.any() for result in results)


def test_results_are_kept_until_they_are_gone() -> None:
    transfer = make_transfer()
    pipeline = Pipeline([T.CenterCrop(32)])
    images = make_images(3)
    kept = transfer.run(pipeline, images, range(3))[1]
    before = kept.clone()
    body = memoryview(kept.numpy())
    del kept
    for _ in range(5):
        transfer.run(pipeline, [255 - image for image in images], range(3))
    assert bytes(body) == bytes(before.numpy())


def test_memory_stays_within_its_limits_and_is_given_back() -> None:
    transfer = make_transfer(pinned=MIB)
    pipeline = Pipeline([T.CenterCrop(64)])
    results = [transfer.run(pipeline, make_images(8), range(8)) for _ in range(12)]
    assert 0 < transfer.slabs.held <= MIB
    assert len({result.data_ptr() for batch in results for result in batch}) == 96
    del results
    transfer.close()
    assert transfer.slabs.held == 0


def test_a_batch_that_fails_leaves_nothing_behind() -> None:
    transfer = make_transfer()
    with pytest.raises(InvalidInput):
        transfer.run(Pipeline([T.RandomCrop(500)]), make_images(3), range(3))
    assert transfer.slabs.free == transfer.slabs.held > 0
    for _ in range(IN_FLIGHT + 1):  # its place is free again
        assert len(transfer.run(Pipeline([T.CenterCrop(8)]), make_images(3), range(3))) == 3


def test_two_batches_are_in_flight_and_a_third_waits() -> None:
    transfer = make_transfer()
    begun, together = threading.Semaphore(0), threading.Barrier(IN_FLIGHT + 1)
    order: list[int] = []

    def run(images: Sequence[Tensor], seeds: Sequence[int]) -> Batch:
        begun.release()
        if seeds[0] < IN_FLIGHT:
            together.wait(10)
        order.append(seeds[0])
        return Batch.of(images)

    def start(seed: int) -> threading.Thread:
        thread = threading.Thread(target=transfer.run, args=(run, make_images(1), [seed]))
        thread.start()
        return thread

    threads = [start(seed) for seed in range(IN_FLIGHT)]
    assert all(begun.acquire(timeout=10) for _ in threads)
    threads.append(start(IN_FLIGHT))
    assert not begun.acquire(timeout=0.05)
    together.wait(10)
    for thread in threads:
        thread.join(10)
    assert begun.acquire(timeout=10)
    assert sorted(order) == [*range(IN_FLIGHT + 1)]


def test_a_third_batch_is_decoded_while_two_are_on_the_device() -> None:
    transfer, pipeline = make_transfer(), Pipeline([T.CenterCrop(8)])
    together, decoded = threading.Barrier(IN_FLIGHT + 1), threading.Event()
    begun, image = threading.Semaphore(0), Later(make_image((9, 11)), decoded)

    def run(images: Sequence[Tensor], seeds: Sequence[int]) -> Batch:
        begun.release()
        together.wait(10)
        return Batch.of(images)

    with ThreadPoolExecutor(IN_FLIGHT + 1) as threads:
        two = [threads.submit(transfer.run, run, make_images(1), [0]) for _ in range(IN_FLIGHT)]
        assert all(begun.acquire(timeout=10) for _ in two)
        third = threads.submit(transfer.decode_and_run, pipeline, [image], [0])
        assert decoded.wait(10)
        assert not third.done()
        together.wait(10)
        assert all(len(one.result(10)) == 1 for one in two)
        assert torch.equal(third.result(10)[0], pipeline([image.image], [0])[0])  # type: ignore[arg-type]  # it is a tensor


@dataclass(eq=False)
class Later:
    """An image that says when it is decoded."""

    image: Tensor
    decoded: threading.Event
    most_factor = 1
    mirrored = (False, False)

    @property
    def shape(self) -> tuple[int, int, int]:
        channels, height, width = self.image.shape
        return channels, height, width

    def at(self, factor: int) -> Later:
        return self

    def load(self) -> Tensor:
        return self.image

    def load_into(self, room: NDArray[np.uint8]) -> None:
        put(self.image.movedim(0, -1).numpy(), room)
        self.decoded.set()


def test_who_finds_too_little_left_waits_for_it() -> None:
    budget, order = Budget(10), []
    began = threading.Event()

    def take_all() -> None:
        began.set()
        with budget.taken(1000):  # at most all there is
            order.append("all")

    with budget.taken(4):
        thread = threading.Thread(target=take_all)
        thread.start()
        began.wait(10)
        with budget.taken(6):
            order.append("six")
    thread.join(10)
    assert order == ["six", "all"]


def test_what_is_idle_is_told_once() -> None:
    told = threading.Semaphore(0)
    idle = Idle(0.01, told.release)
    for _ in range(3):
        idle.used()
    assert told.acquire(timeout=10)
    assert not told.acquire(timeout=0.05)
    idle.used()
    assert told.acquire(timeout=10)
    idle.used()
    idle.cancel()
    assert not told.acquire(timeout=0.05)


def test_an_idle_transfer_gives_its_memory_back() -> None:
    freed = threading.Event()

    class Watched(PageableMemory):
        def free(self, slab: NDArray[np.uint8]) -> None:
            freed.set()

    transfer = Transfer(CPU, TransferLimits(64 * MIB, 64 * MIB, idle_s=0.01))
    transfer.slabs = SlabPool(64 * MIB, Watched())
    pipeline, images = Pipeline([T.CenterCrop(8)]), make_images(2)
    results = transfer.run(pipeline, images, range(2))
    assert freed.wait(10)  # what the images lay in
    freed.clear()
    assert transfer.slabs.held
    del results
    assert freed.wait(10)
    assert not transfer.slabs.held


def test_a_device_is_asked_whether_it_computes() -> None:
    assert Transfer(CPU).responds()
    assert not Transfer(torch.device("meta")).responds()  # which computes nothing


def test_memory_of_a_device_that_was_abandoned_is_left_alone() -> None:
    transfer = Transfer(CPU)
    transfer.run(Pipeline([T.Identity()]), make_images(2), [0, 1])
    held = transfer.slabs.held
    transfer.abandon()
    transfer.close()
    assert transfer.slabs.held == held > 0
