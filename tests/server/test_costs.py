"""What work costs is learned from what was done: whatever it is at first, and when it changes."""

from __future__ import annotations

import numpy as np
import pytest

from augserve_server.costs import PRIOR, Costs, Occupancy, Regression, Size

TRUE = np.array([4e-3, 1e-4, 2e-3, 9e-3, 3e-3])
SMALL, LARGE = Size(1, 20_000, 60_000, 50_000), Size(1, 3_000_000, 12_000_000, 50_000)
Coefficients = np.ndarray[tuple[int], np.dtype[np.float64]]


def batch(chance: np.random.Generator) -> Size:
    """A batch of images of one size, from thumbnails to photographs of a camera."""
    images, pixels = int(chance.integers(1, 64)), int(np.exp(chance.uniform(np.log(1e4), np.log(1e7))))
    return Size(images, images * pixels // 4, images * pixels, images * 50_000)


def work(costs: Costs, pipeline: str, true: Coefficients, batches: int, noise: float = 0.0) -> None:
    chance = np.random.default_rng(1)
    for _ in range(batches):
        size = batch(chance)
        costs.spent(pipeline, float(size.regressors(1) @ true) * float(np.exp(chance.normal(0, noise))))
        costs.done(pipeline, size)


def true_seconds(size: Size, true: Coefficients = TRUE) -> float:
    return float(size.regressors() @ true)


@pytest.mark.parametrize("size", [SMALL, LARGE])
@pytest.mark.parametrize("factor", [0.1, 1.0, 20.0])
def test_predictions_become_right_whatever_the_machine(size: Size, factor: float) -> None:
    costs = Costs()
    work(costs, "p", TRUE * factor, 150, noise=0.1)
    assert costs.seconds("p", size) == pytest.approx(true_seconds(size, TRUE * factor), rel=0.25)


def test_a_few_batches_already_tell_the_scale() -> None:
    costs = Costs()
    work(costs, "p", TRUE * 5, 10)
    assert costs.seconds("p", LARGE) == pytest.approx(true_seconds(LARGE, TRUE * 5), rel=0.5)


def test_a_machine_that_has_become_slower_is_learned_again() -> None:
    costs = Costs()
    work(costs, "p", TRUE, 500)
    work(costs, "p", TRUE * 3, 150)
    assert costs.seconds("p", LARGE) == pytest.approx(true_seconds(LARGE, TRUE * 3), rel=0.25)


def test_pipelines_are_learned_apart_and_a_new_one_begins_with_what_all_have_in_common() -> None:
    costs = Costs()
    work(costs, "slow", PRIOR * 10, 100)
    assert costs.seconds("new", LARGE) == pytest.approx(true_seconds(LARGE, PRIOR * 10), rel=0.3)
    work(costs, "new", PRIOR, 100)
    assert costs.seconds("new", LARGE) == pytest.approx(true_seconds(LARGE, PRIOR), rel=0.3)
    assert costs.seconds("slow", LARGE) == pytest.approx(true_seconds(LARGE, PRIOR * 10), rel=0.3)


def test_coefficients_are_never_negative_and_cost_is_never_nothing() -> None:
    chance, regression = np.random.default_rng(2), Regression()
    for _ in range(500):
        regression.observe(batch(chance).regressors(1), float(chance.exponential(0.01)))
        assert (regression.factors >= 0).all()
    costs = Costs()
    for _ in range(50):
        costs.spent("free", 0.0)
        costs.done("free", Size(32, 10, 10, 10))
    assert costs.seconds("free", SMALL) > 0


def test_nothing_new_for_long_does_not_make_it_wild() -> None:
    regression, one = Regression(), Size(32, 32 * 50_000, 32 * 187_500, 32 * 50_176)
    for _ in range(20_000):
        regression.observe(one.regressors(1), 0.05)
    regression.observe(LARGE.regressors(1), 0.12)
    assert np.isfinite(regression.factors).all()
    assert regression.seconds(one.regressors(1)) == pytest.approx(0.05, rel=0.3)


def test_an_outlier_is_not_believed_whole() -> None:
    costs = Costs()
    work(costs, "p", TRUE, 200)
    before = costs.seconds("p", SMALL)
    costs.spent("p", 1000.0)  # the machine was asleep
    costs.done("p", Size(32, 32 * 20_000, 32 * 60_000, 32 * 50_000))
    assert costs.seconds("p", SMALL) < 10 * before


def test_of_bytes_alone_images_are_guessed_to_be_as_they_were() -> None:
    costs = Costs()
    for _ in range(60):
        costs.spent("p", 0.0032)
        costs.done("p", Size(32, 32 * 50_000, 32 * 200_000, 32 * 50_000))
    assert costs.guess("p", 50_000) == pytest.approx(costs.seconds("p", Size(1, 50_000, 200_000, 50_000)), rel=0.05)
    assert costs.guess("p", 500_000) > costs.guess("p", 50_000)
    assert costs.guess("unseen", 50_000) > 0


def test_what_comes_after_computing_is_told_apart() -> None:
    costs = Costs()
    assert costs.encoding_share("p") == 0
    for _ in range(30):
        costs.spent("p", 0.03)
        costs.spent("p", 0.01, encoding=True)
        costs.done("p", Size(32))
    assert costs.encoding_share("p") == pytest.approx(0.25, abs=0.02)


def test_how_wrong_predictions_were_is_told() -> None:
    ratios: list[float] = []
    work(Costs(ratios.append), "p", TRUE * 4, 200)
    assert ratios[0] > 1.5
    assert np.mean(ratios[-50:]) == pytest.approx(1.0, abs=0.1)


def test_batches_that_run_at_the_same_time_share_the_device() -> None:
    device = Occupancy()
    first = device.begin(0.0)
    second = device.begin(6.0)
    assert device.end(first, 10.0) == pytest.approx(6 + 2)
    assert device.end(second, 13.0) == pytest.approx(2 + 3)
    assert device.end(device.begin(100.0), 101.0) == pytest.approx(1)
