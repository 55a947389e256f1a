"""The memory of large results is used again, and nothing of what it held shows."""

from __future__ import annotations

import gc

import numpy as np

from augserve_pipelines import Pipeline, executor
from augserve_pipelines import transforms as T
from factories import make_image


def test_nothing_of_an_earlier_result_shows_in_a_later_one() -> None:
    pipeline = Pipeline([T.RandomResizedCrop(128), T.RandomHorizontalFlip()])
    images = [make_image((150, 170)) for _ in range(32)]
    first = pipeline(images, range(32)).stack().clone()
    gc.collect()
    poison = executor._results().lend(first.nbytes)
    poison.fill_(0xAB)
    address = poison.data_ptr()
    del poison
    second = pipeline(images, range(32)).stack()
    assert second.data_ptr() == address
    assert np.array_equal(second.numpy(), first.numpy())


def test_small_results_are_left_to_the_allocator() -> None:
    before = executor._results().held
    pipeline = Pipeline([T.RandomResizedCrop(32)])
    kept = [pipeline([make_image((40, 50))], [seed]) for seed in range(3)]
    assert executor._results().held == before
    assert len(kept) == 3
