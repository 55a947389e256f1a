"""Corners and the middle against torchvision."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from functionals import assert_functional_parity
from parity import assert_same, channels_last
from targets import (
    as_ours,
    assert_eager_target_parity,
    assert_same_structure,
    make_boxes,
    make_picture_structure,
    make_structure,
)

from augserve_pipelines import InvalidInput, Pipeline, transforms
from augserve_pipelines.records import Record
from augserve_pipelines.transforms.five_crop import five_crop, ten_crop
from factories import make_image, make_noise, make_picture
from oracle import tv_functional, tv_tensors, v2

CASES: list[tuple[str, tuple[Any, ...]]] = [
    ("FiveCrop", (20,)),
    ("FiveCrop", ([40, 60],)),
    ("FiveCrop", ((7, 31),)),
    ("TenCrop", ([13],)),
    ("TenCrop", ((20, 9), True)),
]


@pytest.mark.parametrize(("name", "arguments"), CASES, ids=str)
def test_eagerly_crops_are_a_tuple(name: str, arguments: tuple[Any, ...]) -> None:
    ours, theirs = getattr(transforms, name)(*arguments), getattr(v2, name)(*arguments)
    image = make_image((40, 60))
    inputs: list[Any] = [image, channels_last(image), [image[None], 3], make_picture_structure()["image"]]
    inputs += [{"image": tv_tensors.Image(image), "labels": torch.arange(3)}]
    inputs += [(tv_tensors.Video(make_noise((40, 60))[None]), "a name"), make_picture(size=(40, 60), mode="P")]
    for one in inputs:
        assert not isinstance(assert_eager_target_parity(ours, theirs, one), Exception)


@pytest.mark.parametrize(("name", "arguments"), CASES, ids=str)
def test_in_a_pipeline_crops_lie_along_one_more_dimension(name: str, arguments: tuple[Any, ...]) -> None:
    ours, theirs = getattr(transforms, name)(*arguments), getattr(v2, name)(*arguments)
    images = [make_image((40, 60)), make_image((61, 70), torch.float32)]
    for image, result in zip(images, Pipeline([ours])(images, [0, 1]), strict=True):
        assert_same(result, torch.stack(theirs(image)), name)
    samples = [as_ours({"image": tv_tensors.Image(image), "label": 3}) for image in images]
    for image, result in zip(images, Pipeline([ours])(samples, [0, 1]), strict=True):
        assert_same(result["image"].as_subclass(torch.Tensor), torch.stack(theirs(image)), name)


def test_steps_that_follow_act_on_every_crop() -> None:
    steps = [
        transforms.FiveCrop(30),
        transforms.Resize(20),
        transforms.CenterCrop(18),
        transforms.RandomHorizontalFlip(1.0),
        transforms.ToDtype(torch.float32, scale=True),
        transforms.Normalize([0.5, 0.4, 0.3], [0.2, 0.3, 0.4]),
    ]
    images = [make_image((40, 60)), make_image((61, 47)), make_image((30, 30))]
    batch = Pipeline(steps)(images, range(3))
    theirs = v2.Compose(
        [
            v2.Resize(20),
            v2.CenterCrop(18),
            v2.RandomHorizontalFlip(1.0),
            v2.ToDtype(torch.float32, scale=True),
            v2.Normalize([0.5, 0.4, 0.3], [0.2, 0.3, 0.4]),
        ]
    )
    for image, result in zip(images, batch, strict=True):
        assert_same(result, torch.stack([theirs(crop) for crop in v2.FiveCrop(30)(image)]), "after five crops")


def test_videos_keep_their_frames_in_front() -> None:
    video = torch.stack([make_image((40, 60)), make_noise((40, 60))])
    (result,) = Pipeline([transforms.FiveCrop(30)])([as_ours(tv_tensors.Video(video))], [0])
    assert result.shape == (2, 5, 3, 30, 30)
    assert_same(result.as_subclass(torch.Tensor), torch.stack(v2.FiveCrop(30)(video), 1), "a video")


@pytest.mark.parametrize("vertical_flip", [True, False])
def test_functionals(vertical_flip: bool) -> None:
    for leaf in (make_image((20, 31)), tv_tensors.Image(make_noise((20, 31))), make_picture(size=(20, 31))):
        for size in (9, [11], [20, 31], [20, 7]):
            assert_same_structure(five_crop(leaf, size), tv_functional.five_crop(leaf, size), "five")
            ours = ten_crop(leaf, size, vertical_flip)
            assert_same_structure(ours, tv_functional.ten_crop(leaf, size, vertical_flip=vertical_flip), "ten")


def test_functionals_refuse_targets() -> None:
    assert_functional_parity(five_crop, tv_functional.five_crop, [50, 50])
    for leaf in (make_boxes((8, 8)), tv_tensors.Mask(torch.zeros(8, 8)), make_structure()["keypoints"]):
        with pytest.raises(TypeError):
            ten_crop(leaf, 4)


@pytest.mark.parametrize("name", ["FiveCrop", "TenCrop"])
@pytest.mark.parametrize("key", ["XYXY", "semantic"])
def test_boxes_and_masks_are_refused(name: str, key: str) -> None:
    structure = {key: make_structure()[key], "image": make_structure()["image"]}
    with pytest.raises(TypeError):
        getattr(v2, name)(20)(structure)
    for transform in (getattr(transforms, name)(20), transforms.Compose([getattr(transforms, name)(20)])):
        with pytest.raises(TypeError, match=f"{name} does not act on boxes and masks"):
            transform(structure)
        with pytest.raises(TypeError, match=f"{name} does not act on boxes and masks"):
            Pipeline([transform])([as_ours(structure)], [0])


@pytest.mark.parametrize("name", ["FiveCrop", "TenCrop"])
def test_key_points_stay_with_a_warning(name: str) -> None:
    structure = {key: make_structure()[key] for key in ("image", "keypoints")}
    with pytest.warns(UserWarning, match=f"{name} leaves key points as they are"):
        done = getattr(transforms, name)(20)(structure)
    assert done["keypoints"] is structure["keypoints"]
    (result,) = Pipeline([getattr(transforms, name)(20)])([as_ours(structure)], [0])
    assert torch.equal(result["keypoints"].as_subclass(torch.Tensor), structure["keypoints"].as_subclass(torch.Tensor))


@pytest.mark.parametrize("transform", [transforms.FiveCrop((20, 50)), transforms.TenCrop((20, 50))])
def test_images_that_are_too_small_are_refused(transform: transforms.Transform) -> None:
    with pytest.raises(InvalidInput, match=r"crops of 20 x 50 pixels .* cannot be cut from 30 x 49"):
        transform(make_image((30, 49)))
    with pytest.raises(InvalidInput, match=r"crops of 20 x 50 pixels .* cannot be cut from 30 x 49"):
        Pipeline([transform])([make_image((50, 50)), make_image((30, 49))], [0, 1])


def test_a_record_replays_them_as_a_tuple() -> None:
    image = make_image((40, 60))
    batch = Pipeline([transforms.TenCrop(20, True)])([image], [0], records=True)
    record = Record.from_json(batch.records[0].to_json())
    assert record.matrix is None
    assert_same(torch.stack(record.replay(image)), batch[0], "replayed")
