"""The kernel of warps gives the bytes of torch's ``grid_sample`` on the CPU, in Triton's interpreter."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pytest
import torch
from parity import assert_same, channels_last
from torch import Tensor

from augserve_pipelines import Pipeline
from augserve_pipelines import transforms as T
from augserve_pipelines.interpolation import InterpolationMode
from augserve_pipelines.kernels.launching import interpreted
from augserve_pipelines.transforms.elastic import elastic_image
from augserve_pipelines.transforms.fill import Color
from augserve_pipelines.transforms.functional import perspective_image, rotate_image
from augserve_pipelines.transforms.matrices import Affinity, Matrix
from augserve_pipelines.transforms.warp import warp_affinely
from factories import make_image, make_noise

pytest.importorskip("triton")

SHAPES = ((1, 1, 1), (3, 7, 13), (1, 7, 13), (3, 40, 23))
DTYPES = (torch.uint8, torch.float32)
MODES = (InterpolationMode.NEAREST, InterpolationMode.BILINEAR)
MAPS = (
    Affinity(33.3, (3, -4), 1.23, (7.7, 11.1)),
    Affinity(-120.0, (0, 1), 0.4),
    Affinity(0.0, (500, 0)),  # nothing of the image is left
)


@pytest.fixture(autouse=True)
def poisoned(monkeypatch: pytest.MonkeyPatch) -> None:
    """New memory is full of something that no result is: a kernel has to write all of it."""
    empty = Tensor.new_empty
    monkeypatch.setattr(Tensor, "new_empty", lambda *args, **more: empty(*args, **more).fill_(77))


def there(work: Callable[[], Tensor]) -> Tensor:
    with interpreted():
        return work()


def matrices(center: tuple[float, float] = (0.5, 0.0)) -> list[Matrix]:
    return [affinity.inverse(center) for affinity in MAPS]


def batch(shape: Sequence[int], dtype: torch.dtype, count: int = len(MAPS)) -> Tensor:
    channels, *size = shape
    return torch.stack([make_noise(tuple(size), dtype, channels=channels, seed=seed) for seed in range(count)])


def fills(channels: int) -> list[Color]:
    """One for each map."""
    return [[30.0 * channel - 7.5 for channel in range(channels)], None, 0.7]


@pytest.mark.parametrize("mode", MODES, ids=str)
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_each_sample_has_a_map_and_a_colour_of_its_own(shape, dtype, mode):
    x, colors = batch(shape, dtype), fills(shape[0])
    expected = warp_affinely(x, matrices(), (shape[1], shape[2]), mode, colors)
    assert_same(there(lambda: warp_affinely(x, matrices(), (shape[1], shape[2]), mode, colors)), expected, str(mode))


@pytest.mark.parametrize("mode", MODES, ids=str)
@pytest.mark.parametrize("size", [(1, 1), (20, 9), (9, 70)])
def test_results_have_any_size(size, mode):
    x = batch((3, 7, 13), torch.uint8)
    expected = warp_affinely(x, matrices(), size, mode, fills(3))
    assert_same(there(lambda: warp_affinely(x, matrices(), size, mode, fills(3))), expected, str(size))


def test_images_may_lie_in_any_way_and_have_any_number_of_planes():
    laid = torch.stack([channels_last(image) for image in batch((3, 7, 13), torch.uint8)])
    videos = batch((10, 7, 13), torch.float32).unflatten(1, (5, 2))  # of five frames of two channels
    for x in (laid, laid[:, :, 1::2, ::3], videos, laid.expand(2, -1, -1, -1, -1).transpose(0, 1)):
        colors: list[Color] = [1.0, None, [0.25 * channel for channel in range(x.shape[-3])]]
        expected = warp_affinely(x, matrices(), (7, 13), InterpolationMode.BILINEAR, colors)
        actual = there(lambda x=x, colors=colors: warp_affinely(x, matrices(), (7, 13), MODES[1], colors))
        assert_same(actual, expected, str([*x.shape]))


@pytest.mark.parametrize("color", [-3.5, 300.0, 5e9, 2.0**22 + 1.5])
def test_colours_that_are_no_bytes_wrap_alike(color):
    x = batch((1, 7, 13), torch.uint8)
    for mode in MODES:
        expected = warp_affinely(x, matrices(), (7, 13), mode, [color] * 3)
        assert_same(there(lambda mode=mode: warp_affinely(x, matrices(), (7, 13), mode, [color] * 3)), expected, "")


@pytest.mark.parametrize("mode", MODES, ids=str)
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_perspectives_give_the_bytes_of_the_cpu(dtype, mode):
    x = batch((3, 40, 23), dtype)[0]
    starts = [[0, 0], [22, 0], [22, 39], [0, 39]]
    for ends in ([[2, 3], [20, 1], [22, 37], [4, 30]], [[9, 9], [12, 3], [22, 22], [1, 39]]):
        expected = perspective_image(x, starts, ends, mode, [1, 200, 30])
        assert_same(there(lambda e=ends: perspective_image(x, starts, e, mode, [1, 200, 30])), expected, str(ends))


def test_points_that_are_not_finite_lie_outside():
    x = batch((1, 7, 13), torch.uint8)[0]
    horizon = [1.0, 0.0, 0.0, 0.0, 1.0, 0.0, -2.0 / 13, 0.0]  # divides by 0 in the middle column
    for mode in MODES:
        for fill in (None, 9):
            expected = perspective_image(x, None, None, mode, fill, horizon)
            with np.errstate(all="ignore"):
                actual = there(lambda m=mode, f=fill: perspective_image(x, None, None, m, f, horizon))
            assert_same(actual, expected, f"{mode}, {fill}")


@pytest.mark.parametrize("mode", MODES, ids=str)
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_displacements_give_the_bytes_of_the_cpu(shape, dtype, mode):
    x = batch(shape, dtype)[0]
    field = torch.rand(1, *shape[1:], 2, generator=torch.Generator().manual_seed(3)) - 0.5
    expected = elastic_image(x, field, mode, 0.5)
    assert_same(there(lambda: elastic_image(x, field, mode, 0.5)), expected, str(shape))


@pytest.mark.parametrize("mode", MODES, ids=str)
def test_images_may_grow_to_hold_what_was_turned(mode):
    x = batch((3, 7, 13), torch.uint8)[0]
    for angle in (90, 33.3, -170):
        expected = rotate_image(x, angle, mode, True, None, [1, 2, 3])
        assert_same(there(lambda a=angle: rotate_image(x, a, mode, True, None, [1, 2, 3])), expected, str(angle))


@pytest.mark.parametrize("sigma", [0.0, 0.3, [0.6, 0.4]], ids=str)
def test_random_displacements_give_the_bytes_of_the_cpu(sigma):
    steps, images = [T.ElasticTransform(30.0, sigma, fill=[9.5, 0, 3])], [make_noise((7, 5)), make_noise((7, 5))]
    expected = Pipeline(steps)(images, [1, 2])
    with interpreted():
        actual = Pipeline(steps)(images, [1, 2])
    assert_same(actual.stack(), expected.stack(), str(sigma))


def test_gradients_still_flow():
    x = batch((1, 7, 13), torch.float32)[0].requires_grad_()
    there(lambda: rotate_image(x, 30, "bilinear")).sum().backward()
    assert x.grad is not None
    assert x.grad.abs().max() > 0


@pytest.mark.parametrize(
    "transform",
    [
        T.RandomAffine(30, (0.2, 0.2), (0.7, 1.3), 10, "bilinear", fill=[7, 8, 9]),
        T.RandomAffine(180, (0.2, 0.2)),
        T.RandomRotation(90, "bilinear", expand=True),
        T.RandomRotation(45, center=[3, 4]),
        T.RandomPerspective(0.6, 1.0, fill=3),
        T.RandomPerspective(0.6, 0.5, "nearest"),
        T.RandAugment(3),
        T.TrivialAugmentWide(interpolation="bilinear", fill=100),
    ],
    ids=lambda transform: type(transform).__name__,
)
def test_pipelines_give_the_bytes_of_the_cpu(transform):
    images = [make_image((11, 17)), make_noise((11, 17)), make_image((11, 17), name="coffee"), make_image((15, 9))]
    expected = Pipeline([transform])(images, range(4))
    with interpreted():
        actual = Pipeline([transform])(images, range(4))
    for row in range(4):
        assert_same(actual[row], expected[row], f"image {row}")
