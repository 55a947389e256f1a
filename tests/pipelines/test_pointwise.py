"""Inverting, posterizing and solarizing against torchvision."""

import pytest
import torch
from functionals import MODES, assert_call_parity, assert_functional_parity
from targets import assert_target_parity

from augserve_pipelines.errors import InvalidInput
from augserve_pipelines.transforms.pointwise import (
    RandomInvert,
    RandomPosterize,
    RandomSolarize,
    invert,
    posterize,
    posterize_image,
    solarize,
    solarize_image,
)
from factories import make_picture
from oracle import tv_functional, v2
from pipelines.parity import SEEDS, assert_eager_parity, assert_parity, assert_same, make_images

DTYPES = (torch.uint8, torch.float32)
OTHERS = (torch.float64, torch.float16, torch.bfloat16, torch.int8, torch.int16, torch.int32, torch.int64)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("p", [0.0, 0.5, 1.0])
def test_inverting_matches(p, dtype):
    assert_parity(RandomInvert(p), v2.RandomInvert(p), make_images(dtype))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("bits", range(9))
def test_posterizing_matches(bits, dtype):
    images = make_images(dtype, sizes=[(1, 17), (64, 64), (100, 150)])
    assert_parity(RandomPosterize(bits, p=0.5), v2.RandomPosterize(bits, p=0.5), images, SEEDS[:6])


@pytest.mark.parametrize("threshold", [-3.0, 0, 0.25, 1, 127.5, 128, 128.000001, 200, 255])
def test_solarizing_matches(threshold):
    assert_parity(RandomSolarize(threshold), v2.RandomSolarize(threshold), make_images(), SEEDS[:6])
    images = make_images(torch.float32, sizes=[(1, 17), (64, 64)])
    assert_parity(RandomSolarize(threshold), v2.RandomSolarize(threshold), images, SEEDS[:6])


@pytest.mark.parametrize("channels", [1, 2, 4])
def test_any_number_of_channels_is_taken(channels):
    image = torch.cat(make_images(sizes=[(7, 13)]))[:channels]
    for ours, theirs in (
        (RandomInvert(1.0), v2.RandomInvert(1.0)),
        (RandomPosterize(3, p=1.0), v2.RandomPosterize(3, p=1.0)),
        (RandomSolarize(100.0, p=1.0), v2.RandomSolarize(100.0, p=1.0)),
    ):
        assert_parity(ours, theirs, [image], SEEDS[:2])


@pytest.mark.parametrize("dtype", OTHERS)
def test_other_dtypes_match(dtype):
    for image in make_images(sizes=[(64, 64)]):
        values = image.float().sub(60).div(195)
        other = values.to(dtype) if dtype.is_floating_point else values.mul(torch.iinfo(dtype).max / 2).to(dtype)
        assert_eager_parity(RandomInvert(1.0), v2.RandomInvert(1.0), other)
        for bits in (0, 3, 7, 8):
            assert_same(posterize_image(other, bits), tv_functional.posterize_image(other, bits), f"{dtype} {bits}")
        for threshold in (0.0, 0.5, 1.0):
            expected = tv_functional.solarize_image(other, threshold)
            assert_same(solarize_image(other, threshold), expected, f"{dtype} {threshold}")


def test_a_threshold_beyond_the_dtype_is_refused_where_it_fires():
    image = make_images(sizes=[(7, 13)])[0]
    assert_parity(RandomSolarize(255.5), v2.RandomSolarize(255.5), [image, image / 255], SEEDS[:8])
    message = r"RandomSolarize.threshold 1.5 is greater than 1, the maximum of float32"
    with pytest.raises(InvalidInput, match=message):
        RandomSolarize(1.5, p=1.0)(image / 255)


def test_the_input_is_left_alone():
    for image in (*make_images(sizes=[(7, 13)]), *make_images(torch.float32, sizes=[(7, 13)])):
        before = image.clone()
        for transform in (RandomInvert(1.0), RandomPosterize(2, p=1.0), RandomSolarize(0.5, p=1.0)):
            transform(image)
        assert torch.equal(image, before)


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (RandomInvert(0.5), v2.RandomInvert(0.5)),
        (RandomPosterize(3, 0.5), v2.RandomPosterize(3, 0.5)),
        (RandomSolarize(0.4, 0.5), v2.RandomSolarize(0.4, 0.5)),
        (RandomSolarize(99.5, 1.0), v2.RandomSolarize(99.5, 1.0)),
    ],
)
def test_every_kind_of_input_matches(ours, theirs):
    assert_target_parity(ours, theirs)


def test_the_functionals_match():
    assert_functional_parity(invert, tv_functional.invert, channels=(1, 3))
    for bits in (0, 1, 7, 8, -1, 9):
        modes = MODES if 0 <= bits <= 8 else ()
        assert_functional_parity(posterize, tv_functional.posterize, bits, modes=modes, sizes=((7, 13),))
    for threshold in (-1.0, 0, 0.5, 1.0, 77, 255, 255.5):
        assert_functional_parity(solarize, tv_functional.solarize, threshold, sizes=((7, 13),))


@pytest.mark.parametrize("mode", ["RGBA", "LA", "CMYK", "P", "1", "I", "F"])
def test_other_modes_of_pictures_give_the_same_or_fail_there_too(mode):
    picture = make_picture(size=(7, 13), mode=mode)
    assert_call_parity(invert, tv_functional.invert, picture)
    assert_call_parity(posterize, tv_functional.posterize, picture, 3)
    assert_call_parity(solarize, tv_functional.solarize, picture, 99.5)
