"""Transforms of bounding boxes against torchvision."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from targets import (
    FORMATS,
    SIZES,
    as_ours,
    assert_eager_target_parity,
    assert_same_structure,
    assert_target_parity,
    make_boxes,
    make_structure,
)
from torch import Tensor

from augserve_pipelines import InvalidInput, InvalidParameters, Pipeline, tv_tensors
from augserve_pipelines.pipeline import OutputSignature
from augserve_pipelines.samples import Sample
from augserve_pipelines.transforms import (
    ClampBoundingBoxes,
    Compose,
    ConvertBoundingBoxFormat,
    RandomApply,
    RandomHorizontalFlip,
    SanitizeBoundingBoxes,
    SetClampingMode,
    ToDtype,
)
from augserve_pipelines.transforms.labels import places_of_labels
from oracle import tv_tensors as theirs
from oracle import v2

SIZE = SIZES[0]
UPRIGHT, ROTATED = [one.name for one in FORMATS[:3]], [one.name for one in FORMATS[3:]]


def structures(names: list[str]) -> list[dict[str, Any]]:
    """The structures of the bench with boxes of some formats only, and one of boxes alone."""
    left_out = {one.name for one in FORMATS} - set(names) | ({"integers", "unclamped", "hard"} - set(names))
    made = [{key: leaf for key, leaf in make_structure(size).items() if key not in left_out} for size in SIZES]
    return [*made, {"boxes": made[0][names[0]]}]


def detections(format: str = "XYXY", *, seed: int = 0, **more: Any) -> tuple[Any, dict[str, Any]]:
    """A photograph and its target as detection datasets give them."""
    structure = make_structure(SIZE)
    boxes = make_boxes(SIZE, format, seed=seed)
    inside = v2.functional.clamp_bounding_boxes(boxes, clamping_mode="hard")
    boxes = theirs.wrap(torch.cat([inside[:2], boxes[2:]]), like=boxes)
    return structure["image"], {"boxes": boxes, "labels": torch.arange(5), "masks": structure["instances"], **more}


@pytest.mark.parametrize("format", [*UPRIGHT, "cxcywh", theirs.BoundingBoxFormat.XYWH])
def test_convert_upright(format: Any) -> None:
    names = [*UPRIGHT, "integers", "unclamped"]
    assert_target_parity(
        ConvertBoundingBoxFormat(format), v2.ConvertBoundingBoxFormat(format), structures(names), seeds=(0, 1)
    )


@pytest.mark.parametrize("format", ROTATED)
def test_convert_rotated(format: str) -> None:
    made = [{**one, "empty": make_boxes(SIZE, "XYWHR", count=0)} for one in structures([*ROTATED, "hard"])]
    assert_target_parity(ConvertBoundingBoxFormat(format), v2.ConvertBoundingBoxFormat(format), made, seeds=(0, 1))


def test_upright_and_rotated_boxes_do_not_convert() -> None:
    made = structures(UPRIGHT)
    assert_target_parity(ConvertBoundingBoxFormat("XYWHR"), v2.ConvertBoundingBoxFormat("XYWHR"), made, seeds=(0, 1))
    with pytest.raises(InvalidInput, match="XYXY to XYWHR"):
        Pipeline([ConvertBoundingBoxFormat("XYWHR")])([as_ours(made[0])], [0])


@pytest.mark.parametrize("mode", ["auto", "soft", "hard", None])
def test_clamp(mode: Any) -> None:
    assert_target_parity(ClampBoundingBoxes(mode), v2.ClampBoundingBoxes(mode), seeds=(0, 1))


@pytest.mark.parametrize("mode", ["soft", "hard", None])
def test_set_clamping_mode(mode: Any) -> None:
    assert_target_parity(SetClampingMode(mode), v2.SetClampingMode(mode), seeds=(0, 1))
    assert_target_parity(
        Compose([SetClampingMode(mode), ClampBoundingBoxes()]),
        v2.Compose([v2.SetClampingMode(mode), v2.ClampBoundingBoxes()]),
    )


@pytest.mark.parametrize("format", [one.name for one in FORMATS])
def test_sanitize(format: str) -> None:
    for arguments in ({}, {"min_size": 6}, {"min_area": 200.5}, {"min_size": 3, "min_area": 50, "labels_getter": None}):
        made: list[Any] = [detections(format, seed=seed) for seed in range(6)]
        ours, oracle = SanitizeBoundingBoxes(**arguments), v2.SanitizeBoundingBoxes(**arguments)
        assert_target_parity(ours, oracle, made, seeds=(0,))
        assert_eager_target_parity(ours, oracle, made[0][1])
        kept = [len(ours(structure)[1]["boxes"]) for structure in made[:6]]
        assert 0 < sum(kept) < 30


GETTERS: list[Callable[[Any], Any]] = [
    lambda sample: sample[1]["labels"],
    lambda sample: (sample[1]["labels"], sample[1]["crowd"]),
    lambda sample: [sample[1]["crowd"]],
    lambda sample: None,
    lambda sample: sample[1]["masks"],  # indexed as labels are: it comes out as a pure tensor
    lambda sample: torch.arange(5),  # no part of the sample
    lambda sample: "labels",
    lambda sample: [sample[1]["labels"], 3],
    lambda sample: sample[1]["short"],
]


@pytest.mark.parametrize("getter", GETTERS)
def test_sanitize_with_a_function_for_the_labels(getter: Callable[[Any], Any]) -> None:
    made = [detections(crowd=torch.arange(10).view(5, 2), short=torch.arange(4)) for _ in range(2)]
    ours, oracle = SanitizeBoundingBoxes(3, labels_getter=getter), v2.SanitizeBoundingBoxes(3, labels_getter=getter)
    assert_target_parity(ours, oracle, made, seeds=(0,))


@pytest.mark.parametrize(
    "value",
    [
        detections(),
        detections()[1],
        (detections()[0], {"boxes": detections()[1]["boxes"], "LABELS": torch.arange(5), "label": torch.arange(3)}),
        (detections()[0], {"boxes": detections()[1]["boxes"], "my_Label_ids": torch.arange(5)}),
        (detections()[0], torch.arange(5), detections()[1]["boxes"]),
        (detections()[0], detections()[1]["boxes"]),
        {"image": detections()[0], "boxes": detections()[1]["boxes"]},
        {"labels": torch.arange(5)},
        {"labels": torch.arange(4), "boxes": detections()[1]["boxes"]},
        {"labels": torch.tensor(4), "boxes": detections()[1]["boxes"]},
        {"labels": [torch.arange(5), 3], "boxes": detections()[1]["boxes"]},
        {"labels": (torch.arange(5), torch.arange(5) + 5), "boxes": detections()[1]["boxes"]},
        detections()[0],
        [detections()[0]],
        {
            "labels": torch.arange(5),
            "boxes": detections()[1]["boxes"],
            "one": theirs.Mask(torch.ones(SIZE)),
            "name": "a",
        },
        {"labels": torch.arange(5), "boxes": detections()[1]["boxes"], "five": theirs.Mask(torch.ones(5, 7))},
        {"labels": torch.arange(5), "first": detections()[1]["boxes"], "second": make_boxes(SIZE, count=5, seed=9)},
        {"labels": torch.arange(5), "first": detections()[1]["boxes"], "second": make_boxes(SIZE, count=3, seed=9)},
        {"labels": torch.arange(5), "boxes": detections()[1]["boxes"], "image": theirs.Image(torch.zeros(3, 9, 9))},
    ],
)
def test_sanitize_finds_labels_where_torchvision_does(value: Any) -> None:
    try:
        expected = v2.SanitizeBoundingBoxes()(value)
    except (ValueError, IndexError):
        with pytest.raises(InvalidInput):
            SanitizeBoundingBoxes()(value)
        return
    assert_same_structure(SanitizeBoundingBoxes()(value), expected, "torchvision's own")
    assert_same_structure(SanitizeBoundingBoxes()(as_ours(value)), as_ours(expected), "ours")


def test_sanitize_in_the_middle_of_a_pipeline_acts_on_what_came_before() -> None:
    """The boxes that a flip moves are looked at, sample by sample, and all that follows sees the ones that stay."""
    made = [detections("XYWH", seed=seed) for seed in range(8)]
    steps = [
        RandomHorizontalFlip(),
        RandomApply([SanitizeBoundingBoxes(2.5)]),
        SetClampingMode(None),
        ToDtype(torch.float32),
    ]
    oracle = v2.Compose(
        [
            v2.RandomHorizontalFlip(),
            v2.RandomApply([v2.SanitizeBoundingBoxes(2.5)]),
            v2.SetClampingMode(None),
            v2.ToDtype(torch.float32),
        ]
    )
    results = Pipeline(steps)([as_ours(one) for one in made], range(8))
    for seed, (structure, result) in enumerate(zip(made, results, strict=True)):
        torch.manual_seed(seed)
        assert_same_structure(result, as_ours(oracle(structure)), f"seed {seed}")
    assert len({len(target["boxes"]) for _, target in results}) > 1


def test_a_replayed_record_drops_the_same_boxes() -> None:
    structure = as_ours(detections())
    steps = [
        SanitizeBoundingBoxes(3),
        ConvertBoundingBoxFormat("CXCYWH"),
        ClampBoundingBoxes("hard"),
        SetClampingMode(None),
    ]
    results = Pipeline(steps)([structure], [0], records=True)
    (record,) = results.records
    assert len(results[0][1]["boxes"]) < len(structure[1]["boxes"])
    replayed = type(record).from_json(record.to_json()).replay(structure)
    assert_same_structure(replayed[1]["boxes"], results[0][1]["boxes"], "replayed")
    assert np.array_equal(record.matrix, np.eye(3))


def test_pixels_are_neither_touched_nor_copied_between_other_steps() -> None:
    steps = [ConvertBoundingBoxFormat("XYWH"), ClampBoundingBoxes(), SanitizeBoundingBoxes()]
    image, target = as_ours(detections())
    (result,) = Pipeline(steps)([(image, target)], [0])
    assert torch.equal(result[0], image)
    assert Pipeline(steps).signature() == OutputSignature("uint8", 3, None, None)


def test_images_alone_have_nothing_to_sanitize() -> None:
    image = torch.zeros(3, 8, 8, dtype=torch.uint8)
    with pytest.raises(InvalidInput, match="BoundingBoxes"):
        Pipeline([SanitizeBoundingBoxes(labels_getter=None)])([image], [0])
    with pytest.raises(InvalidInput, match="BoundingBoxes"):
        SanitizeBoundingBoxes(labels_getter=None)(image)
    (converted,) = Pipeline([ConvertBoundingBoxFormat("XYWH")])([image], [0])
    assert torch.equal(converted, image)


def test_labels_are_found_by_what_they_are_not_by_what_they_equal() -> None:
    sample = Sample.of(
        {"image": tv_tensors.Image(torch.zeros(1, 2, 2)), "labels": torch.arange(2), "other": torch.arange(2)}
    )
    assert places_of_labels("default", sample) == (1,)
    assert places_of_labels(lambda value: [value["other"], value["labels"]], sample) == (1, 2)
    assert places_of_labels(None, sample) == ()


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: ConvertBoundingBoxFormat("XYZ"), "'XYZ' is no format of boxes; allowed: CXCYWH"),
        (lambda: ConvertBoundingBoxFormat("XYXYX"), "did you mean 'XYXY'"),
        (lambda: ConvertBoundingBoxFormat(4), "4 is no format"),  # type: ignore[arg-type]  # that is the point
        (lambda: ClampBoundingBoxes("firm"), "'firm' is not 'soft', 'hard', 'auto' or null"),  # type: ignore[arg-type]
        (lambda: SetClampingMode("auto"), "'auto' is not 'soft', 'hard' or null"),  # type: ignore[arg-type]
        (lambda: SanitizeBoundingBoxes(min_size=0.5), "0.5 is less than 1"),
        (lambda: SanitizeBoundingBoxes(min_area=0), "0 is less than 1"),
        (lambda: SanitizeBoundingBoxes(labels_getter="labels"), "'labels' is not 'default', null or"),  # type: ignore[arg-type]
    ],
)
def test_unsuitable_arguments_are_refused_in_words(make: Callable[[], Any], words: str) -> None:
    with pytest.raises(InvalidParameters, match=words):
        make()


def test_pipelines_with_a_getter_of_names_have_a_canonical_form() -> None:
    steps = [SanitizeBoundingBoxes(labels_getter=None), ConvertBoundingBoxFormat("xywh"), SetClampingMode(None)]
    written = Pipeline(steps).to_yaml()
    assert "SanitizeBoundingBoxes: {min_size: 1.0, min_area: 1.0, labels_getter: null}" in written
    assert "ConvertBoundingBoxFormat: {format: XYWH}" in written
    assert "SetClampingMode: {clamping_mode: null}" in written
    with pytest.raises(InvalidParameters, match="no plain form"):
        Pipeline([SanitizeBoundingBoxes(labels_getter=len)]).to_yaml()


def test_labels_follow_boxes_that_lie_elsewhere_than_they_do() -> None:
    """A pipeline moves boxes to its device and leaves labels where they are."""
    meta = {
        "boxes": tv_tensors.BoundingBoxes(torch.eye(4)[:2] * 9, format="XYWH", canvas_size=(9, 9)),
        "labels": np.arange(2),
    }
    assert isinstance(SanitizeBoundingBoxes(labels_getter=None)(meta)["labels"], np.ndarray)
    assert isinstance(SanitizeBoundingBoxes(labels_getter=None)(meta)["boxes"], Tensor)
