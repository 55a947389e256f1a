"""Pipelines over samples that are more than an image."""

from __future__ import annotations

import pytest
import torch
from targets import SEEDS, as_ours, assert_same_structure, make_structure, make_video_structure
from torch import Tensor

from augserve_pipelines import InvalidInput, Pipeline, transforms, tv_tensors
from factories import make_image, make_images, make_picture
from oracle import tv_tensors as theirs
from oracle import v2

CHAIN = [
    transforms.RandomHorizontalFlip(),
    transforms.RandomRotation(30),
    transforms.RandomResizedCrop(32),
    transforms.ToDtype(torch.float32, scale=True),
    transforms.Normalize([0.5, 0.4, 0.3], [0.2, 0.2, 0.3]),
]
ORACLE = v2.Compose(
    [
        v2.RandomHorizontalFlip(),
        v2.RandomRotation(30),
        v2.RandomResizedCrop(32),
        v2.ToDtype(torch.float32, scale=True),
        v2.Normalize([0.5, 0.4, 0.3], [0.2, 0.2, 0.3]),
    ]
)


def test_a_chain_over_all_targets_is_torchvisions() -> None:
    structures = [make_structure(), make_video_structure((61, 47)), make_structure((33, 90))]
    given = [as_ours(structure) for structure in structures for _ in SEEDS]
    results = Pipeline(CHAIN)(given, [*SEEDS] * len(structures))
    for i, result in enumerate(results):
        torch.manual_seed(SEEDS[i % len(SEEDS)])
        expected = ORACLE(structures[i // len(SEEDS)])
        assert_same_structure(result, as_ours(expected), f"sample {i}")


def test_an_image_in_a_structure_has_the_bytes_of_the_image_alone() -> None:
    images = make_images(12)
    alone = Pipeline(CHAIN)(images, range(12))
    results = Pipeline(CHAIN)([{"image": image, "name": "x"} for image in images], range(12))
    for bare, result in zip(alone, results, strict=True):
        assert type(result["image"]) is Tensor
        assert torch.equal(bare, result["image"])
        assert result["name"] == "x"


def test_several_images_of_a_sample_share_its_draw() -> None:
    left, right = make_image((50, 70)), make_image((50, 70), name="flower")
    pair = {"left": tv_tensors.Image(left), "right": tv_tensors.Image(right)}
    result = Pipeline(CHAIN)([pair], [3])[0]
    for side, image in (("left", left), ("right", right)):
        assert type(result[side]) is tv_tensors.Image
        assert torch.equal(result[side].as_subclass(Tensor), Pipeline(CHAIN)([image], [3])[0])


def test_a_video_and_a_gray_image_beside_an_image_are_what_they_are() -> None:
    steps = [transforms.RandomHorizontalFlip(), transforms.Grayscale(3), transforms.RandomRotation(20)]
    oracle = v2.Compose([v2.RandomHorizontalFlip(), v2.Grayscale(3), v2.RandomRotation(20)])
    video = make_video_structure((50, 70))["video"]
    gray = theirs.Image(make_image((50, 70), torch.float32, channels=1))
    sample = {"image": theirs.Image(make_image((50, 70))), "video": video, "gray": gray, "mask": theirs.Mask(gray[0])}
    results = Pipeline(steps)([as_ours(sample)] * len(SEEDS), SEEDS)
    for seed, result in zip(SEEDS, results, strict=True):
        torch.manual_seed(seed)
        assert_same_structure(result, as_ours(oracle(sample)), f"seed {seed}")


def test_pil_images_become_tensors() -> None:
    picture = make_picture(size=(60, 80))
    result = Pipeline(CHAIN)([picture], [5])[0]
    assert type(result) is tv_tensors.Image
    expected = Pipeline(CHAIN)([v2.functional.pil_to_tensor(picture)], [5])[0]
    assert torch.equal(result.as_subclass(Tensor), expected)


def test_boxes_alone_are_a_sample() -> None:
    boxes = as_ours(make_structure())["XYWH"]
    results = Pipeline([transforms.RandomHorizontalFlip()])([boxes] * 4, range(4))
    for seed, result in enumerate(results):
        torch.manual_seed(seed)
        assert_same_structure(result, as_ours(v2.RandomHorizontalFlip()(make_structure()["XYWH"])), f"seed {seed}")


@pytest.mark.parametrize(
    ("sample", "message"),
    [
        ("no image", "image 0 is str"),
        ({"a": 1}, "image 0 is dict"),
        ({"a": tv_tensors.Image(torch.zeros(3, 4, 5)), "b": tv_tensors.Image(torch.zeros(3, 5, 4))}, "several sizes"),
        ({"a": tv_tensors.Image(torch.zeros(3, 0, 5))}, "no empty side"),
    ],
)
def test_samples_that_cannot_be_run_are_refused(sample: object, message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        Pipeline(CHAIN)([sample], [0])


def test_nothing_that_was_given_is_changed() -> None:
    structure = as_ours(make_structure())
    before = {key: leaf.clone() for key, leaf in structure.items() if isinstance(leaf, Tensor)}
    Pipeline(CHAIN)([structure] * 3, range(3))
    for key, leaf in before.items():
        assert torch.equal(structure[key].as_subclass(Tensor), leaf.as_subclass(Tensor)), key
