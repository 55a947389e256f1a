"""ToDtype and ConvertImageDtype against torchvision."""

from __future__ import annotations

import warnings
from itertools import permutations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from parity import assert_parity, assert_same, make_images

from augserve_pipelines import InvalidInput, Pipeline, transforms, tv_tensors
from augserve_pipelines.frames import Frames
from augserve_pipelines.transforms.conversion import convert_image_dtype, to_dtype, to_dtype_image
from factories import make_image
from oracle import tv_functional, v2
from oracle import tv_tensors as theirs
from pipelines.targets import as_ours, assert_target_parity, make_structure

DTYPES = (
    torch.uint8,
    torch.uint16,
    torch.int8,
    torch.int16,
    torch.int32,
    torch.int64,
    torch.float16,
    torch.bfloat16,
    torch.float32,
    torch.float64,
)
ROTATED = ("XYWHR", "CXCYWHR", "XYXYXYXY", "hard")  # of floats alone


@pytest.mark.parametrize(("before", "after"), [*permutations(DTYPES, 2)])
@pytest.mark.parametrize("scale", [True, False])
def test_every_cast(before: torch.dtype, after: torch.dtype, scale: bool) -> None:
    image = torch.arange(256).view(1, 16, 16)
    image = (image / 255).to(before) if before.is_floating_point else (image % 128).to(before)
    try:
        expected = tv_functional.to_dtype_image(image, after, scale)
    except RuntimeError:
        with pytest.raises(InvalidInput, match="too few digits"):
            to_dtype_image(image, after, scale)
        return
    assert_same(to_dtype_image(image, after, scale), expected, f"{before} to {after}")


@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32])
@pytest.mark.parametrize("scale", [True, False])
@pytest.mark.parametrize("to", [torch.float32, torch.uint8, torch.float16, torch.int16])
def test_to_dtype(dtype: torch.dtype, to: torch.dtype, scale: bool) -> None:
    assert_parity(transforms.ToDtype(to, scale), v2.ToDtype(to, scale), make_images(dtype), seeds=[0])


def test_to_dtype_by_kind() -> None:
    mapping = {torch.Tensor: torch.float32, "others": None}
    assert_parity(transforms.ToDtype(mapping, scale=True), v2.ToDtype(mapping, scale=True), seeds=[0])


def test_a_dtype_for_each_kind() -> None:
    for mapping in (
        {theirs.Image: torch.float32, theirs.Mask: torch.int64, "others": None},
        {theirs.Video: torch.float16, theirs.Mask: torch.uint8, "others": torch.float64},
        {theirs.Image: None, theirs.KeyPoints: torch.int32, theirs.BoundingBoxes: torch.float64, "others": None},
        {theirs.Image: torch.float32},
    ):
        assert_target_parity(transforms.ToDtype(dict(mapping)), v2.ToDtype(dict(mapping)), seeds=[0], without=ROTATED)


@pytest.mark.parametrize("scale", [True, False])
def test_a_dtype_for_images_leaves_targets_as_they_are(scale: bool) -> None:
    for dtype in (torch.float32, torch.uint8, torch.float64):
        assert_target_parity(transforms.ToDtype(dtype, scale), v2.ToDtype(dtype, scale), seeds=[0])


def test_the_old_name_casts_everything() -> None:
    assert_target_parity(transforms.ConvertImageDtype(), v2.ConvertImageDtype(), seeds=[0])
    for dtype in (torch.float64, torch.uint8):
        ours, oracle = transforms.ConvertImageDtype(dtype), v2.ConvertImageDtype(dtype)
        assert_target_parity(ours, oracle, seeds=[0], without=() if dtype.is_floating_point else ROTATED)
        assert_parity(ours, oracle, make_images(torch.float32), seeds=[0])
    image = make_image()
    expected = tv_functional.convert_image_dtype(image, torch.int16)
    assert_same(convert_image_dtype(image, torch.int16), expected, "convert_image_dtype")


def test_images_of_several_dtypes_are_cast_together() -> None:
    sample = {"image": make_image(), "other": tv_tensors.Image(make_image(dtype=torch.float64)), "label": 3}
    result = transforms.ToDtype(torch.float32, scale=True)(sample)
    expected = v2.ToDtype(torch.float32, scale=True)(theirs.Image(sample["other"].as_subclass(torch.Tensor)))
    assert_same(result["other"].as_subclass(torch.Tensor), expected.as_subclass(torch.Tensor), "float64")
    assert result["image"] is sample["image"]  # what is marked as nothing passes beside an image


def test_an_image_may_be_given_as_a_tensor_where_a_pipeline_has_a_dtype_for_images() -> None:
    image = make_image()
    cast = transforms.ToDtype({"Image": "float32", "Mask": "int64"}, scale=True)
    assert_same(Pipeline([cast])([image], [0])[0], tv_functional.to_dtype(image, torch.float32, True), "as an image")
    marked = Pipeline([transforms.ToImage(), cast])([{"image": image, "label": 1}], [0])[0]
    assert_same(marked["image"], tv_functional.to_dtype(image, torch.float32, True), "in a structure")


def test_a_mapping_fuses_like_one_dtype() -> None:
    mapping = {"Image": "float32", "Mask": "int64"}
    steps = [transforms.ToImage(), transforms.Resize(32), transforms.ToDtype(mapping, scale=True)]
    pipeline = Pipeline([*steps, transforms.Normalize([0.5], [0.25])])
    assert [type(op).__name__ for op in pipeline.plan(Frames.of([make_image()]), [0]).ops] == ["Resample"]


@settings(max_examples=30)
@given(
    dtypes=st.dictionaries(
        st.sampled_from([theirs.Image, theirs.Mask, theirs.BoundingBoxes, theirs.KeyPoints]),
        st.sampled_from([None, torch.float32, torch.float64, torch.float16]),
        min_size=1,
    ),
    others=st.sampled_from([None, torch.float32, torch.float64]),
    scale=st.booleans(),
)
def test_any_mapping(dtypes: dict[type, torch.dtype | None], others: torch.dtype | None, scale: bool) -> None:
    mapping = {**dtypes, "others": others}
    ours, oracle = transforms.ToDtype(dict(mapping), scale), v2.ToDtype(dict(mapping), scale)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torchvision's, of a scale without a dtype
        assert_target_parity(ours, oracle, [make_structure((7, 9))], seeds=[0])


def test_a_kind_that_the_mapping_lacks_is_refused() -> None:
    structure = as_ours(make_structure())
    cast = transforms.ToDtype({"Image": torch.float32})
    with pytest.raises(InvalidInput, match=r"has nothing for (Mask|BoundingBoxes|KeyPoints)"):
        cast(structure)
    with pytest.raises(InvalidInput, match="has nothing for"):
        Pipeline([cast])([structure], [0])


def test_the_functional_casts_every_kind() -> None:
    structure = make_structure()
    for name in ("image", "semantic", "XYXY", "keypoints", "labels"):
        for dtype in (torch.float64, torch.int16):
            actual, expected = (
                to_dtype(structure[name], dtype, True),
                tv_functional.to_dtype(structure[name], dtype, True),
            )
            assert type(actual) is type(expected)
            assert_same(actual.as_subclass(torch.Tensor), expected.as_subclass(torch.Tensor), name)
    with pytest.raises(TypeError, match="to_dtype does not act on str"):
        to_dtype("image", torch.float32)


def test_truth_values() -> None:
    image = torch.tensor([[[True, False]]])  # the pixels of a PIL image in mode 1
    for scale in (True, False):
        assert_same(
            to_dtype_image(image, torch.float32, scale), tv_functional.to_dtype_image(image, scale=scale), "floats"
        )
    with pytest.raises(InvalidInput, match=r"torch.bool cannot be scaled to torch.uint8: cast to floats in between"):
        to_dtype_image(image, torch.uint8, scale=True)
    with pytest.raises(TypeError):
        tv_functional.to_dtype_image(image, torch.uint8, scale=True)
