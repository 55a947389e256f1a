"""Memory of results is used again when nobody holds it, and not before."""

from __future__ import annotations

import gc

import numpy as np
import torch

from augserve_pipelines import Pipeline
from augserve_pipelines import transforms as T
from augserve_pipelines.memory import LEAST_BYTES, RESULTS, Shelf
from factories import make_image

SIZE = 2 * LEAST_BYTES


def test_a_piece_comes_back_when_all_that_was_made_of_it_is_gone() -> None:
    shelf = Shelf(10 * SIZE)
    view = torch.from_numpy(shelf.take(SIZE)).view(torch.float32)[100:200]
    address = view.untyped_storage().data_ptr()
    assert shelf.free_bytes == 0
    assert shelf.take(SIZE).ctypes.data != address
    del view
    gc.collect()
    assert shelf.free_bytes == 2 * SIZE
    both = [shelf.take(SIZE), shelf.take(SIZE)]
    assert address in {piece.ctypes.data for piece in both}


def test_no_more_is_kept_than_was_allowed() -> None:
    shelf = Shelf(3 * SIZE)
    held = [shelf.take(SIZE + 4096 * i) for i in range(3)]
    del held
    gc.collect()
    assert 0 < shelf.free_bytes <= 3 * SIZE


def test_small_pieces_are_left_to_the_allocator() -> None:
    shelf = Shelf(SIZE)
    shelf.take(LEAST_BYTES - 1)
    assert shelf.free_bytes == 0


def test_nothing_of_an_earlier_result_shows_in_a_later_one() -> None:
    pipeline = Pipeline([T.RandomResizedCrop(128), T.RandomHorizontalFlip()])
    images = [make_image((150, 170)) for _ in range(32)]
    first = pipeline(images, range(32)).stack().clone()
    gc.collect()
    poison = RESULTS.take(first.nbytes)
    poison[:] = 0xAB
    address = poison.ctypes.data
    del poison
    second = pipeline(images, range(32)).stack()
    assert second.data_ptr() == address
    assert np.array_equal(second.numpy(), first.numpy())
