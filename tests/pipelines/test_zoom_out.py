"""Larger canvases against torchvision."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from parity import assert_eager_parity, assert_parity, make_images
from targets import assert_target_parity, make_structure

from augserve_pipelines import transforms
from factories import make_noise
from oracle import tv_tensors, v2


@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32])
@pytest.mark.parametrize("kwargs", [{}, {"fill": [1, 2.5, 3], "p": 1.0}, {"side_range": (1.2, 1.2), "p": 0.9}], ids=str)
def test_canvases_of_images(kwargs: dict[str, Any], dtype: torch.dtype) -> None:
    images = make_images(dtype, sizes=[(1, 1), (7, 13), (64, 64), (100, 150)])
    assert_parity(transforms.RandomZoomOut(**kwargs), v2.RandomZoomOut(**kwargs), images, seeds=range(6))


@pytest.mark.parametrize(
    "kwargs",
    [
        {"fill": 5},
        {"fill": {tv_tensors.Mask: 3, tv_tensors.Video: 9, "others": None}, "p": 1.0, "side_range": [1.0, 1.5]},
        {"p": 1.0, "side_range": [1.0, 1.0]},
    ],
    ids=str,
)
def test_canvases_of_every_kind(kwargs: dict[str, Any]) -> None:
    theirs = {**kwargs, "fill": dict(kwargs["fill"])} if isinstance(kwargs.get("fill"), dict) else kwargs
    assert_target_parity(transforms.RandomZoomOut(**kwargs), v2.RandomZoomOut(**theirs), seeds=(0, 1, 2))


@given(
    size=st.tuples(st.integers(1, 200), st.integers(1, 200)),
    side_range=st.tuples(st.floats(1, 4), st.floats(1, 4)).map(sorted),
    seed=st.integers(0, 2**40),
)
@settings(max_examples=60)
def test_places_are_torchvisions(size: tuple[int, int], side_range: list[float], seed: int) -> None:
    ours, theirs = (one.RandomZoomOut(7, side_range, 1.0) for one in (transforms, v2))
    assert_eager_parity(ours, theirs, make_noise(size, channels=1), seed=seed)


def test_fills_for_each_channel_are_not_for_masks() -> None:
    structure = make_structure()
    ours, theirs = (one.RandomZoomOut([1, 2, 3], p=1.0) for one in (transforms, v2))
    assert_target_parity(ours, theirs, [structure, {"image": structure["image"], "boxes": structure["XYXY"]}], (0,))


def test_inputs_of_several_sizes_are_always_refused() -> None:
    sample = [tv_tensors.Image(make_noise((9, 8))), tv_tensors.Mask(torch.zeros(9, 9))]
    with pytest.raises(ValueError, match="one size"):
        transforms.RandomZoomOut(p=0.0)(sample)
    with pytest.raises(ValueError, match="multiple HxW"):
        v2.RandomZoomOut(p=1.0)(sample)


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"side_range": (0.5, 2.0)}, "side_range"),
        ({"side_range": (3.0, 2.0)}, "side_range"),
        ({"p": 1.5}, "p"),
        ({"fill": "red"}, "fill"),
    ],
)
def test_bad_arguments_are_refused(kwargs: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        transforms.RandomZoomOut(**kwargs)
