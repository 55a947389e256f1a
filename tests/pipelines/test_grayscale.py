"""Grayscale and RandomGrayscale against torchvision."""

import pytest
import torch

from augserve_pipelines.errors import InvalidInput
from augserve_pipelines.frames import Frames
from augserve_pipelines.lanes import Lanes
from augserve_pipelines.transforms.grayscale import Grayscale, RandomGrayscale, rgb_to_grayscale_image
from oracle import tv_functional, v2
from pipelines.parity import SEEDS, assert_eager_parity, assert_parity, assert_same, channels_last, make_images

DTYPES = (torch.uint8, torch.float32)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("num_output_channels", [1, 3])
def test_grayscale_matches(num_output_channels, channels, dtype):
    ours, theirs = Grayscale(num_output_channels), v2.Grayscale(num_output_channels)
    assert_parity(ours, theirs, make_images(dtype, channels=channels), SEEDS[:2])


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("p", [0.0, 0.3, 1.0])
def test_random_grayscale_keeps_the_channels(p, dtype):
    images = make_images(dtype) + make_images(dtype, channels=1)
    assert_parity(RandomGrayscale(p), v2.RandomGrayscale(p), images)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float16, torch.bfloat16, torch.int16])
def test_other_dtypes_match(dtype):
    for image in make_images(sizes=[(7, 13), (64, 64)]):
        other = image.to(dtype) / 255 if dtype.is_floating_point else image.to(dtype) * 100
        assert_eager_parity(Grayscale(3), v2.Grayscale(3), other)


@pytest.mark.parametrize("lay", [torch.Tensor.contiguous, channels_last])
def test_the_luminance_of_every_color_matches(lay):
    levels = torch.arange(256, dtype=torch.uint8)
    for red in levels.split(32):
        colors = lay(torch.stack(torch.meshgrid(red, levels, levels, indexing="ij")).view(3, 256, -1))
        assert_same(rgb_to_grayscale_image(colors), tv_functional.rgb_to_grayscale_image(colors), f"red {red[0]}")


def test_leading_dimensions_are_kept():
    video = torch.stack(make_images(sizes=[(31, 64)])).unflatten(0, (3, 1))
    for num_output_channels in (1, 3):
        ours, theirs = Grayscale(num_output_channels), v2.Grayscale(num_output_channels)
        assert_eager_parity(ours, theirs, video)
        assert_eager_parity(ours, theirs, video[..., :1, :, :])


def test_the_frames_say_how_many_channels_come_out():
    frames = Frames.of([*make_images(sizes=[(7, 13)]), *make_images(sizes=[(7, 13)], channels=1)])
    lanes = Lanes(range(len(frames)))
    assert Grayscale(1).draw(lanes, frames).frames(frames).channels.tolist() == [1] * 6
    assert Grayscale(3).draw(lanes, frames).frames(frames).channels.tolist() == [3] * 6
    assert RandomGrayscale(0.5).draw(lanes, frames).frames(frames).channels.tolist() == [3, 3, 3, 1, 1, 1]


@pytest.mark.parametrize("channels", [2, 4])
def test_other_numbers_of_channels_are_refused_where_it_fires(channels):
    image = torch.zeros(channels, 4, 4, dtype=torch.uint8)
    assert_parity(Grayscale(3), v2.Grayscale(3), [image], SEEDS[:2])
    assert_parity(RandomGrayscale(0.5), v2.RandomGrayscale(0.5), [image], SEEDS[:8])
    with pytest.raises(InvalidInput, match=f"Grayscale takes images of 1 or 3 channels; got one of {channels}"):
        Grayscale()(image)
