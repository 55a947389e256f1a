"""Compiled loops: what they compute is IEEE arithmetic, as written, wherever they may be kept."""

import numpy as np
import pytest
import torch
from numba.core import caching

from augserve_pipelines.kernels.compiled import compiled, fma, select


def fused(a, b, c, out):
    for k in range(out.size):
        out[k] = fma(a[k], b[k], c[k])


def separate(a, b, c, out):
    for k in range(out.size):
        out[k] = a[k] * b[k] + c[k]


def larger(a, b, c, out):
    for k in range(out.size):
        out[k] = select(a[k] > b[k], a[k], b[k])


def quotient(a, b, c, out):
    for k in range(out.size):
        out[k] = a[k] / b[k]


@pytest.fixture
def numbers():
    rng = np.random.default_rng(0)
    return [rng.standard_normal(10_000).astype(np.float32) for _ in range(3)]


def run(loop, a, b, c):
    out = np.empty_like(a)
    compiled(loop)(a, b, c, out)
    return out


def test_a_fused_sum_is_rounded_once(numbers):
    a, b, c = numbers
    once = torch.from_numpy(c).add(torch.from_numpy(a * np.float32(1)), alpha=float(b[0]))
    np.testing.assert_array_equal(run(fused, a, np.full_like(a, b[0]), c), once.numpy())
    assert (run(fused, a, b, c) != a * b + c).any()


def test_a_sum_that_is_not_fused_is_rounded_twice(numbers):
    a, b, c = numbers
    np.testing.assert_array_equal(run(separate, a, b, c), a * b + c)


def test_select_picks_without_touching_the_other():
    a = np.array([1, np.nan, 3, -np.inf], np.float32)
    b = np.array([2, 1, np.nan, np.inf], np.float32)
    np.testing.assert_array_equal(run(larger, a, b, a), np.array([2, 1, np.nan, np.inf], np.float32))


def test_a_division_by_zero_is_not_an_error():
    a, b = np.array([1, -1, 0], np.float32), np.zeros(3, np.float32)
    np.testing.assert_array_equal(run(quotient, a, b, a), np.array([np.inf, -np.inf, np.nan], np.float32))


def test_loops_are_compiled_where_nothing_can_be_kept(numbers, monkeypatch):
    monkeypatch.setattr(caching.CacheImpl, "_locator_classes", [])
    a, b, c = numbers
    np.testing.assert_array_equal(run(separate, a, b, c), a * b + c)
