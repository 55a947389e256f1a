"""Images of which only what is needed was decoded give the same bytes."""

from __future__ import annotations

import pytest
import torch

from augserve_pipelines import Frames, Pipeline, executor
from augserve_pipelines import transforms as T
from augserve_pipelines.windows import first_windows, within_windows
from factories import make_image

SIZES = ((64, 64), (100, 150), (213, 160), (99, 33))


@pytest.mark.parametrize(
    "steps",
    [
        [T.RandomResizedCrop(24), T.RandomHorizontalFlip(), T.GaussianBlur(3)],
        [T.RandomCrop(30), T.ColorJitter(0.4)],
        [T.CenterCrop(20)],
        [T.Resize(24), T.CenterCrop(24)],
        [T.RandomCrop(30), T.ToDtype(torch.float32, scale=True), T.Normalize([0.5], [0.2])],
    ],
    ids=str,
)
def test_a_window_gives_the_bytes_of_the_whole(steps: list[T.Transform]) -> None:
    images = [make_image(size) for size in SIZES]
    plan = Pipeline(steps).plan(Frames.of(images), range(len(images)))
    windows = first_windows(plan)
    assert windows is not None
    parts = [
        image[:, top : top + height, left : left + width].clone()
        for image, (top, left, height, width) in zip(images, windows.tolist(), strict=True)
    ]
    results = executor.run(within_windows(plan), parts)
    assert all(torch.equal(*pair) for pair in zip(results, executor.run(plan, images), strict=True))


@pytest.mark.parametrize(
    "steps", [[T.CenterCrop(100)], [T.RandomHorizontalFlip(1.0), T.CenterCrop(20)], [T.Resize(20)], []], ids=str
)
def test_what_needs_all_pixels_has_no_windows(steps: list[T.Transform]) -> None:
    plan = Pipeline(steps).plan(Frames.of([make_image(size) for size in SIZES]), range(len(SIZES)))
    assert first_windows(plan) is None
    with pytest.raises(ValueError, match="does not begin by cutting"):
        within_windows(plan)
