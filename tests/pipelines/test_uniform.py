"""Floats of a range, made of words, against those that torch draws."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from augserve_pipelines.kernels.uniform import uniform_of


@pytest.mark.parametrize(("low", "high"), [(0.0, 1.0), (-2.5, 7.25), (3.0, 3.0), (262144.0, 262145.0), (0.0, 3.4e38)])
def test_floats_are_those_that_torch_draws(low: float, high: float) -> None:
    torch.manual_seed(27)
    words = torch.randint(0, 1 << 32, (4096,), dtype=torch.int64).numpy().astype(np.uint32)
    torch.manual_seed(27)
    # a range of 2**32 takes two words in torch, whose lower 32 bits are the second one's
    both = torch.empty(8192).uniform_(low, high).numpy()
    assert np.array_equal(uniform_of(words, low, high), both[1::2])


def test_floats_may_have_a_range_each() -> None:
    words = np.random.default_rng(1).integers(0, 1 << 32, 5, dtype=np.uint32)
    lows, highs = np.array([0, 1, -1, 5, 0.5]), np.array([1, 1, 1, 6, 0.75])
    each = [uniform_of(words[i : i + 1], lows[i], highs[i])[0] for i in range(5)]
    assert uniform_of(words, lows, highs).tolist() == each
    assert uniform_of(words, lows, 9.0).tolist() == [uniform_of(words[i : i + 1], lows[i], 9.0)[0] for i in range(5)]
