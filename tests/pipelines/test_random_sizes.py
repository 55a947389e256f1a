"""Sizes that are drawn against torchvision."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from parity import assert_eager_parity, assert_parity, make_images
from targets import assert_target_parity, make_picture_structure

from augserve_pipelines import InvalidInput, Pipeline, transforms
from factories import make_noise
from oracle import tv_tensors, v2

SEEDS = range(6)
CASES: list[tuple[str, dict[str, Any]]] = [
    ("RandomResize", {"min_size": 10, "max_size": 80}),
    ("RandomResize", {"min_size": 30, "max_size": 31, "interpolation": "bicubic"}),
    ("ScaleJitter", {"target_size": (50, 40)}),
    ("ScaleJitter", {"target_size": [70, 30], "scale_range": [0.5, 0.6], "interpolation": "nearest-exact"}),
    ("RandomShortestSize", {"min_size": 33}),
    ("RandomShortestSize", {"min_size": [10, 30, 70], "max_size": 80, "antialias": False}),
]


@pytest.mark.parametrize(("name", "kwargs"), CASES, ids=str)
def test_sizes_of_images(name: str, kwargs: dict[str, Any]) -> None:
    images = make_images(sizes=[(64, 64), (100, 150), (31, 90)])
    assert_parity(getattr(transforms, name)(**kwargs), getattr(v2, name)(**kwargs), images, SEEDS)


@pytest.mark.parametrize(("name", "kwargs"), CASES, ids=str)
def test_sizes_of_every_kind(name: str, kwargs: dict[str, Any]) -> None:
    pictures = kwargs.get("antialias", True)  # of which False warns
    ours, theirs = getattr(transforms, name)(**kwargs), getattr(v2, name)(**kwargs)
    assert_target_parity(ours, theirs, seeds=(0, 1, 2), pictures=pictures)


@given(
    size=st.tuples(st.integers(20, 400), st.integers(20, 400)),
    target=st.tuples(st.integers(20, 300), st.integers(20, 300)),
    scale=st.tuples(st.floats(0.2, 2), st.floats(0.2, 2)).map(sorted),
    seed=st.integers(0, 2**40),
)
@settings(max_examples=60)
def test_factors_are_torchvisions(
    size: tuple[int, int], target: tuple[int, int], scale: list[float], seed: int
) -> None:
    image = make_noise(size, channels=1)
    ours, theirs = (one.ScaleJitter(target, tuple(scale), "nearest") for one in (transforms, v2))
    assert_eager_parity(ours, theirs, image, seed=seed)
    ours, theirs = (one.RandomShortestSize(list(target), 290, "nearest") for one in (transforms, v2))
    assert_eager_parity(ours, theirs, image, seed=seed)


@pytest.mark.parametrize("name", ["RandomResize", "ScaleJitter"])
def test_modes_of_pil_images(name: str) -> None:
    arguments: tuple[Any, ...] = (20, 40) if name == "RandomResize" else ((30, 20),)
    ours, theirs = (getattr(one, name)(*arguments, interpolation="hamming") for one in (transforms, v2))
    assert_target_parity(ours, theirs, [make_picture_structure()], seeds=(0,))
    with pytest.raises(InvalidInput, match="'hamming' is for PIL images; tensors take nearest"):
        Pipeline([ours])([make_noise((30, 30))], [0])


def test_a_result_without_pixels_is_refused() -> None:
    with pytest.raises(InvalidInput, match=r"ScaleJitter makes 0 x 3 pixels of 3 x 90 .* at least 1 x 1"):
        Pipeline([transforms.ScaleJitter((30, 30), (0.1, 0.1))])([make_noise((3, 90))], [0])


@pytest.mark.parametrize("name", ["ScaleJitter", "RandomShortestSize"])
def test_inputs_of_several_sizes_are_refused(name: str) -> None:
    ours, theirs = (getattr(one, name)([30, 30]) for one in (transforms, v2))
    assert_eager_parity(ours, theirs, make_pair())


def test_inputs_of_several_sizes_share_the_shorter_side() -> None:
    ours, theirs = (one.RandomResize(20, 60) for one in (transforms, v2))
    assert_target_parity(ours, theirs, [make_pair()], seeds=range(3), videos=False)


@pytest.mark.parametrize(
    ("name", "arguments", "message"),
    [
        ("RandomResize", (30, 30), "max_size is 30; it must be greater than min_size, which is 30"),
        ("RandomResize", (0, 30), "min_size"),
        ("ScaleJitter", (30,), "target_size"),
        ("ScaleJitter", ((30, 30), (2.0, 1.0)), "scale_range"),
        ("RandomShortestSize", ([],), "min_size"),
    ],
)
def test_bad_arguments_are_refused(name: str, arguments: tuple[Any, ...], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        getattr(transforms, name)(*arguments)


def make_pair() -> list[Any]:
    return [tv_tensors.Image(make_noise((30, 40))), tv_tensors.Mask(torch.zeros(60, 30, dtype=torch.uint8))]
