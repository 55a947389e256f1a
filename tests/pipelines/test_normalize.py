"""Normalize against torchvision."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from parity import assert_parity, assert_same, make_images

from augserve_pipelines import InvalidInput, Pipeline, transforms
from augserve_pipelines.transforms.normalize import normalize, normalize_image
from factories import make_image, make_picture
from oracle import tv_functional, v2
from pipelines.targets import assert_target_parity, make_structure, make_video_structure

MEAN, STD = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.float16])
@pytest.mark.parametrize(("mean", "std"), [(MEAN, STD), ([0.5], [0.25]), ((0.1, 0.2, 0.3), [2.0])])
def test_normalize(dtype: torch.dtype, mean: list[float], std: list[float]) -> None:
    images = [image.to(dtype) for image in make_images(torch.float32)]
    assert_parity(transforms.Normalize(mean, std), v2.Normalize(mean, std), images, seeds=[0])


def test_normalize_writes_in_place_only_eagerly_and_on_request() -> None:
    image = make_image((20, 30), torch.float32)
    kept = image.clone()
    expected = v2.Normalize(MEAN, STD)(image)
    assert torch.equal(Pipeline([transforms.Normalize(MEAN, STD, inplace=True)])([image], [0])[0], expected)
    assert torch.equal(image, kept)
    assert transforms.Normalize(MEAN, STD, inplace=True)(image) is image
    assert torch.equal(image, expected)


def test_normalize_refuses_what_it_cannot_do() -> None:
    with pytest.raises(InvalidInput, match=r"takes floats, got torch.uint8: ToDtype\(float32, scale=True\)"):
        transforms.Normalize(MEAN, STD)(make_image())
    with pytest.raises(InvalidInput, match="for 3 channels, and the image has 1"):
        transforms.Normalize(MEAN, STD)(make_image(dtype=torch.float32, channels=1))
    with pytest.raises(ValueError, match="one for each channel"):
        transforms.Normalize([0.1, 0.2], [1.0, 1.0, 1.0])
    with pytest.raises(ValueError, match="std"):
        transforms.Normalize(MEAN, [1.0, 0.0, 1.0])


@settings(max_examples=30)
@given(
    values=st.lists(st.tuples(st.floats(-5, 5), st.floats(0.01, 5)), min_size=1, max_size=4),
    dtype=st.sampled_from([torch.float16, torch.bfloat16, torch.float32, torch.float64]),
)
def test_any_parameters(values: list[tuple[float, float]], dtype: torch.dtype) -> None:
    mean, std = ([pair[place] for pair in values] for place in range(2))
    images = [make_image((7, 13), torch.float32)[:1].expand(len(mean), 7, 13).to(dtype)]
    assert_parity(transforms.Normalize(mean, std), v2.Normalize(mean, std), images, seeds=[0])


def test_targets_are_left_alone() -> None:
    structures = [make_structure(dtype=torch.float32), make_video_structure(dtype=torch.float64), make_structure()]
    assert_target_parity(transforms.Normalize(MEAN, STD), v2.Normalize(MEAN, STD), structures, seeds=[0])


def test_pictures_are_refused() -> None:
    with pytest.raises(TypeError, match="Normalize does not act on PIL images"):
        transforms.Normalize(MEAN, STD)(
            {"picture": make_picture(size=(3, 4)), "image": make_image(dtype=torch.float32)}
        )


def test_the_functional() -> None:
    image = make_image(dtype=torch.float32)
    for mean, std in ((MEAN, STD), ([0.5], [0.25]), (0.5, 2.0), (torch.tensor(MEAN), torch.tensor(STD))):
        assert_same(normalize(image, mean, std), tv_functional.normalize(image, mean, std), f"{mean}")
    kept = image.clone()
    assert normalize(image, MEAN, STD, inplace=True).data_ptr() == image.data_ptr()
    assert_same(image, tv_functional.normalize(kept, MEAN, STD), "in place")
    with pytest.raises(TypeError, match="takes floats"):
        normalize(make_image(), MEAN, STD)
    with pytest.raises(InvalidInput, match="none may be 0"):
        normalize(image, MEAN, [1.0, 0.0, 1.0])
    with pytest.raises(InvalidInput, match=r"\[\.\.\., C, H, W\]"):
        normalize_image(image[0], MEAN, STD)
