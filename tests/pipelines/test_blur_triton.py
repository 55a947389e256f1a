"""The kernel of blurs gives the bytes of the CPU, in Triton's interpreter."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from parity import assert_same, channels_last

from augserve_pipelines import Pipeline
from augserve_pipelines import transforms as T
from augserve_pipelines.kernels.blur import gaussian_kernel, gaussian_taps
from augserve_pipelines.kernels.launching import interpreted
from augserve_pipelines.transforms.blur import Blur, gaussian_blur_image
from factories import make_image, make_noise

pytest.importorskip("triton")

DTYPES = (torch.uint8, torch.float32)
SIGMAS = np.array([0.1, 0.7, 30.0], np.float32)


@pytest.fixture(autouse=True)
def poisoned(monkeypatch: pytest.MonkeyPatch) -> None:
    """New memory is full of something that no result is: a kernel has to write all of it."""
    empty = torch.empty
    monkeypatch.setattr(torch, "empty", lambda *args, **more: empty(*args, **more).fill_(77))


def batch(size: tuple[int, int], dtype: torch.dtype, channels: int = 3, count: int = len(SIGMAS)) -> torch.Tensor:
    return torch.stack([make_noise(size, dtype, channels=channels, seed=seed) for seed in range(count)])


def assert_same_there(op: Blur, x: torch.Tensor) -> None:
    expected = op.image(x)
    with interpreted():
        actual = op.image(x)
    assert_same(actual, expected, f"{[*x.shape]} {x.dtype} {op.kernel_size}")


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize(
    ("shape", "kernel_size"),
    [((3, 1, 1), (1, 1)), ((3, 7, 13), (3, 3)), ((1, 4, 70), (5, 7)), ((1, 17, 5), (9, 5)), ((1, 5, 7), (13, 9))],
)
def test_each_sample_has_a_width_of_its_own(shape, kernel_size, dtype):
    assert_same_there(Blur(kernel_size, SIGMAS), batch(shape[1:], dtype, channels=shape[0]))


def test_images_may_lie_in_any_way_and_have_any_number_of_planes():
    x = batch((7, 13), torch.uint8)
    videos = batch((4, 5), torch.float32, channels=4, count=1).unflatten(1, (2, 2))
    for images in (torch.stack([channels_last(image) for image in x[:1]]), x[:1, :, 1::2, ::3], videos):
        assert_same_there(Blur((5, 3), SIGMAS[1:2]), images)


def test_one_channel_and_few_taps_are_within_one_level():
    # There torch sums otherwise on the CPU: another convolution of oneDNN.
    x = batch((7, 13), torch.uint8, channels=1)
    expected = Blur((3, 5), SIGMAS).image(x)
    with interpreted():
        actual = Blur((3, 5), SIGMAS).image(x)
    assert (actual.int() - expected.int()).abs().max() <= 1


def test_what_is_not_a_number_spreads_as_it_does_there():
    x = batch((11, 9), torch.float32, channels=1, count=3)
    x[0, 0, 3, 5], x[1, 0, 8, 0], x[2, 0, 10, 8] = torch.inf, torch.nan, -torch.inf
    with np.errstate(all="ignore"):
        assert_same_there(Blur((5, 5), SIGMAS[:3]), x)


@pytest.mark.parametrize("size", [1, 3, 5, 9, 23, 41])
def test_taps_of_many_are_those_of_one(size):
    sigmas = np.concatenate([SIGMAS, np.random.default_rng(size).uniform(0.1, 5, 20).astype(np.float32)])
    taps = gaussian_taps(size, sigmas)
    for row, sigma in zip(taps, sigmas.tolist(), strict=True):
        assert_same(row[:, None] * row, gaussian_kernel((size, size), (sigma, sigma), torch.float32), str(sigma))


def test_the_functional_has_a_width_for_each_side():
    for dtype in DTYPES:
        image = make_image((7, 13), dtype)
        expected = gaussian_blur_image(image, [5, 3], [0.5, 1.25])
        with interpreted():
            assert_same(gaussian_blur_image(image, [5, 3], [0.5, 1.25]), expected, str(dtype))


def test_gradients_still_flow():
    image = make_image((7, 13), torch.float32).requires_grad_()
    with interpreted():
        gaussian_blur_image(image, 3).sum().backward()
    assert image.grad is not None
    assert image.grad.min() > 0


def test_an_image_that_is_too_small_is_refused():
    from augserve_pipelines.kernels.blur_triton import blur

    taps = gaussian_taps(9, SIGMAS)
    with pytest.raises(ValueError, match="images of 4 x 13 are too small for 9 x 9 taps"):
        blur(batch((4, 13), torch.uint8), taps, taps)
    with pytest.raises(ValueError, match="there are 3 images, and taps for 2 across and 3 down"):
        blur(batch((7, 13), torch.uint8), taps[:2], taps)


def test_pipelines_give_the_bytes_of_the_cpu():
    steps = [
        T.RandomResizedCrop((8, 11)),
        T.RandomHorizontalFlip(),
        T.RandomApply([T.GaussianBlur(7, (0.1, 2.0))], 0.5),
        T.ToDtype(torch.float32, scale=True),
        T.GaussianBlur((3, 5)),
    ]
    images = [make_image(size) for size in ((31, 17), (20, 40), (20, 40))]
    expected = Pipeline(steps)(images, range(3))
    with interpreted():
        actual = Pipeline(steps)(images, range(3))
    for row in range(3):
        assert_same(actual[row], expected[row], f"image {row}")
