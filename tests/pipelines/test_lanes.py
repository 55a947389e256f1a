"""Lanes against torch's own CPU generator, draw by draw."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st

from augserve_pipelines.lanes import GlobalLane, Lanes

SEEDS = (*range(12), 42, 624, 2**31 - 1, 2**31, 2**32 - 1, 2**32, 2**32 + 7, 123456789012345, 2**63 - 1, 2**64 - 1)


@dataclass(frozen=True)
class Draw:
    """One kind of draw: from all lanes at once, and from one torch generator (None: torch's global one)."""

    name: str
    ours: Callable[[Lanes], Sequence[object]]
    theirs: Callable[[torch.Generator | None], object]

    def __repr__(self) -> str:
        return self.name


def rand() -> Draw:
    return Draw("rand", lambda lanes: lanes.rand(), lambda g: torch.rand(1, generator=g))


def uniform(low: float, high: float) -> Draw:
    return Draw(
        f"uniform({low}, {high})",
        lambda lanes: lanes.uniform(low, high),
        lambda g: torch.empty(1).uniform_(low, high, generator=g),
    )


def integers(low: int, high: int) -> Draw:
    return Draw(
        f"integers({low}, {high})",
        lambda lanes: lanes.integers(low, high),
        lambda g: torch.randint(low, high, (1,), generator=g),
    )


def permutation(count: int) -> Draw:
    return Draw(
        f"permutation({count})",
        lambda lanes: lanes.permutation(count),
        lambda g: torch.randperm(count, generator=g),
    )


def normal(*shape: int) -> Draw:
    return Draw(
        f"normal{shape}",
        lambda lanes: lanes.normal(*shape),
        lambda g: torch.empty(shape).normal_(generator=g),
    )


def multinomial(*weights: float) -> Draw:
    p = torch.tensor(weights)
    return Draw(
        f"multinomial{weights}",
        lambda lanes: lanes.each(lambda g, _: torch.multinomial(p, 1, generator=g)),
        lambda g: torch.multinomial(p, 1, generator=g),
    )


def dirichlet(*concentration: float) -> Draw:
    alpha = torch.tensor([concentration])
    return Draw(
        f"dirichlet{concentration}",
        lambda lanes: lanes.each(lambda g, _: torch._sample_dirichlet(alpha, generator=g)),
        lambda g: torch._sample_dirichlet(alpha, generator=g),
    )


DRAWS = [
    rand(),
    uniform(0.0, 1.0),
    uniform(-0.1, 0.1),
    uniform(0.08, 1.0),
    uniform(-30, 1e6),
    uniform(2.5, 2.5),
    integers(0, 1),
    integers(0, 10),
    integers(-5, 224),
    integers(0, 2**28 - 1),
    integers(0, 2**28),
    integers(0, 2**31 + 11),
    integers(-(2**40), 2**61),
    permutation(0),
    permutation(1),
    permutation(2),
    permutation(4),
    permutation(100),
    normal(1),
    normal(2),
    normal(15),
    normal(16),
    normal(3, 5, 7),
    multinomial(1.0),
    multinomial(0.2, 0.5, 0.3),
    dirichlet(1.0, 1.0),
]


def torch_generators(seeds: Sequence[int]) -> list[torch.Generator]:
    return [torch.Generator().manual_seed(seed) for seed in seeds]


def check(draw: Draw, lanes: Lanes, generators: Sequence[torch.Generator | None]) -> None:
    """Draw from both and compare to the bit."""
    drawn = draw.ours(lanes)
    assert len(drawn) == len(generators)
    for ours, generator in zip(drawn, generators, strict=True):
        theirs = draw.theirs(generator).numpy()
        np.testing.assert_array_equal(np.asarray(ours).reshape(theirs.shape), theirs, strict=True, err_msg=draw.name)


@pytest.mark.parametrize("draw", DRAWS, ids=repr)
def test_every_draw_is_torchs(draw):
    lanes, generators = Lanes(SEEDS), torch_generators(SEEDS)
    for _ in range(3):
        check(draw, lanes, generators)
        check(rand(), lanes, generators)


@pytest.mark.parametrize("words", [63, 64, 65, 623, 624, 625, 1248, 1249, 2000])
def test_long_streams_are_torchs(words):
    lanes, generators = Lanes(SEEDS), torch_generators(SEEDS)
    for _ in range(words):
        lanes.rand()
    for generator in generators:
        torch.rand(words, generator=generator)
    for draw in (rand(), permutation(700), normal(3), rand(), integers(0, 2**40), normal(20), uniform(1, 2)):
        check(draw, lanes, generators)


def test_one_permutation_may_take_more_words_than_are_drawn_ahead():
    lanes, generators = Lanes(SEEDS), torch_generators(SEEDS)
    for draw in (rand(), permutation(2000), rand(), permutation(1300), rand()):
        check(draw, lanes, generators)


def test_the_second_normal_of_a_pair_is_kept_across_other_draws():
    lanes, generators = Lanes(SEEDS), torch_generators(SEEDS)
    for draw in (normal(1), rand(), permutation(4), normal(1), multinomial(0.5, 0.5), normal(3), rand(), normal(2)):
        check(draw, lanes, generators)


@given(st.lists(st.sampled_from(DRAWS), max_size=25), st.lists(st.integers(0, 2**64 - 1), min_size=1, max_size=4))
def test_any_sequence_of_draws_is_torchs(draws, seeds):
    lanes, generators = Lanes(seeds), torch_generators(seeds)
    for draw in draws:
        check(draw, lanes, generators)


@given(
    st.lists(st.tuples(st.sampled_from(DRAWS), st.lists(st.booleans(), min_size=5, max_size=5)), max_size=25),
)
def test_a_view_advances_only_its_lanes(steps):
    seeds = SEEDS[-5:]
    lanes, generators = Lanes(seeds), torch_generators(seeds)
    for draw, mask in steps:
        rows = np.array(mask)
        check(draw, lanes[rows], [generators[row] for row in np.flatnonzero(rows)])
    check(rand(), lanes, generators)


def test_views_nest_and_take_indices_in_any_order():
    lanes, generators = Lanes(SEEDS), torch_generators(SEEDS)
    view = lanes[np.array([7, 3, 11, 0])]
    check(rand(), view, [generators[row] for row in (7, 3, 11, 0)])
    nested = view[np.array([True, False, True, True])][np.array([2, 1])]
    for draw in (permutation(5), normal(3), rand()):
        check(draw, nested, [generators[row] for row in (0, 11)])
    check(rand(), lanes, generators)


def test_a_lane_far_ahead_of_the_others_disturbs_none():
    lanes, generators = Lanes(SEEDS), torch_generators(SEEDS)
    first = lanes[np.arange(len(SEEDS)) == 0]
    for _ in range(1500):
        first.rand()
    torch.rand(1500, generator=generators[0])
    for draw in (rand(), permutation(80), normal(1), rand()):
        check(draw, lanes, generators)


def test_limits_may_differ_from_lane_to_lane():
    lanes, generators = Lanes(SEEDS), torch_generators(SEEDS)
    low = np.arange(len(SEEDS)) - 3
    high = low + np.array([1, 2, 7, 2**28 - 1, 2**28, 2**33, 5] * 4)[: len(SEEDS)]
    for _ in range(20):
        expected = [
            int(torch.randint(a, b, (1,), generator=g))
            for a, b, g in zip(low.tolist(), high.tolist(), generators, strict=True)
        ]
        assert lanes.integers(low, high).tolist() == expected
        drawn = lanes.uniform(low / 7, high / 7)
        for value, a, b, g in zip(drawn, low / 7, high / 7, generators, strict=True):
            assert value == torch.empty(1).uniform_(a, b, generator=g).numpy()[0]
    assert lanes.integers(0, high - low).shape == lanes.integers(low, 2**40).shape == (len(SEEDS),)


@given(st.floats(-1e6, 1e6, width=32), st.floats(0, 1e6, width=32), st.integers(0, 2**32 - 1))
@example(262144.0, 1.0, 27)  # rounds up to what it must stay below
def test_uniform_rounds_as_torch_does(low, extent, seed):
    seeds = range(seed, seed + 50)
    check(uniform(low, float(np.float32(low + extent))), Lanes(seeds), torch_generators(seeds))


def test_an_empty_range_of_integers_is_refused():
    with pytest.raises(ValueError, match="an empty range of integers"):
        Lanes([1, 2]).integers(5, 5)
    with pytest.raises(ValueError, match="an empty range of integers"):
        Lanes([1, 2]).integers([0, 5], [3, 4])


def test_no_lanes_draw_nothing():
    none = Lanes(SEEDS)[np.zeros(len(SEEDS), bool)]
    for draw in DRAWS:
        assert len(draw.ours(none)) == len(draw.ours(Lanes([]))) == 0
    assert none.uniform(np.empty(0), 1.0).shape == none.integers(np.empty(0, int), np.empty(0, int)).shape == (0,)


@pytest.mark.parametrize("draw", DRAWS, ids=repr)
def test_the_global_lane_is_torchs_global_generator(draw):
    torch.manual_seed(2**32 + 5)
    expected = [draw.theirs(None) for _ in range(3)]
    state = torch.random.get_rng_state()
    torch.manual_seed(2**32 + 5)
    for theirs in expected:
        (ours,) = draw.ours(GlobalLane()[np.array([True])])
        np.testing.assert_array_equal(np.asarray(ours).reshape(theirs.shape), theirs.numpy(), strict=True)
    assert torch.equal(torch.random.get_rng_state(), state)


def test_no_rows_of_the_global_lane_leave_torchs_generator_alone():
    state = torch.random.get_rng_state()
    for draw in DRAWS:
        assert len(draw.ours(GlobalLane()[np.array([False])])) == 0
    assert torch.equal(torch.random.get_rng_state(), state)
