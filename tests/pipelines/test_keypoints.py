"""Transforms of key points against torchvision."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from targets import SIZES, as_ours, assert_same_structure, assert_target_parity, make_structure

from augserve_pipelines import InvalidInput, InvalidParameters, Pipeline
from augserve_pipelines.transforms import ClampKeyPoints, Compose, RandomHorizontalFlip, SanitizeKeyPoints
from oracle import tv_tensors as theirs
from oracle import v2

SIZE = SIZES[0]


def poses(*shape: int, dtype: torch.dtype = torch.float32, seed: int = 0) -> tuple[Any, dict[str, Any]]:
    """A photograph and points in it, about a third of them outside."""
    structure = make_structure(SIZE)
    generator = torch.Generator().manual_seed(seed)
    points = torch.rand(*shape, 2, generator=generator) * torch.tensor([SIZE[1], SIZE[0]]) * 1.3 - 5
    target = {"points": theirs.KeyPoints(points.to(dtype), canvas_size=SIZE), "labels": torch.arange(shape[0])}
    return structure["image"], {**target, "boxes": structure["XYXY"], "masks": structure["instances"]}


SHAPES = [(6,), (0,), (6, 1), (6, 2), (6, 2, 2)]


def test_clamp() -> None:
    assert_target_parity(ClampKeyPoints(), v2.ClampKeyPoints())


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.int64])
@pytest.mark.parametrize("shape", SHAPES)
def test_clamp_and_sanitize_points_outside(shape: tuple[int, ...], dtype: torch.dtype) -> None:
    made = [poses(*shape, dtype=dtype, seed=seed) for seed in range(4)]
    assert_target_parity(ClampKeyPoints(), v2.ClampKeyPoints(), made, seeds=(0,))
    assert_target_parity(SanitizeKeyPoints(), v2.SanitizeKeyPoints(), made, seeds=(0,))
    for getter in ("default", lambda sample: sample[1]["labels"], lambda sample: (sample[1]["labels"],) * 2):
        ours, oracle = SanitizeKeyPoints(getter), v2.SanitizeKeyPoints(getter)
        assert_target_parity(ours, oracle, made, seeds=(0,))


def test_sanitize_leaves_boxes_and_masks() -> None:
    image, target = as_ours(poses(5, 2))
    result = SanitizeKeyPoints("default")((image, target))[1]
    assert result["boxes"] is target["boxes"]
    assert result["masks"] is target["masks"]
    assert len(result["points"]) == len(result["labels"]) < 5


def test_sanitize_after_a_flip_in_a_pipeline() -> None:
    made = [poses(6, seed=seed) for seed in range(6)]
    ours = Compose([RandomHorizontalFlip(), SanitizeKeyPoints("default")])
    oracle = v2.Compose([v2.RandomHorizontalFlip(), v2.SanitizeKeyPoints("default")])
    results = Pipeline([ours])([as_ours(one) for one in made], range(6))
    for seed, (structure, result) in enumerate(zip(made, results, strict=True)):
        torch.manual_seed(seed)
        assert_same_structure(result, as_ours(oracle(structure)), f"seed {seed}")


@pytest.mark.parametrize(
    "change",
    [
        lambda target: target.pop("points"),
        lambda target: target.update(labels=torch.arange(5)),
        lambda target: target.update(labels="six"),
        lambda target: target.update(more=theirs.KeyPoints(torch.zeros(3, 2), canvas_size=SIZE)),
    ],
)
def test_sanitize_refuses_what_torchvision_does(change: Callable[[dict[str, Any]], Any]) -> None:
    image, target = poses(6)
    change(target)
    with pytest.raises((ValueError, IndexError)):
        v2.SanitizeKeyPoints("default")((image, target))
    with pytest.raises(InvalidInput):
        SanitizeKeyPoints("default")((image, target))
    with pytest.raises(InvalidInput):
        Pipeline([SanitizeKeyPoints("default")])([as_ours((image, target))], [0])


def test_images_alone_have_no_points_to_sanitize() -> None:
    image = torch.zeros(3, 8, 8, dtype=torch.uint8)
    with pytest.raises(InvalidInput, match="KeyPoints"):
        Pipeline([SanitizeKeyPoints()])([image], [0])
    (clamped,) = Pipeline([ClampKeyPoints()])([image], [0])
    assert torch.equal(clamped, image)


def test_a_record_names_what_was_kept_and_clamped() -> None:
    steps = [SanitizeKeyPoints(), ClampKeyPoints()]
    structure = as_ours(poses(6))
    results = Pipeline(steps)([structure], [0], records=True)
    (record,) = results.records
    assert [call.functional.name for call in record.calls] == ["keep_objects", "clamp_keypoints"]
    replayed = type(record).from_json(record.to_json()).replay(structure[1]["points"])
    assert_same_structure(replayed, results[0][1]["points"], "replayed")


def test_a_getter_is_default_null_or_a_function() -> None:
    with pytest.raises(InvalidParameters, match="'points' is not 'default', null or"):
        SanitizeKeyPoints("points")  # type: ignore[arg-type]  # that is the point
