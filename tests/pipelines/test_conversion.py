"""ToImage, ToDtype and Normalize against torchvision."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest
import torch
from parity import assert_parity, assert_same, make_images

from augserve_pipelines import InvalidInput, Pipeline, transforms
from augserve_pipelines.transforms.conversion import to_dtype_image
from factories import make_image, make_noise, make_picture
from oracle import tv_functional, v2

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
MEAN, STD = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]


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


@pytest.mark.parametrize("mode", ["RGB", "L", "RGBA", "1"])
def test_pictures_become_images(mode: str) -> None:
    picture = make_picture(size=(31, 40), mode=mode)
    assert_same(transforms.ToImage()(picture), v2.ToImage()(picture).as_subclass(torch.Tensor), mode)


def test_arrays_become_images() -> None:
    for array in (np.zeros((4, 5, 3), np.uint8), np.ones((4, 5), np.float32)):
        assert_same(transforms.ToImage()(array), v2.ToImage()(array).as_subclass(torch.Tensor), str(array.shape))


def test_tensors_pass_through_to_image() -> None:
    image = make_noise((4, 5))
    assert transforms.ToImage()(image) is image
    sample = transforms.ToImage()({"image": make_picture(size=(3, 4)), "label": 7})
    assert sample["image"].shape == (3, 3, 4)
    assert sample["label"] == 7
