"""Permutations of channels against torchvision."""

from __future__ import annotations

from itertools import permutations

import pytest
import torch
from functionals import assert_call_parity, assert_functional_parity
from targets import assert_eager_target_parity, assert_target_parity, make_boxes

from augserve_pipelines.transforms.channels import RandomChannelPermutation, permute_channels, permute_channels_image
from factories import make_picture
from oracle import tv_functional, tv_tensors, v2
from pipelines.parity import SEEDS, assert_parity, make_images

OTHERS = (torch.float64, torch.float16, torch.int16)


@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32])
def test_a_random_permutation_matches(dtype: torch.dtype) -> None:
    images = [image[list(range(channels)) * 1] for channels in (1, 2, 3) for image in make_images(dtype)[::5]]
    assert_parity(RandomChannelPermutation(), v2.RandomChannelPermutation(), images)


def test_every_kind_of_input_matches() -> None:
    assert_target_parity(RandomChannelPermutation(), v2.RandomChannelPermutation())


def test_samples_of_other_channels_share_a_batch() -> None:
    images = [torch.arange(channels).view(-1, 1, 1).expand(-1, 5, 4).byte() for channels in (4, 1, 3, 4, 5, 2, 3)]
    assert_parity(RandomChannelPermutation(), v2.RandomChannelPermutation(), images, SEEDS[:4])


@pytest.mark.parametrize("order", list(permutations(range(3))), ids=str)
def test_the_functional_matches(order: tuple[int, ...]) -> None:
    assert_functional_parity(permute_channels, tv_functional.permute_channels, list(order), channels=(3, 1))


@pytest.mark.parametrize("mode", ["L", "LA", "RGB", "RGBA", "CMYK", "YCbCr", "HSV", "I", "F"])
def test_every_mode_of_pictures_matches(mode: str) -> None:
    picture = make_picture(size=(7, 13), mode=mode)
    for order in permutations(range(len(picture.getbands()))):
        assert_call_parity(permute_channels, tv_functional.permute_channels, picture, list(order))


@pytest.mark.parametrize("dtype", OTHERS)
def test_other_dtypes_match(dtype: torch.dtype) -> None:
    assert_functional_parity(
        permute_channels, tv_functional.permute_channels, [2, 0, 1], dtypes=(dtype,), channels=(3,), modes=()
    )


def test_an_order_of_another_length_is_refused() -> None:
    with pytest.raises(ValueError, match="permutation has 2 numbers for an image of 3 channels"):
        permute_channels_image(torch.zeros(3, 4, 4), [1, 0])


def test_a_sample_without_an_image_or_with_images_of_several_shapes_is_refused() -> None:
    ours, theirs = RandomChannelPermutation(), v2.RandomChannelPermutation()
    apart = [tv_tensors.Image(torch.zeros(3, 8, 8)), tv_tensors.Image(torch.zeros(3, 8, 9))]
    for structure in ([make_boxes((8, 8))], apart, [apart[0], make_picture(size=(8, 9))]):
        assert isinstance(assert_eager_target_parity(ours, theirs, structure), (TypeError, ValueError))
