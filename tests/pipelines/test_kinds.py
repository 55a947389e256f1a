"""Conversions between PIL images, arrays and tensors against torchvision."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image as Picture

from augserve_pipelines import InvalidInput, Pipeline, transforms, tv_tensors
from augserve_pipelines.definition import loads
from augserve_pipelines.frames import Frames
from augserve_pipelines.transforms.pictures import pil_to_tensor, to_image, to_pil_image, to_tensor
from factories import make_image, make_noise, make_picture
from oracle import tv_functional, v2
from oracle import tv_tensors as theirs
from pipelines.parity import assert_same
from pipelines.targets import (
    as_ours,
    assert_same_leaf,
    assert_same_structure,
    assert_target_parity,
    make_picture_structure,
    make_structure,
    make_video_structure,
)

MODES = ("RGB", "L", "RGBA", "LA", "1", "P", "CMYK", "YCbCr", "HSV", "I", "F", "I;16")
ARRAYS = (
    np.zeros((4, 5, 3), np.uint8),
    np.linspace(0, 1, 20, dtype=np.float32).reshape(4, 5),
    np.arange(60, dtype=np.uint8).reshape(4, 5, 3)[::-1],
    np.arange(20, dtype=np.int16).reshape(4, 5, 1),
)
# values that 255 times and truncation tell apart
FLOATS = torch.linspace(0, 1, 3 * 16 * 16).view(3, 16, 16)


def picture(mode: str) -> Picture.Image:
    if mode == "I;16":
        return Picture.fromarray(np.arange(31 * 40, dtype=np.uint16).reshape(31, 40) * 50)
    return make_picture(size=(31, 40), mode=mode)


def v1_to_tensor(oracle: Any, *arguments: Any) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return oracle(*arguments)


@pytest.mark.parametrize("mode", MODES)
def test_pictures_become_tensors(mode: str) -> None:
    own = picture(mode)
    for image in (to_image(own), transforms.ToImage()(own)):
        assert type(image) is tv_tensors.Image
        assert_same(image.as_subclass(torch.Tensor), tv_functional.pil_to_tensor(own), mode)
    for ours, oracle in ((transforms.PILToTensor(), v2.PILToTensor()), (pil_to_tensor, tv_functional.pil_to_tensor)):
        assert_same_leaf(ours(own), oracle(own), mode)
    with pytest.warns(UserWarning, match=r"to_tensor\(...\) is deprecated"):
        assert_same(to_tensor(own), v1_to_tensor(tv_functional.to_tensor, own), mode)


@pytest.mark.parametrize("array", ARRAYS, ids=lambda array: f"{array.dtype} {array.shape}")
def test_arrays_become_tensors(array: np.ndarray[Any, Any]) -> None:
    dense = np.ascontiguousarray(array)  # torch takes no negative strides
    assert_same_leaf(transforms.ToImage()(array), as_ours(v2.ToImage()(dense)), "to an image")
    with pytest.warns(UserWarning, match=r"ToTensor\(\) is deprecated"):
        assert_same(transforms.ToTensor()(array), v1_to_tensor(tv_functional.to_tensor, dense), "to a tensor")
    if array.dtype == np.float32 or array.shape[-1] != 5:
        assert_same_leaf(transforms.ToPILImage()(array), v2.ToPILImage()(dense), "to a picture")


def test_an_array_that_cannot_be_written_to_is_copied() -> None:
    array = np.zeros((4, 5, 1), np.uint8)
    array.flags.writeable = False
    assert to_image(array).shape == (1, 4, 5)


@pytest.mark.parametrize(
    ("pixels", "mode"),
    [
        (make_noise((7, 13)), None),
        (make_noise((7, 13)), "YCbCr"),
        (make_noise((7, 13)), "HSV"),
        (make_noise((7, 13), channels=1), None),
        (make_noise((7, 13), channels=1)[0], "L"),
        (make_noise((7, 13), channels=2), "LA"),
        (make_noise((7, 13), channels=4), "CMYK"),
        (FLOATS, None),
        (FLOATS.double(), "RGB"),
        (FLOATS.half(), None),
        (FLOATS[:1], "F"),
        (FLOATS[:1], "L"),
        (torch.arange(-50, 50).view(1, 10, 10).to(torch.int32), "I"),
        (torch.arange(-50, 50).view(1, 10, 10).to(torch.int16), None),
    ],
)
def test_tensors_become_pictures(pixels: torch.Tensor, mode: str | None) -> None:
    expected = tv_functional.to_pil_image(pixels, mode)
    assert_same_leaf(to_pil_image(pixels, mode), expected, "the function")
    for leaf in (pixels, theirs.Image(pixels), tv_tensors.Image(pixels)):
        assert_same_leaf(transforms.ToPILImage(mode)(leaf), expected, type(leaf).__name__)


@pytest.mark.parametrize(
    ("pixels", "mode"),
    [
        (make_noise((7, 13)), "L"),
        (make_noise((7, 13), channels=1), "RGB"),
        (FLOATS, "F"),
        (make_noise((7, 13), channels=5), None),
        (make_noise((7, 13)).long(), None),
        (FLOATS.unsqueeze(0), None),
        ("no pixels", None),
    ],
)
def test_what_is_no_picture_is_refused(pixels: Any, mode: str | None) -> None:
    for function in (to_pil_image, tv_functional.to_pil_image):
        with pytest.raises((TypeError, ValueError)):
            function(pixels, mode)


def test_a_pipeline_keeps_the_bytes_of_a_picture() -> None:
    expected = np.array(v2.ToPILImage()(FLOATS)).transpose(2, 0, 1)
    result = Pipeline([transforms.ToPILImage()])([FLOATS, make_noise((7, 13))], [0, 1])
    assert_same(result[0], torch.from_numpy(expected), "floats")
    assert_same(result[1], make_noise((7, 13)), "bytes")
    assert_same(Pipeline([transforms.ToPILImage("F")])([FLOATS[:1]], [0])[0], FLOATS[:1], "mode F")
    with pytest.raises(InvalidInput, match="no PIL image of mode L has 3 channels"):
        Pipeline([transforms.ToPILImage("L")])([FLOATS], [0])
    with pytest.raises(InvalidInput, match=r"\[C, H, W\]"):
        Pipeline([transforms.ToPILImage()])([{"image": FLOATS.expand(2, 3, 16, 16)}], [0])


def test_targets_are_no_images() -> None:
    structures = [make_structure(), make_video_structure(), make_picture_structure()]
    assert_target_parity(transforms.ToImage(), v2.ToImage(), structures[:2], seeds=[0])
    for ours, oracle in (
        (transforms.ToImage(), v2.ToImage()),
        (transforms.PILToTensor(), v2.PILToTensor()),
        (transforms.ToPILImage(), v2.ToPILImage()),
        (transforms.ToPureTensor(), v2.ToPureTensor()),
    ):
        for structure in structures:
            assert_same_structure(as_ours(ours(structure)), as_ours(oracle(structure)), type(ours).__name__)
    with pytest.warns(UserWarning, match="deprecated"):
        ours, oracle = transforms.ToTensor(), v2.ToTensor()
    for structure in structures:
        assert_same_structure(ours(structure), oracle(structure), "ToTensor")


def test_pure_tensors_of_all_kinds() -> None:
    assert_target_parity(transforms.ToPureTensor(), v2.ToPureTensor(), seeds=[0], pictures=False)
    structure = as_ours(make_structure())
    result = Pipeline([transforms.ToPureTensor(), transforms.RandomHorizontalFlip(p=1)])([structure], [0])[0]
    assert_same(result["image"], structure["image"].as_subclass(torch.Tensor).flip(-1), "the image")
    assert_same(result["semantic"], structure["semantic"].as_subclass(torch.Tensor), "the mask")


def test_the_first_tensor_becomes_the_image() -> None:
    image, label = make_image(), torch.tensor(3)
    sample = transforms.ToImage()((image, label, "name"))
    assert_same_structure(sample, as_ours(v2.ToImage()((image, label, "name"))), "a tuple")
    assert sample[0].data_ptr() == image.data_ptr()


V1 = """
transforms:
  - Resize: {size: 40}
  - CenterCrop: {size: 32}
  - ToTensor
  - Normalize: {mean: [0.485, 0.456, 0.406], std: [0.229, 0.224, 0.225]}
"""


def test_a_pipeline_of_v1_loads_unchanged() -> None:
    with pytest.warns(UserWarning, match="deprecated"):
        steps = loads(V1, "v1").transforms
    oracle = v1_to_tensor(
        lambda: v2.Compose(
            [
                v2.Resize(40),
                v2.CenterCrop(32),
                v2.ToTensor(),
                v2.Normalize([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]),
            ]
        )
    )
    own = make_picture(size=(64, 80))
    assert_same(transforms.Compose(steps)(own), oracle(own), "eagerly")
    pixels = tv_functional.pil_to_tensor(v2.Resize(40)(own))
    expected = oracle(v2.Resize(40)(own))  # at that size nothing is resized, so that Pillow's and torch's are alike
    assert_same(Pipeline(steps)([pixels], [0])[0], expected, "in a pipeline")
    plan = Pipeline(steps).plan(Frames.of([pixels]), [0])
    assert [type(op).__name__ for op in plan.ops] == ["Resample"]  # and all fuse into one


def test_every_byte_is_divided_by_255() -> None:
    with pytest.warns(UserWarning, match="deprecated"):
        ours = transforms.ToTensor()
    every = torch.arange(256, dtype=torch.uint8).view(1, 16, 16)
    result = Pipeline([ours])([every, every.float(), every.int()], [0, 1, 2])
    assert_same(result[0], every.float().div(255), "bytes")
    assert_same(result[1], every.float(), "floats stay")
    assert_same(result[2], every.int(), "integers stay")
