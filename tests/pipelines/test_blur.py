"""GaussianBlur against torchvision."""

import pytest
import torch
from functionals import assert_call_parity, assert_functional_parity
from targets import assert_target_parity

from augserve_pipelines.errors import InvalidInput
from augserve_pipelines.transforms.blur import GaussianBlur, gaussian_blur, gaussian_blur_image
from factories import make_picture
from oracle import tv_functional, v2
from pipelines.parity import SEEDS, assert_eager_parity, assert_parity, assert_same, make_images

DTYPES = (torch.uint8, torch.float32)
SIZES = ((1, 17), (17, 1), (7, 13), (64, 64), (31, 290), (213, 160))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("channels", [[0], [1, 0], [0, 1, 2], [0, 1, 2, 0]], ids=len)
@pytest.mark.parametrize("kernel_size", [1, 5, (3, 9), 23])
def test_any_kernel_matches(kernel_size, channels, dtype):
    images = [image[channels] for image in make_images(dtype, sizes=SIZES)]
    assert_parity(GaussianBlur(kernel_size), v2.GaussianBlur(kernel_size), images, SEEDS[::6])


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("sigma", [0.05, 0.3, (0.1, 5.0), 40.0])
def test_any_width_matches(sigma, dtype):
    assert_parity(GaussianBlur(9, sigma), v2.GaussianBlur(9, sigma), make_images(dtype, sizes=SIZES), SEEDS[::6])


@pytest.mark.parametrize("dtype", DTYPES)
def test_large_images_match(dtype):
    images = make_images(dtype, sizes=[(256, 256), (480, 363)])
    assert_parity(GaussianBlur(23, (0.1, 2.0)), v2.GaussianBlur(23, (0.1, 2.0)), images, SEEDS[:2])


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float16, torch.bfloat16, torch.int16])
def test_other_dtypes_match(dtype, channels):
    images = make_images(torch.uint8, channels=channels, sizes=[(7, 13), (64, 64)])
    images = [image.to(dtype) / 255 if dtype.is_floating_point else image.to(dtype) for image in images]
    for seed, image in enumerate(images):
        assert_eager_parity(GaussianBlur(5), v2.GaussianBlur(5), image, seed=seed)


@pytest.mark.parametrize("dtype", DTYPES)
def test_leading_dimensions_share_a_kernel(dtype):
    video = torch.stack(make_images(dtype, sizes=[(31, 64)])).unflatten(0, (1, 3))
    for channels in (1, 3):
        for kernel_size in (3, [7, 5]):
            ours, theirs = GaussianBlur(kernel_size), v2.GaussianBlur(kernel_size)
            assert_eager_parity(ours, theirs, video[..., :channels, :, :], seed=channels)


@pytest.mark.parametrize("kernel_size", [3, [5, 9]])
@pytest.mark.parametrize("sigma", [None, 1.5, [0.5, 3.0]])
def test_the_kernel_takes_a_width_for_each_direction(kernel_size, sigma):
    for dtype in DTYPES:
        for image in make_images(dtype, sizes=[(64, 64)]):
            expected = tv_functional.gaussian_blur_image(image, kernel_size, sigma)
            assert_same(gaussian_blur_image(image, kernel_size, sigma), expected, str(dtype))


def test_what_is_not_a_number_spreads_as_it_does_there():
    image = make_images(torch.float32, sizes=[(31, 64)])[0].clone()
    image[0, 3, 5], image[1, 8, 0], image[2, 30, 63] = torch.inf, torch.nan, -torch.inf
    expected = tv_functional.gaussian_blur_image(image, [9, 9], [0.1, 0.1])
    assert_same(gaussian_blur_image(image, [9, 9], [0.1, 0.1]), expected, "not finite")


def test_an_image_smaller_than_half_the_kernel_is_refused():
    images = [torch.zeros(3, height, width, dtype=torch.uint8) for height, width in ((4, 9), (9, 4), (5, 5))]
    assert_parity(GaussianBlur(9), v2.GaussianBlur(9), images, SEEDS[:2])
    message = "GaussianBlur.kernel_size 9 is too large for an image of height 4: more than 4 pixels are needed"
    with pytest.raises(InvalidInput, match=message):
        GaussianBlur(9)(images[0])


def test_every_kind_of_input_matches():
    assert_target_parity(GaussianBlur((5, 3)), v2.GaussianBlur((5, 3)))


@pytest.mark.parametrize(
    ("kernel_size", "sigma"), [(3, None), ([3, 5], 1), ([1, 1], [2.0]), ([5, 3], [0.3, 2.0]), ([9, 9], 0.5)]
)
def test_the_functional_matches(kernel_size, sigma):
    assert_functional_parity(gaussian_blur, tv_functional.gaussian_blur, kernel_size, sigma)


@pytest.mark.parametrize(
    ("kernel_size", "sigma"),
    [
        (2, None),
        ([3, 4], 1.0),
        (-1, 1.0),
        ([3, 3, 3], 1.0),
        ([3], 1.0),
        (3, 0.0),
        (3, [1.0, -1.0]),
        (3, [1.0, 1.0, 1.0]),
    ],
)
def test_what_the_functional_refuses_is_refused(kernel_size, sigma):
    assert_call_parity(gaussian_blur, tv_functional.gaussian_blur, torch.zeros(3, 8, 8), kernel_size, sigma)


@pytest.mark.parametrize("mode", ["RGBA", "LA", "CMYK", "HSV", "P", "1", "I", "F", "I;16"])
def test_other_modes_of_pictures_give_the_same_or_fail_there_too(mode):
    assert_call_parity(gaussian_blur, tv_functional.gaussian_blur, make_picture(size=(7, 13), mode=mode), [3, 5], 0.8)
