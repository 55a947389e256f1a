"""Plans for images decoded smaller: which factor is taken, and where the windows are then."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from augserve_pipelines import Frames, Pipeline, executor
from augserve_pipelines import transforms as T
from augserve_pipelines.plan import Plan
from augserve_pipelines.scaled import at_factors, largest_factors, scaled_side
from augserve_pipelines.transforms.resample import Resample
from factories import make_image

N = 64


def frames_of(sizes: list[tuple[int, int]]) -> Frames:
    return Frames.of([torch.empty(3, *size, dtype=torch.uint8, device="meta") for size in sizes])


def plan_of(*steps: T.Transform, sizes: list[tuple[int, int]] | None = None) -> Plan:
    sizes = sizes or [(int(h), int(w)) for h, w in np.random.default_rng(0).integers(1, 2000, (N, 2))]
    return Pipeline(steps).plan(frames_of(sizes), range(len(sizes)))


def factors_of(plan: Plan, most: int = 8) -> list[int]:
    return largest_factors(plan, np.full(len(plan.inputs), most)).tolist()


@pytest.mark.parametrize(
    ("size", "most", "factor"),
    [
        ((512, 512), 8, 8),
        ((511, 512), 8, 8),  # 64 rows, the last of seven pixels
        ((504, 512), 8, 4),
        ((512, 256), 8, 4),
        ((255, 255), 8, 4),  # 63.75 pixels round to 64
        ((253, 255), 8, 2),
        ((128, 128), 8, 2),
        ((126, 128), 8, 1),
        ((40, 40), 8, 1),
        ((512, 512), 4, 4),
        ((512, 512), 1, 1),
    ],
)
def test_the_factor_leaves_a_pixel_for_each_of_the_results(size: tuple[int, int], most: int, factor: int) -> None:
    plan = plan_of(T.Resize((64, 64)), T.RandomHorizontalFlip(), sizes=[size])
    assert factors_of(plan, most) == [factor]
    assert factors_of(plan_of(T.Resize((64, 64)), T.ColorJitter(0.4), sizes=[size]), most) == [factor]


@pytest.mark.parametrize(
    "steps",
    [
        [T.CenterCrop(8)],
        [T.RandomHorizontalFlip(1.0), T.GaussianBlur(3), T.Resize(8)],
        [T.Resize(8, antialias=False), T.CenterCrop(8)],
        [T.Resize(8, "nearest"), T.CenterCrop(8)],
        [T.Pad(3), T.Resize(8)],
        [T.RandomApply([T.Resize(8)])],
        [],
    ],
    ids=str,
)
def test_what_does_not_begin_by_averaging_pixels_is_decoded_in_full(steps: list[T.Transform]) -> None:
    plan = plan_of(*steps, sizes=[(800, 900), (700, 300)])
    assert factors_of(plan) == [1, 1]
    assert at_factors(plan, np.ones(2, np.int64)) is plan


def test_tiny_images_are_decoded_in_full() -> None:
    assert factors_of(plan_of(T.Resize((1, 1)), T.CenterCrop(1), sizes=[(7, 7), (1, 8), (8, 2)])) == [1, 2, 4]


@pytest.mark.parametrize("mirrored", [False, True])
def test_windows_keep_their_place_and_fit(mirrored: bool) -> None:
    plan = plan_of(T.RandomResizedCrop((40, 30)), T.RandomHorizontalFlip())
    mirrors = np.random.default_rng(1).random((N, 2)) < 0.5 if mirrored else None
    factors = largest_factors(plan, np.full(N, 8), mirrors)
    assert set(factors.tolist()) == {1, 2, 4, 8}
    scaled = at_factors(plan, factors, mirrors)
    before, after = plan.ops[0], scaled.ops[0]
    assert isinstance(before, Resample)
    assert isinstance(after, Resample)
    sizes = np.stack([scaled.inputs.heights, scaled.inputs.widths], 1)
    whole = np.stack([plan.inputs.heights, plan.inputs.widths], 1)
    assert sizes.tolist() == [[scaled_side(int(n), int(f)) for n in row] for row, f in zip(whole, factors, strict=True)]
    start, end = after.source[:, :2], after.source[:, :2] + after.source[:, 2:]
    assert (start >= 0).all()
    assert (end <= sizes).all()
    assert (after.source[:, 2:] >= after.size)[factors > 1].all()
    missing = np.where(mirrors, sizes * factors[:, None] - whole, 0) if mirrors is not None else 0
    for x, edge in ((before.source[:, :2], start), (before.source[:, :2] + before.source[:, 2:], end)):
        assert np.abs((x + missing) / factors[:, None] - edge).max() <= 0.5
    assert (scaled.outputs, scaled.ops[1:]) == (plan.outputs, plan.ops[1:])


def test_the_next_larger_factor_would_not_fit() -> None:
    plan = plan_of(T.RandomResizedCrop((40, 30)), T.RandomHorizontalFlip())
    factors = largest_factors(plan, np.full(N, 8))
    too_large = np.minimum(factors * 2, 8)
    scaled = at_factors(plan, too_large).ops[0]
    assert isinstance(scaled, Resample)
    assert (scaled.source[:, 2:] < scaled.size).any(1)[factors < 8].all()


@pytest.mark.parametrize("steps", [[T.Resize((9, 11))], [T.RandomResizedCrop(8), T.RandomHorizontalFlip()]], ids=str)
def test_a_plan_at_factors_gives_results_of_the_same_shape(steps: list[T.Transform]) -> None:
    sizes = [(97, 85), (40, 203), (30, 30)]
    plan = plan_of(*steps, sizes=sizes)
    factors = largest_factors(plan, np.full(3, 8))
    smaller = [
        make_image((scaled_side(height, int(factor)), scaled_side(width, int(factor))))
        for (height, width), factor in zip(sizes, factors, strict=True)
    ]
    assert factors.max() > 1
    results = executor.run(at_factors(plan, factors), smaller)
    assert [result.shape for result in results] == [plan.outputs.shape(row) for row in range(3)]
