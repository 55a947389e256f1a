"""Sharpness against torchvision."""

from __future__ import annotations

import pytest
import torch
from functionals import assert_call_parity, assert_functional_parity
from hypothesis import given, settings
from hypothesis import strategies as st
from targets import assert_target_parity

from augserve_pipelines.errors import InvalidInput
from augserve_pipelines.kernels.sharpness import sharpen_reference
from augserve_pipelines.transforms.sharpness import RandomAdjustSharpness, adjust_sharpness, adjust_sharpness_image
from factories import make_noise
from oracle import tv_functional, v2
from pipelines.parity import SEEDS, assert_parity, assert_same, channels_last, make_images

DTYPES = (torch.uint8, torch.float32)
OTHERS = (torch.float64, torch.float16, torch.bfloat16, torch.int8, torch.int16, torch.int32)
MODES = ("RGB", "L", "RGBA", "LA", "CMYK", "P", "1", "I", "F")
FACTORS = (0.0, 0.3, 1.0, 2.0, 25.0)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("factor", [0, 0.5, 1.9])
def test_it_matches(factor, dtype):
    images = make_images(dtype)[::2] + make_images(dtype, channels=1)[::3]
    assert_parity(RandomAdjustSharpness(factor), v2.RandomAdjustSharpness(factor), images, SEEDS[:6])


def test_every_kind_of_input_matches():
    assert_target_parity(RandomAdjustSharpness(1.7), v2.RandomAdjustSharpness(1.7))


@pytest.mark.parametrize("factor", FACTORS)
def test_the_functional_matches(factor):
    assert_functional_parity(adjust_sharpness, tv_functional.adjust_sharpness, factor)


@settings(max_examples=15)
@given(st.floats(0, 20), st.integers(1, 20), st.integers(1, 20), st.sampled_from([1, 3]), st.booleans())
def test_any_factor_and_size_matches(factor, height, width, channels, interleaved):
    image = make_noise((height, width), channels=channels, seed=height)
    for one in (image, image / 255):
        assert_call_parity(
            adjust_sharpness, tv_functional.adjust_sharpness, channels_last(one) if interleaved else one, factor
        )


def test_every_mode_of_pictures_gives_the_same_or_fails_there_too():
    assert_functional_parity(
        adjust_sharpness, tv_functional.adjust_sharpness, 1.5, dtypes=(), modes=MODES, sizes=((7, 13),)
    )


@pytest.mark.parametrize("dtype", OTHERS)
def test_other_dtypes_match(dtype):
    assert_functional_parity(adjust_sharpness, tv_functional.adjust_sharpness, 1.5, dtypes=(dtype,), modes=())


@pytest.mark.parametrize("shape", [(2, 9, 9), (4, 9, 9), (0, 4, 4), (3, 0, 5), (1, 5, 0), (0, 3, 5, 5)], ids=str)
def test_odd_shapes_are_as_there(shape):
    for dtype in DTYPES:
        assert_call_parity(adjust_sharpness, tv_functional.adjust_sharpness, torch.ones(shape, dtype=dtype), 1.5)


def test_the_arithmetic_for_other_devices_gives_the_same():
    for image in make_images(sizes=[(3, 3), (7, 13), (64, 64), (213, 160)]):
        for factor in FACTORS:
            assert_same(sharpen_reference(image, factor, 255), adjust_sharpness_image(image, factor), str(factor))


def test_a_negative_factor_and_other_channels_are_refused():
    with pytest.raises(ValueError, match=r"RandomAdjustSharpness.sharpness_factor: -1 is less than 0"):
        RandomAdjustSharpness(-1)
    with pytest.raises(ValueError, match="sharpness_factor is -1; it is 0 or more"):
        adjust_sharpness(torch.zeros(3, 4, 4), -1)
    with pytest.raises(InvalidInput, match="RandomAdjustSharpness takes images of 1 or 3 channels; got one of 2"):
        RandomAdjustSharpness(2, p=1.0)(torch.zeros(2, 4, 4))
