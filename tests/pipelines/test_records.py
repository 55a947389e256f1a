"""Records: what was done to a sample, in JSON; replayed, and inverted."""

from __future__ import annotations

import copy
import json
from typing import Any

import numpy as np
import pytest
import torch
from targets import as_ours, assert_same_structure, make_structure
from torch import Tensor

from augserve_pipelines import InvalidInput, Pipeline, transforms, tv_tensors
from augserve_pipelines.records import Record
from factories import make_image, make_images

SEEDS = range(12)

PROJECTIVE = {
    "flips": [transforms.RandomHorizontalFlip(), transforms.RandomVerticalFlip()],
    "crop": [transforms.RandomResizedCrop(40), transforms.RandomHorizontalFlip()],
    "padded crop": [transforms.Pad([3, 4, 5, 6]), transforms.RandomCrop(30), transforms.CenterCrop([51, 22])],
    "rotation": [transforms.RandomRotation(40, expand=True), transforms.Resize(37)],
    "affine": [transforms.RandomAffine(30, (0.1, 0.2), (0.7, 1.4), (-9, 9, -5, 5)), transforms.RandomHorizontalFlip()],
    "perspective": [transforms.RandomPerspective(0.4, p=0.8), transforms.RandomResizedCrop([33, 44])],
    "zoom": [transforms.RandomZoomOut(), transforms.RandomShortestSize([30, 50], 90)],
}
OTHERS = {
    "elastic": [transforms.ElasticTransform(), transforms.RandomHorizontalFlip()],
    "colour": [transforms.RandomPhotometricDistort(p=0.8), transforms.GaussianBlur(5), transforms.RandomSolarize(99)],
    "jitter": [transforms.ColorJitter(0.4, 0.4, 0.4, 0.1), transforms.RandomGrayscale(0.5)],
    "noise": [
        transforms.ToDtype(torch.float32, scale=True),
        transforms.GaussianNoise(),
        transforms.Normalize([0.5] * 3, [0.2] * 3),
        transforms.RandomErasing(p=0.7, value="random"),
    ],
    "augment": [transforms.RandAugment(), transforms.AutoAugment(), transforms.TrivialAugmentWide()],
    "mix": [transforms.AugMix()],
    "nested": [
        transforms.RandomApply([transforms.RandomRotation(20)], 0.5),
        transforms.RandomChoice(PROJECTIVE["flips"]),
    ],
}
ALL = {**PROJECTIVE, **OTHERS}


def _through_json(record: Record) -> Record:
    return Record.from_json(json.loads(json.dumps(record.to_json())))


@pytest.mark.parametrize("name", ALL)
def test_a_replayed_record_gives_the_same_bytes(name: str) -> None:
    images = make_images(len(SEEDS))
    batch = Pipeline(ALL[name])(images, SEEDS, records=True)
    for image, result, record in zip(images, batch, batch.records, strict=True):
        assert torch.equal(_through_json(record).replay(image), result)


@pytest.mark.parametrize("parity", ["torchvision", "pillow"])
def test_a_record_knows_whose_resize_it_was(parity: Any) -> None:
    pipeline = Pipeline([transforms.RandomResizedCrop(40), transforms.Resize(31)], parity=parity)
    images = make_images(8)
    batch = pipeline(images, range(8), records=True)
    for image, result, record in zip(images, batch, batch.records, strict=True):
        assert torch.equal(_through_json(record).replay(image), result)


@pytest.mark.filterwarnings("ignore:RandomErasing leaves")
@pytest.mark.parametrize("name", [name for name in ALL if name not in ("augment", "mix")])
def test_a_record_is_replayed_on_every_target(name: str) -> None:
    structure = as_ours(make_structure())
    results = Pipeline(ALL[name])([structure] * 4, range(4), records=True)
    for result, record in zip(results, results.records, strict=True):
        assert_same_structure(_through_json(record).replay(structure), result, name)


@pytest.mark.parametrize("name", PROJECTIVE)
def test_points_and_boxes_go_back_to_where_they_were(name: str) -> None:
    size = (60, 80)
    points = torch.rand(20, 2, dtype=torch.float64) * 40 + 10
    keypoints = tv_tensors.KeyPoints(points, canvas_size=size)
    boxes = tv_tensors.BoundingBoxes(
        torch.cat([points[:10], points[:10] + 7], 1), format="XYXY", canvas_size=size, clamping_mode=None
    )
    sample = {"image": make_image(size), "keypoints": keypoints, "boxes": boxes}
    results = Pipeline(PROJECTIVE[name])([sample] * len(SEEDS), SEEDS, records=True)
    for result, record in zip(results, results.records, strict=True):
        again = _through_json(record)
        assert again.output_size == tuple(result["image"].shape[-2:])
        back = again.invert(result["keypoints"])
        assert back.canvas_size == size
        assert (back.as_subclass(Tensor) - points).abs().max() < 1e-3
        hull = again.invert(result["boxes"]).as_subclass(Tensor)
        given = boxes.as_subclass(Tensor)
        assert (hull[:, :2] <= given[:, :2] + 1e-3).all()
        assert (hull[:, 2:] >= given[:, 2:] - 1e-3).all()
        if name in ("flips", "crop", "padded crop", "zoom"):
            assert (hull - given).abs().max() < 1e-3


def test_pixels_lie_where_the_matrix_says() -> None:
    image = torch.zeros(3, 60, 80, dtype=torch.uint8)
    image[:, 20:24, 30:34] = 255
    for name, steps in PROJECTIVE.items():
        batch = Pipeline(steps)([image] * len(SEEDS), SEEDS, records=True)
        for result, record in zip(batch, batch.records, strict=True):
            weights = result.double().sum(0)
            assert record.matrix is not None
            if "crop" in name and not _is_whole(weights, image, record):
                continue
            x, y, w = record.matrix @ np.array([32.0, 22.0, 1.0])
            height, width = weights.shape
            if not (8 < x / w < width - 8 and 8 < y / w < height - 8) or weights.sum() == 0:
                continue
            middle_x = (weights.sum(0) * (torch.arange(width) + 0.5)).sum() / weights.sum()
            middle_y = (weights.sum(1) * (torch.arange(height) + 0.5)).sum() / weights.sum()
            assert abs(middle_x - x / w) < 1.2, name
            assert abs(middle_y - y / w) < 1.2, name


def _is_whole(weights: Tensor, image: Tensor, record: Record) -> bool:
    """Whether nothing of the picture was cut off: it is as heavy as its scale says."""
    assert record.matrix is not None
    expected = float(image.double().sum()) * abs(np.linalg.det(record.matrix[:2, :2]))
    return bool(abs(float(weights.sum()) - expected) < 0.1 * expected)


def test_an_elastic_record_says_that_it_has_no_inverse() -> None:
    batch = Pipeline(OTHERS["elastic"])([make_image()], [0], records=True)
    record = _through_json(batch.records[0])
    assert record.matrix is None
    with pytest.raises(InvalidInput, match="no matrix"):
        record.invert(tv_tensors.KeyPoints(torch.zeros(1, 2), canvas_size=(64, 80)))


def _document() -> dict[str, Any]:
    steps = [transforms.RandomResizedCrop(40), transforms.RandomErasing(p=1, value="random")]
    return Pipeline(steps)([make_image()], [0], records=True).records[0].to_json()


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        (["version"], 2, "version is 2; 1 is known"),
        (["operations", 0, "name"], "os.system", "no operation is named 'os.system'"),
        (["operations", 0, "arguments", "top"], "x", r"operations\[0\]"),
        (["operations", 0, "arguments", "speed"], 3, "speed"),
        (["operations", 0, "arguments", "size"], [10**6, 10**6], "pixels"),
        (["operations", 0, "arguments", "size"], {"pickle": 1}, "no value of a record"),
        (["operations", 0, "kinds"], ["Sound"], "no kind of input"),
        (["operations"], "all", "operations"),
        (["input_size"], [0, 5], "input_size"),
        (["input_size"], [10], "input_size"),
        (["extra"], 1, "extra"),
    ],
)
def test_a_record_of_a_stranger_is_checked(path: list[Any], value: Any, message: str) -> None:
    document = copy.deepcopy(_document())
    place: Any = document
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    with pytest.raises(InvalidInput, match=message):
        Record.from_json(document, most_pixels=10**6)


def test_a_forged_state_of_a_generator_is_refused() -> None:
    text = json.dumps(_document())
    start = text.index('"stream": "') + len('"stream": "')
    for forged in ("!!!", "AAAA", "eJwDAAAAAAE="):
        end = text.index('"', start)
        with pytest.raises(InvalidInput, match="no state of a random generator"):
            Record.from_json(json.loads(text[:start] + forged + text[end:]))
