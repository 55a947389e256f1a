"""Pipelines from torchvision's transforms and back."""

from __future__ import annotations

import importlib

import pytest
import torch
from parity import assert_parity
from parity import make_images as parity_images
from scripts.parity_page import example
from torch import nn

from augserve_pipelines import InvalidPipeline, Pipeline, transforms
from augserve_pipelines.registry import in_yaml, known_transforms
from factories import make_images
from oracle import tv_tensors, v2

NAMES = sorted(name for name, kind in known_transforms().items() if in_yaml(kind))


@pytest.mark.filterwarnings("ignore:.*deprecated")
@pytest.mark.parametrize("name", NAMES)
def test_every_transform_goes_over_and_comes_back(name: str) -> None:
    given = example(known_transforms()[name])
    over = Pipeline([given]).to_torchvision()
    assert type(over) is v2.Compose
    assert type(over.transforms[0]) is getattr(v2, name)
    back = Pipeline.from_torchvision(over)  # with its arguments as torchvision keeps them: 224 is [224, 224]
    assert type(back.transforms[0]) is type(given)
    again = back.to_torchvision()
    assert _as_lists(again) == _as_lists(over)
    assert Pipeline.from_torchvision(again).fingerprint == back.fingerprint


def _as_lists(transform: v2.Transform) -> str:
    return repr(transform).replace("(", "[").replace(")", "]").replace(",]", "]")


def test_a_compose_gives_the_bytes_it_gave() -> None:
    fill = {tv_tensors.Image: 3, "others": 7}
    compose = v2.Compose(
        [
            v2.RandomResizedCrop((40, 50), scale=(0.3, 0.9), interpolation=v2.InterpolationMode.BICUBIC),
            v2.RandomApply([v2.ColorJitter(0.4, (0.5, 1.5), None, 0.1), v2.RandomGrayscale(0.5)], p=0.7),
            v2.RandomChoice([v2.RandomSolarize(100), v2.RandomInvert(1)], p=[3, 1]),
            v2.RandomOrder([v2.RandomHorizontalFlip(), v2.RandomRotation((-5, 30), fill=fill)]),
            v2.ToDtype({torch.Tensor: torch.float32, "others": None}, scale=True),
            v2.Normalize([0.5], [0.2]),
            v2.RandomErasing(value="random"),
        ]
    )  # fmt: skip
    pipeline = Pipeline.from_torchvision(compose, name="theirs")
    images = make_images(16)
    for i, result in enumerate(pipeline(images, range(16))):
        torch.manual_seed(i)
        assert torch.equal(result, compose(images[i]))
    again = Pipeline.from_torchvision(pipeline.to_torchvision())
    assert again.fingerprint == pipeline.fingerprint


def test_a_sequential_and_one_transform_are_taken_too() -> None:
    assert len(Pipeline.from_torchvision(nn.Sequential(v2.Resize(10), v2.CenterCrop(4))).transforms) == 2
    assert Pipeline.from_torchvision(v2.Resize(10)).transforms[0].arguments["size"] == (10,)


def test_a_lambda_keeps_its_function_and_its_types() -> None:
    over = v2.Compose([v2.Lambda(len, tv_tensors.Mask, int), v2.Lambda(len)])
    ours = Pipeline.from_torchvision(over)
    assert ours.transforms[0].lambd is len
    assert [step.types for step in ours.to_torchvision().transforms] == [(tv_tensors.Mask, int), (object,)]


def test_every_transform_without_a_counterpart_is_named() -> None:
    older = importlib.import_module("torchvision.transforms").Resize(10)
    with pytest.raises(InvalidPipeline) as caught:
        Pipeline.from_torchvision([older, v2.Resize(3), len])
    problems = {problem.place: problem.message for problem in caught.value.problems}
    assert set(problems) == {"transforms[0]", "transforms[2]"}
    assert "torchvision.transforms.v2 has Resize too" in problems["transforms[0]"]
    assert problems["transforms[2]"].endswith(
        "no transform of torchvision.transforms.v2; Lambda makes one of a function"
    )


def test_what_torchvision_does_not_have_is_refused() -> None:
    with pytest.raises(InvalidPipeline, match="parity: 'pillow'"):
        Pipeline([transforms.Resize(5)], parity="pillow").to_torchvision()
    with pytest.raises(InvalidPipeline, match=r"MixUp\.mode: 'elem'"):
        Pipeline([transforms.MixUp(mode="elem")]).to_torchvision()


@pytest.mark.parametrize("padding", [3, [1, 2], [1, 2, 3, 4]])
def test_padding_of_crops_goes_over_edge_by_edge(padding: int | list[int]) -> None:
    oracle = v2.RandomCrop(20, padding=padding, fill=9)
    (ours,) = Pipeline.from_torchvision(oracle).transforms
    assert_parity(ours, oracle, parity_images(sizes=((20, 20), (25, 31))), range(8))
