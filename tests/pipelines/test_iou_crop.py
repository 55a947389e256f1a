"""Windows that overlap with boxes against torchvision."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from targets import (
    SIZES,
    as_ours,
    assert_eager_target_parity,
    assert_target_parity,
    make_boxes,
    make_picture_structure,
    make_structure,
    make_video_structure,
)

from augserve_pipelines import InvalidInput, Pipeline, transforms
from augserve_pipelines.records import Record
from augserve_pipelines.transforms import iou_crop
from augserve_pipelines.transforms.iou_crop import zeroed_bounding_boxes
from factories import make_image
from oracle import tv_tensors, v2

SEEDS = range(6)
ROTATED = ("XYWHR", "CXCYWHR", "XYXYXYXY")


def make_sample(
    size: tuple[int, int] = (40, 60), format: str = "XYXY", count: int = 5, seed: int = 0, **kwargs: Any
) -> dict[str, Any]:
    boxes = make_boxes(size, format, count=count, seed=seed, **kwargs)
    points = tv_tensors.KeyPoints(torch.rand(3, 2) * 30, canvas_size=size)
    return {
        "image": tv_tensors.Image(make_image(size)),
        "boxes": boxes,
        "points": points,
        "labels": torch.arange(count),
    }


@pytest.mark.parametrize(
    "kwargs",
    [
        {},
        {"min_scale": 0.5, "max_scale": 0.9, "min_aspect_ratio": 0.9, "max_aspect_ratio": 1.1, "trials": 5},
        {"sampler_options": [0.3, 0.6], "trials": 3},
        {"sampler_options": [2.0]},
        {"sampler_options": [0.0], "max_scale": 1.3},
    ],
    ids=str,
)
def test_windows_of_every_format(kwargs: dict[str, Any]) -> None:
    samples = [make_sample(size, format, seed=size[0]) for size in SIZES for format in ("XYXY", "XYWH", "CXCYWH")]
    samples += [make_sample(dtype=torch.int64), make_sample(dtype=torch.float64, clamping_mode=None)]
    assert_target_parity(transforms.RandomIoUCrop(**kwargs), v2.RandomIoUCrop(**kwargs), samples, SEEDS)


def test_every_kind_of_target_with_upright_boxes() -> None:
    structures = [make_structure(size) for size in SIZES[:2]]
    structures = [{k: v for k, v in one.items() if k not in (*ROTATED, "hard", "empty")} for one in structures]
    structures += [make_picture_structure(), {**make_video_structure(), "labels": torch.arange(5)}]
    assert_target_parity(transforms.RandomIoUCrop(), v2.RandomIoUCrop(), structures, SEEDS)


@given(
    size=st.tuples(st.integers(4, 40), st.integers(4, 40)),
    count=st.integers(1, 4),
    scales=st.tuples(st.floats(0.3, 1), st.floats(0.3, 1)).map(sorted),
    seed=st.integers(0, 999),
)
@settings(max_examples=60)
def test_draws_as_torchvision(size: tuple[int, int], count: int, scales: list[float], seed: int) -> None:
    ours, theirs = (one.RandomIoUCrop(*scales, trials=10) for one in (transforms, v2))
    assert_eager_target_parity(ours, theirs, make_sample(size, count=count, seed=seed), seed)


@pytest.mark.parametrize("format", ROTATED)
def test_rotated_boxes_are_refused(format: str) -> None:
    assert_target_parity(transforms.RandomIoUCrop(), v2.RandomIoUCrop(), [make_sample(format=format)], seeds=range(4))


@pytest.mark.parametrize(
    "sample",
    [
        [make_image((20, 30))],
        [make_boxes((20, 30))],
        {"video": tv_tensors.Video(make_image((20, 30))[None]), "boxes": make_boxes((20, 30))},
    ],
)
def test_boxes_beside_an_image_are_needed(sample: Any) -> None:
    transform = transforms.RandomIoUCrop()
    with pytest.raises(TypeError):
        v2.RandomIoUCrop()(sample)
    with pytest.raises(TypeError, match="needs boxes beside"):
        transform(sample)
    with pytest.raises(TypeError, match="needs boxes beside"):
        Pipeline([transform])([as_ours(sample)], [0])


def test_inputs_of_several_sizes_are_refused() -> None:
    with pytest.raises(ValueError, match="one size"):
        transforms.RandomIoUCrop()(make_image((20, 30)), make_boxes((21, 30)))


def test_without_a_window_the_sample_is_left_after_so_many_tries(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(iou_crop, "MOST_WINDOWS", 50)
    sample = make_sample(count=0)
    torch.manual_seed(3)
    done = transforms.RandomIoUCrop(sampler_options=[0.5], trials=20)(sample)
    assert done["image"] is sample["image"]
    drawn = torch.random.get_rng_state()
    torch.manual_seed(3)
    for tried in range(50):
        if tried % 20 == 0:
            torch.randint(1, ())
        sides = 0.3 + (1.0 - 0.3) * torch.rand(2)
        if 0.5 <= int(60 * sides[0]) / int(40 * sides[1]) <= 2:
            torch.rand(2)
    assert torch.equal(torch.random.get_rng_state(), drawn)


def test_windows_without_rows_are_passed_over() -> None:
    sample = {"image": make_image((2, 50)), "boxes": make_boxes((2, 50))}
    errors = []
    for seed in range(20):
        torch.manual_seed(seed)
        try:
            v2.RandomIoUCrop(sampler_options=[0.0, 1.0], max_aspect_ratio=50)(sample)
        except ZeroDivisionError as error:
            errors.append(error)
        torch.manual_seed(seed)
        height = transforms.RandomIoUCrop(sampler_options=[0.0, 1.0], max_aspect_ratio=50)(sample)["image"].shape[1]
        assert height in (1, 2)
    assert errors


def test_a_record_says_which_boxes_were_kept() -> None:
    samples = [as_ours(make_sample(seed=seed)) for seed in range(6)]
    results = Pipeline([transforms.RandomIoUCrop(sampler_options=[0.1])])(samples, range(6), records=True)
    for sample, result, record in zip(samples, results, results.records, strict=True):
        replayed = Record.from_json(record.to_json()).replay(sample)
        assert torch.equal(replayed["boxes"], result["boxes"])
        assert torch.equal(replayed["image"], result["image"])


def test_boxes_that_are_kept_or_not_are_counted() -> None:
    with pytest.raises(InvalidInput, match="there are 5 boxes; 2 are kept or not"):
        zeroed_bounding_boxes(make_boxes((9, 9)), [True, False])


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"min_scale": 1.1}, r"min_scale is 1.1, greater than max_scale, which is 1"),
        ({"min_aspect_ratio": 3.0}, r"min_aspect_ratio is 3.0, greater than max_aspect_ratio"),
        ({"sampler_options": []}, "sampler_options"),
        ({"trials": 0}, "trials"),
    ],
)
def test_bad_arguments_are_refused(kwargs: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        transforms.RandomIoUCrop(**kwargs)
