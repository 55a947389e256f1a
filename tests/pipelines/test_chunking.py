"""Chunks fit a core's cache, whatever the pipeline's stages are, and leave work for every thread."""

from __future__ import annotations

import pytest

from augserve_pipelines import Pipeline, chunking
from augserve_pipelines import transforms as T
from augserve_pipelines.frames import Frames


@pytest.fixture(autouse=True)
def one_mebibyte(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chunking, "cache_bytes", lambda: 1 << 20)


def size(steps: list[T.Transform], count: int, threads: int = 2) -> int:
    frames = Frames.decoded([(3, 400, 500)] * count)
    return chunking.chunk_size(Pipeline(steps).plan(frames, range(count)), threads)


def test_two_stages_of_a_chunk_are_in_the_cache() -> None:
    jitter = T.ColorJitter(0.4, 0.4, 0.4, 0.1)
    assert size([T.RandomResizedCrop(224), jitter], 128) == (1 << 20) // (2 * 3 * 224 * 224)
    assert size([T.RandomResizedCrop(64), jitter], 128) == chunking.MOST
    assert size([T.Resize((2000, 2000)), jitter], 128) == 1


def test_a_plan_of_one_step_has_no_stages() -> None:
    assert size([T.RandomResizedCrop(2000)], 128) == chunking.MOST
    assert size([], 128) == chunking.MOST


def test_every_thread_has_two_chunks_where_there_are_samples() -> None:
    assert size([T.RandomResizedCrop(224)], 12) == 3
    assert size([T.RandomResizedCrop(224)], 12, threads=16) == 1
    assert size([], 0) == 1


def test_the_cache_of_this_machine_is_of_a_size_that_caches_have(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    assert 1 << 17 <= chunking.cache_bytes() <= 1 << 27
