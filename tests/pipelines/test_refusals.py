"""What torchvision refuses with any kind of error, and torch for want of a kernel, is invalid input."""

from __future__ import annotations

import pytest
import torch
from targets import as_ours, make_boxes, make_structure
from torch import Tensor

from augserve_pipelines import InvalidInput, Pipeline, transforms
from augserve_pipelines.definition import loads
from augserve_pipelines.errors import WrongKind
from augserve_pipelines.refusals import explained
from augserve_pipelines.transforms.base import Transform
from oracle import tv_tensors, v2

LABELS = torch.arange(4)


@pytest.mark.parametrize(
    "transform",
    [
        transforms.AutoAugment(),
        transforms.CenterCrop(2),
        transforms.ColorJitter(0.4),
        transforms.Grayscale(),
        transforms.RandomAffine(10),
        transforms.RandomAutocontrast(1),
        transforms.RandomChannelPermutation(),
        transforms.RandomPhotometricDistort(),
        transforms.RandomResizedCrop(2),
        transforms.RandomRotation(10),
        transforms.RandomVerticalFlip(1),
        transforms.RGB(),
    ],
)
def test_labels_where_the_image_would_lie_are_named(transform: Transform) -> None:
    with pytest.raises(InvalidInput, match=r"\[4\]|no image"):
        transform({"labels": LABELS, "name": "no image"})


def test_a_cast_is_of_labels_too_where_there_is_no_image() -> None:
    sample = {"labels": LABELS, "boxes": make_boxes((9, 9))}
    assert transforms.ToDtype(torch.float32)(sample)["labels"].dtype == torch.float32
    assert v2.ToDtype(torch.float32)(sample)["labels"].dtype == torch.float32


@pytest.mark.parametrize("transform", [transforms.RandomHorizontalFlip(1), transforms.TenCrop(3)])
def test_dtypes_without_a_kernel_are_invalid_input(transform: Transform) -> None:
    image = torch.zeros(3, 5, 5, dtype=torch.uint16)
    with pytest.raises(InvalidInput, match="UInt16"):
        transform(image)
    for sample in (image, {"image": tv_tensors.Image(image)}):
        with pytest.raises(InvalidInput, match="UInt16"):
            Pipeline([transform])([sample], [0])


def test_gray_needs_an_image_where_it_fires() -> None:
    boxes = make_boxes((9, 9))
    with pytest.raises(TypeError, match="there is none"):
        transforms.RandomGrayscale(1)(boxes)
    assert torch.equal(transforms.RandomGrayscale(0)(boxes), boxes)


def test_booleans_have_no_bits_to_drop() -> None:
    image = torch.ones(3, 4, 4, dtype=torch.bool)
    with pytest.raises(TypeError, match="booleans"):
        transforms.RandomPosterize(3, p=1)(image)


@pytest.mark.parametrize(
    "transform",
    [
        transforms.RandomApply([transforms.RandAugment()], p=1),
        transforms.RandomOrder([transforms.Compose([transforms.AutoAugment()])]),
        transforms.RandomChoice([transforms.TrivialAugmentWide()]),
    ],
)
def test_what_a_step_inside_another_refuses_a_pipeline_refuses(transform: Transform) -> None:
    with pytest.raises(WrongKind, match="would no longer fit"):
        Pipeline([transforms.RandomHorizontalFlip(), transform])([as_ours(make_structure())], [0])


def test_a_step_that_does_not_run_refuses_nothing() -> None:
    sample = as_ours(make_structure())
    transform = transforms.RandomApply([transforms.RandAugment()], p=0)
    assert torch.equal(Pipeline([transform])([sample], [0])[0]["image"], sample["image"])


@pytest.mark.parametrize(
    "error", [IndexError("no such place"), RuntimeError("out of memory"), NotImplementedError("x")]
)
def test_errors_of_other_reasons_stay_what_they_are(error: Exception) -> None:
    with pytest.raises(type(error)) as raised, explained([torch.zeros(3, 4, 4), tv_tensors.Image(torch.zeros(4, 4))]):
        raise error
    assert raised.value is error


@pytest.mark.filterwarnings("ignore:RandomErasing")
@pytest.mark.parametrize(
    ("oracle", "transform"),
    [
        (v2.RandomErasing(1, inplace=True), transforms.RandomErasing(1, inplace=True)),
        (v2.Normalize([0.5], [0.5], inplace=True), transforms.Normalize([0.5], [0.5], inplace=True)),
    ],
)
def test_in_place_everything_stays_of_its_kind(oracle: v2.Transform, transform: Transform) -> None:
    sample = make_structure((12, 15), torch.float32)
    torch.manual_seed(0)
    expected = oracle({key: one.clone() if isinstance(one, Tensor) else one for key, one in sample.items()})
    torch.manual_seed(0)
    actual = transform(sample)
    assert {key: type(one) for key, one in actual.items()} == {key: type(one) for key, one in expected.items()}
    assert torch.equal(actual["image"], expected["image"])
    assert torch.equal(sample["image"], expected["image"])


def test_images_of_two_dtypes_share_the_window_of_the_boxes() -> None:
    images = [tv_tensors.Image(torch.rand(3, 30, 30)), tv_tensors.Image(torch.ones(3, 30, 30, dtype=torch.uint8))]
    sample = (*images, make_boxes((30, 30)), {"labels": torch.arange(5)})
    for seed in range(8):
        torch.manual_seed(seed)
        expected = v2.RandomIoUCrop()(*sample)
        torch.manual_seed(seed)
        actual = transforms.RandomIoUCrop()(*sample)
        assert all(torch.equal(one, other) for one, other in zip(actual[:3], expected[:3], strict=True))


@pytest.mark.parametrize("name", ["RandomErasing", "RandomPerspective", "RandomZoomOut"])
def test_labels_alone_are_refused_whether_or_not_a_step_fires(name: str) -> None:
    sample = {"labels": LABELS}
    with pytest.raises(WrongKind, match="found no image"):
        getattr(transforms, name)(p=0)(sample)
    assert torch.equal(getattr(v2, name)(p=0)(sample)["labels"], LABELS)


def test_coordinates_of_no_pixels_are_refused() -> None:
    boxes = make_boxes((5, 50))
    with pytest.raises(InvalidInput, match="at least 1 x 1"):
        transforms.Resize(None, max_size=2)(boxes)
    assert v2.Resize(None, max_size=2)(boxes).canvas_size == (0, 2)


@pytest.mark.parametrize(
    "transform", [transforms.Normalize([0.5] * 3, [0.5]), transforms.ElasticTransform(fill=[1] * 3)]
)
def test_values_of_three_channels_are_refused_where_there_is_one(transform: Transform) -> None:
    with pytest.raises(InvalidInput, match=r"3 .*image"):
        transform(torch.zeros(1, 40, 40))


def test_in_a_pipeline_a_step_after_plain_tensors_acts_on_all_images() -> None:
    images = tuple(tv_tensors.Image(torch.rand(3, 8, 8)) for _ in range(2))
    result = Pipeline([transforms.ToPureTensor(), transforms.RandomInvert(1)])([images], [0])[0]
    eager = transforms.Compose([transforms.ToPureTensor(), transforms.RandomInvert(1)])(images)
    assert all(torch.equal(one, 1 - image) for one, image in zip(result, images, strict=True))
    assert torch.equal(eager[0], result[0])
    assert torch.equal(eager[1], images[1])


def test_a_pipeline_for_rotated_boxes_loads() -> None:
    text = "transforms: [ConvertBoundingBoxFormat: {format: XYWHR}, SanitizeBoundingBoxes: {labels_getter: null}]"
    pipeline = Pipeline(loads(text, "rotated").transforms)
    assert pipeline.signature().channels == 3
    sample = {"image": tv_tensors.Image(torch.zeros(3, 40, 40)), "boxes": make_boxes((40, 40), "CXCYWHR")}
    assert pipeline([as_ours(sample)], [0])[0]["boxes"].format.name == "XYWHR"


def test_an_image_whose_pixels_share_memory_is_not_written_into() -> None:
    with pytest.raises(InvalidInput, match="cannot be written"):
        transforms.Normalize([0.5], [0.5], inplace=True)(torch.zeros(1, 4, 4).expand(3, 4, 4))
