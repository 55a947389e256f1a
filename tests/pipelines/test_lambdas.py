"""Lambda against torchvision, and in pipelines."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from augserve_pipelines import InvalidInput, InvalidPipeline, Pipeline, transforms, tv_tensors
from augserve_pipelines.definition import loads
from factories import make_image, make_noise
from oracle import tv_tensors as theirs
from oracle import v2
from pipelines.parity import assert_same
from pipelines.targets import as_ours, assert_same_structure, make_picture_structure, make_structure


def test_every_input_goes_through_once() -> None:
    for structure in (make_structure(), make_picture_structure(), (make_image(), torch.ones(3), "text", 5, None)):
        seen: list[Any] = []
        expected: list[Any] = []
        transforms.Lambda(lambda leaf, seen=seen: seen.append(type(leaf)))(structure)
        v2.Lambda(lambda leaf, expected=expected: expected.append(type(leaf)))(structure)
        assert seen == expected


@pytest.mark.parametrize("types", [(theirs.Image,), (theirs.Mask, int), (torch.Tensor,), (str, theirs.TVTensor)])
def test_types_say_what_goes_through(types: tuple[type, ...]) -> None:
    def change(leaf: Any) -> Any:
        return leaf + leaf

    structure = {**make_structure(), "count": 3}
    assert_same_structure(transforms.Lambda(change, *types)(structure), v2.Lambda(change, *types)(structure), "theirs")
    own = tuple(getattr(tv_tensors, one.__name__, one) for one in types)
    result = transforms.Lambda(change, *own)(as_ours(structure))
    assert_same_structure(result, as_ours(v2.Lambda(change, *types)(structure)), "ours")


def test_a_pipeline_runs_the_function_over_each_image() -> None:
    images = [make_noise((7, 13)), make_noise((20, 10)), make_noise((7, 13), seed=3)]
    for result, image in zip(Pipeline([transforms.Lambda(lambda x: 255 - x)])(images, range(3)), images, strict=True):
        assert_same(result, 255 - image, "an image")
    structure = as_ours(make_structure())
    change = transforms.Lambda(lambda leaf: leaf * 2, tv_tensors.Mask, torch.Tensor, str)
    result = Pipeline([change])([structure], [0])[0]
    assert_same(result["image"], make_structure()["image"].as_subclass(torch.Tensor) * 2, "the image")
    assert_same(result["numbers"], structure["numbers"] * 2, "a mask")
    assert result["name"] == "a photograph" * 2
    assert_same(result["labels"], structure["labels"], "no image")
    left = Pipeline([transforms.Lambda(lambda leaf: leaf * 2, tv_tensors.Mask)])([structure], [0])[0]
    assert_same_structure(left["image"], structure["image"], "of another type")


def test_a_function_that_changes_a_shape_is_refused_in_a_pipeline() -> None:
    with pytest.raises(InvalidInput, match=r"keeps the shape and the dtype of images, \[3, 7, 13\] torch.uint8"):
        Pipeline([transforms.Lambda(lambda x: x.float())])([make_noise((7, 13))], [0])
    with pytest.raises(InvalidInput, match="a Lambda cannot be recorded"):
        Pipeline([transforms.Lambda(lambda x: x)])([make_noise((7, 13))], [0], records=True)


def test_yaml_has_no_functions() -> None:
    with pytest.raises(
        InvalidPipeline, match="is no function: Lambda is for pipelines in Python, YAML has no functions"
    ):
        loads("transforms: [{Lambda: {lambd: 'x + 1'}}]", "named")
    with pytest.raises(InvalidPipeline, match="is missing; it takes a function, which only Python has: YAML has none"):
        loads("transforms: [Lambda]", "named")


def test_it_shows_its_function() -> None:
    assert repr(transforms.Lambda(make_image, int)) == "Lambda(make_image, types=['int'])"
