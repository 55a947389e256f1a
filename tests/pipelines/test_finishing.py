"""A pipeline without its last steps gives bytes; the last steps make of them what the whole pipeline gives."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from augserve_pipelines import Finishing, InvalidInput, NoFinish, Pipeline
from augserve_pipelines.transforms import (
    CenterCrop,
    Compose,
    ConvertImageDtype,
    Identity,
    MixUp,
    Normalize,
    RandomApply,
    RandomErasing,
    RandomHorizontalFlip,
    RandomResizedCrop,
    Resize,
    ToDtype,
    ToPureTensor,
    Transform,
)
from augserve_pipelines.tv_tensors import BoundingBoxes, Image, Mask, Video
from factories import make_image, make_images

MEAN, STD = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]
BEFORE = [RandomResizedCrop(24), RandomHorizontalFlip()]
TO_FLOATS, NORMALIZE = ToDtype(torch.float32, scale=True), Normalize(MEAN, STD)
SEEDS = [5, 6, 7]

SEPARABLE: dict[str, list[Transform]] = {
    "plain": [*BEFORE, TO_FLOATS, NORMALIZE],
    "no normalize": [*BEFORE, TO_FLOATS],
    "nothing before": [TO_FLOATS, NORMALIZE],
    "in a compose": [*BEFORE, Compose([TO_FLOATS, Compose([NORMALIZE])])],
    "all in a compose": [Compose([*BEFORE, TO_FLOATS, NORMALIZE])],
    "marks come off": [*BEFORE, TO_FLOATS, NORMALIZE, ToPureTensor(), Identity()],
    "of half": [*BEFORE, ToDtype(torch.float16, scale=True), NORMALIZE],
    "not scaled": [*BEFORE, ToDtype(torch.float32), Normalize([120.0], [60.0])],
    "by kind": [*BEFORE, ToDtype({Image: torch.float32, Video: torch.float32, "others": None}, scale=True), NORMALIZE],
}


def finished(finishing: Finishing, image: torch.Tensor) -> torch.Tensor:
    """What the description says, in torch."""
    image = image.to(finishing.dtype).mul_(finishing.scale)
    if finishing.mean is not None and finishing.std is not None:
        mean, std = (torch.tensor(v, dtype=finishing.dtype).view(-1, 1, 1) for v in (finishing.mean, finishing.std))
        image = image.sub_(mean).div_(std)
    return image.to(finishing.result)


@pytest.mark.parametrize("cast", [None, torch.float16, torch.bfloat16])
@pytest.mark.parametrize("name", SEPARABLE)
def test_the_two_halves_are_the_whole(name: str, cast: torch.dtype | None) -> None:
    whole = Pipeline(SEPARABLE[name], name="p")
    whole = whole if cast is None else whole.giving(cast)
    images = make_images(3)
    expected, bytes_ = whole(images, SEEDS), whole.unfinished()(images, SEEDS)
    for i in range(3):
        assert bytes_[i].dtype == torch.uint8
        result = finished(whole.finishing, bytes_[i])
        assert result.dtype == expected[i].dtype
        assert torch.equal(result, expected[i])


def test_it_is_the_same_pipeline_by_name_and_fingerprint() -> None:
    whole = Pipeline(SEPARABLE["plain"], name="p")
    half = whole.unfinished()
    assert (half.name, half.fingerprint, half.to_yaml()) == ("p", whole.fingerprint, whole.to_yaml())
    assert (half.signature().dtype, whole.signature().dtype) == ("uint8", "float32")


@pytest.mark.parametrize("cast", [None, torch.float16])
@pytest.mark.parametrize("name", SEPARABLE)
def test_targets_and_records_are_those_of_the_whole(name: str, cast: torch.dtype | None) -> None:
    whole = Pipeline(SEPARABLE[name])
    whole = whole if cast is None else whole.giving(cast)
    samples = [
        {
            "image": Image(make_image((40, 50))),
            "boxes": BoundingBoxes(torch.tensor([[3.0, 4.0, 30.0, 35.0]]), format="XYXY", canvas_size=(40, 50)),
            "mask": Mask(torch.arange(2000, dtype=torch.uint8).reshape(40, 50)),
        }
    ]
    expected, bytes_ = whole(samples, [9], records=True), whole.unfinished()(samples, [9], records=True)
    assert torch.equal(finished(whole.finishing, bytes_[0]["image"].as_subclass(torch.Tensor)), expected[0]["image"])
    for part in ("image", "boxes", "mask"):
        assert type(bytes_[0][part]) is type(expected[0][part])
    for part in ("boxes", "mask"):
        assert bytes_[0][part].dtype == expected[0][part].dtype
        assert torch.equal(bytes_[0][part], expected[0][part])
    assert bytes_.records is not None
    assert expected.records is not None
    assert [r.to_json() for r in bytes_.records] == [r.to_json() for r in expected.records]
    replayed = bytes_.records[0].replay(samples[0])
    assert torch.equal(replayed["image"], expected[0]["image"])


def test_records_of_images_are_those_of_the_whole() -> None:
    whole = Pipeline(SEPARABLE["plain"]).giving(torch.bfloat16)
    images = make_images(3)
    expected, bytes_ = whole(images, SEEDS, records=True), whole.unfinished()(images, SEEDS, records=True)
    assert bytes_.records is not None
    assert expected.records is not None
    assert [r.to_json() for r in bytes_.records] == [r.to_json() for r in expected.records]
    assert torch.equal(bytes_.records[0].replay(images[0]), expected[0])


def test_a_video_is_bytes_too() -> None:
    whole = Pipeline([RandomHorizontalFlip(), TO_FLOATS, NORMALIZE])
    video = Video(torch.stack(list(make_image((20, 30)).unsqueeze(0).expand(4, 3, 20, 30))))
    expected, bytes_ = whole([video], [3])[0], whole.unfinished()([video], [3])[0]
    assert isinstance(bytes_, Video)
    assert torch.equal(finished(whole.finishing, bytes_.as_subclass(torch.Tensor)), expected)


def test_numbers_are_those_that_torch_computes_with() -> None:
    finishing = Pipeline(SEPARABLE["plain"]).finishing
    assert finishing == Finishing(
        torch.float32,
        0.003921568859368563,
        (0.48500001430511475, 0.4560000002384186, 0.4059999883174896),
        (0.2290000021457672, 0.2240000069141388, 0.22499999403953552),
        torch.float32,
    )
    assert Pipeline([ToDtype(torch.float64, scale=True)]).finishing.scale == 1 / 255


KINDS = {Image: torch.float32, Mask: torch.int64, "others": None}
REFUSED: dict[str, tuple[list[Any], str]] = {
    "erasing": ([TO_FLOATS, NORMALIZE, RandomErasing()], "ends in RandomErasing, not in ToDtype and Normalize"),
    "one of its own": ([Resize(20)], "ends in Resize"),
    "no cast": ([TO_FLOATS, CenterCrop(9), NORMALIZE], "ends in CenterCrop and Normalize"),
    "by chance": ([RandomApply([TO_FLOATS])], "ends in RandomApply"),
    "the old cast": ([ConvertImageDtype(torch.float32)], "ends in ConvertImageDtype"),
    "masks too": ([ToDtype(KINDS, scale=True)], "casts other kinds of input to other dtypes"),
    "integers": ([ToDtype(torch.int32, scale=True)], "casts to torch.int32, not to floats"),
    "mixes": ([TO_FLOATS, NORMALIZE, MixUp(num_classes=3)], "ends in MixUp"),
    "no number": ([TO_FLOATS, Normalize([0.5], [1e-60])], "infinite or 0"),
    "infinite": ([TO_FLOATS, Normalize([1e60], [0.5])], "infinite or 0"),
    "nothing": ([Identity()], "ends in nothing"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_pipeline_that_ends_otherwise_says_how(name: str) -> None:
    steps, reason = REFUSED[name]
    with pytest.raises(NoFinish, match=reason):
        Pipeline(steps).unfinished()
    with pytest.raises(NoFinish, match=reason):
        _ = Pipeline(steps).finishing


@pytest.mark.parametrize("before", [TO_FLOATS, RandomApply([TO_FLOATS], p=0.5)])
def test_floats_before_the_last_cast_are_refused_where_they_come(before: Transform) -> None:
    half = Pipeline([before, ToDtype(torch.float32, scale=True), NORMALIZE]).unfinished()
    with pytest.raises(InvalidInput, match=r"its last ToDtype gets torch\.float32, not torch\.uint8"):
        half(make_images(8), range(8))
    with pytest.raises(InvalidInput, match="its last ToDtype gets"):
        half.signature()


def test_wrong_channels_are_refused_as_in_the_whole() -> None:
    whole = Pipeline([TO_FLOATS, NORMALIZE])
    for pipeline in (whole, whole.unfinished()):
        with pytest.raises(InvalidInput, match="values for 3 channels, and the image has 1"):
            pipeline([make_image(channels=1)], [0])


def test_unmarked_images_in_a_structure_that_are_not_cast_are_refused() -> None:
    half = Pipeline(SEPARABLE["by kind"][:-1]).unfinished()
    with pytest.raises(InvalidInput, match="marked as nothing"):
        half([{"image": make_image()}], [0])
