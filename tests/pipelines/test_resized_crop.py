"""Windows that are resized against torchvision."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from leaves import assert_parity_of_leaves
from parity import assert_parity, make_images
from targets import as_ours, assert_same_structure, assert_target_parity, make_picture_structure, make_structure

from augserve_pipelines import InvalidInput, Pipeline, transforms
from augserve_pipelines.records import Record
from augserve_pipelines.transforms.resized_crop import resized_crop
from factories import make_noise
from oracle import v2

DTYPES = (torch.uint8, torch.float32)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    "kwargs",
    [
        {"size": 64},
        {"size": (48, 80), "scale": (0.5, 0.9), "ratio": (0.5, 2.0), "interpolation": "bicubic"},
        {"size": [32], "interpolation": "nearest"},
        {"size": 40, "antialias": False},
        {"size": 40, "ratio": (3.0, 4.0), "interpolation": "nearest-exact"},  # mostly falls back to the centre
        {"size": 33, "scale": (0.9, 1.4)},
    ],
)
def test_random_resized_crop(dtype: torch.dtype, kwargs: dict[str, Any]) -> None:
    assert_parity(transforms.RandomResizedCrop(**kwargs), v2.RandomResizedCrop(**kwargs), make_images(dtype))


@given(
    size=st.tuples(st.integers(1, 60), st.integers(1, 60)),
    scale=st.tuples(st.floats(0.01, 2), st.floats(0.01, 2)).map(sorted),
    ratio=st.tuples(st.floats(0.1, 9), st.floats(0.1, 9)).map(sorted),
    seed=st.integers(0, 2**63 - 1),
)
@settings(max_examples=150)
def test_random_resized_crop_draws_as_torchvision(
    size: tuple[int, int], scale: list[float], ratio: list[float], seed: int
) -> None:
    ours = transforms.RandomResizedCrop(8, tuple(scale), tuple(ratio))
    theirs = v2.RandomResizedCrop(8, tuple(scale), tuple(ratio))
    assert_parity(ours, theirs, [make_noise(size)], seeds=[seed])


@pytest.mark.parametrize(
    "kwargs",
    [
        {"size": 24},
        {"size": (24, 31), "interpolation": "bicubic", "antialias": None},
        {"size": 33, "interpolation": "nearest-exact", "scale": (0.9, 1.0)},  # masks by nearest
        {"size": (20, 50), "interpolation": "lanczos"},
    ],
    ids=str,
)
def test_random_resized_crops_of_every_kind(kwargs: dict[str, Any]) -> None:
    assert_target_parity(transforms.RandomResizedCrop(**kwargs), v2.RandomResizedCrop(**kwargs), seeds=(0, 1))


@pytest.mark.parametrize("interpolation", ["box", "hamming"])
def test_modes_of_pil_images(interpolation: str) -> None:
    ours, theirs = (one.RandomResizedCrop(20, interpolation=interpolation) for one in (transforms, v2))
    assert_target_parity(ours, theirs, [make_picture_structure()], seeds=(0, 1))
    with pytest.raises(InvalidInput, match=f"{interpolation}' is for PIL images"):
        Pipeline([ours])([make_noise((30, 30))], [0])


@pytest.mark.parametrize("interpolation", ["nearest", "bilinear", "bicubic", "lanczos", "hamming"])
@pytest.mark.parametrize(
    ("window", "size"),
    [((3, 4, 11, 9), [7, 13]), ((0, 0, 23, 34), [23, 34]), ((-2, 5, 9, 40), [9]), ((5, 6, 9, 10), [9, 10])],
    ids=str,
)
def test_resized_windows_of_every_kind(window: tuple[int, ...], size: list[int], interpolation: str) -> None:
    arguments = dict(zip(("top", "left", "height", "width"), window, strict=True))
    assert_parity_of_leaves(resized_crop, {**arguments, "size": size, "interpolation": interpolation}, without="empty")


@pytest.mark.parametrize("parity", ["torchvision", "pillow"])
def test_records_replay_the_bytes(parity: Any) -> None:
    structures = [as_ours(make_structure(size)) for size in ((40, 60), (61, 47))]
    pipeline = Pipeline([transforms.RandomResizedCrop(20), transforms.Resize((30, 9))], parity=parity)
    results = pipeline(structures, range(2), records=True)
    for structure, result, record in zip(structures, results, results.records, strict=True):
        replayed = Record.from_json(record.to_json()).replay(structure)
        assert_same_structure(replayed, result, parity)
        names = [call.functional.name for call in record.calls]
        own = ["pillow_resized_crop", "pillow_resize"] if parity == "pillow" else ["resized_crop", "resize"]
        assert names == own


def test_parities_differ() -> None:
    image = make_noise((60, 80))
    pillow, own = (Pipeline([transforms.RandomResizedCrop(20)], parity=one) for one in ("pillow", "torchvision"))
    assert not torch.equal(pillow([image], [0])[0], own([image], [0])[0])
