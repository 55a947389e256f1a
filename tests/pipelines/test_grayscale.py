"""Grayscale, RandomGrayscale and RGB against torchvision."""

import pytest
import torch
from functionals import assert_call_parity, make_leaves
from targets import assert_eager_target_parity, assert_target_parity, make_boxes, make_picture_structure

from augserve_pipelines.errors import InvalidInput
from augserve_pipelines.frames import Frames
from augserve_pipelines.lanes import Lanes
from augserve_pipelines.transforms.grayscale import (
    RGB,
    Grayscale,
    RandomGrayscale,
    grayscale_to_rgb,
    rgb_to_grayscale,
    rgb_to_grayscale_image,
)
from factories import make_image
from oracle import tv_functional, tv_tensors, v2
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


@pytest.mark.parametrize("dtype", DTYPES)
def test_rgb_matches(dtype):
    images = make_images(dtype, channels=1)[::3] + make_images(dtype)[::4]
    images.append(torch.cat([images[-1], images[-1][:1]]))
    assert_parity(RGB(), v2.RGB(), images, SEEDS[:2])


def test_two_channels_cannot_become_three():
    assert_parity(RGB(), v2.RGB(), [torch.zeros(2, 4, 4)], SEEDS[:2])
    with pytest.raises(InvalidInput, match="RGB takes images of 1 channel, or of 3 and more; got one of 2"):
        RGB()(torch.zeros(2, 4, 4))


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (Grayscale(1), v2.Grayscale(1)),
        (Grayscale(3), v2.Grayscale(3)),
        (RandomGrayscale(0.5), v2.RandomGrayscale(0.5)),
        (RGB(), v2.RGB()),
    ],
)
def test_every_kind_of_input_matches_and_videos_stay(ours, theirs):
    assert_target_parity(ours, theirs)
    gray = {"image": tv_tensors.Image(make_image((8, 9), channels=1)), "boxes": make_boxes((8, 9))}
    clip = {"clip": tv_tensors.Video(make_image((8, 9), channels=1).unsqueeze(0))}
    assert_target_parity(ours, theirs, [gray, clip, (gray, {"points": make_boxes((8, 9))})], SEEDS[:3])


@pytest.mark.parametrize("mode", ["L", "RGBA", "CMYK", "HSV", "LA", "I", "F", "1", "P"])
def test_other_modes_of_pictures_match(mode):
    structure = make_picture_structure((7, 13), mode)
    for ours, theirs in ((Grayscale(1), v2.Grayscale(1)), (Grayscale(3), v2.Grayscale(3)), (RGB(), v2.RGB())):
        assert_eager_target_parity(ours, theirs, structure)
    for seed in range(3):
        assert_eager_target_parity(RandomGrayscale(0.5), v2.RandomGrayscale(0.5), structure, seed)


def test_the_functionals_match():
    for leaf in make_leaves((*DTYPES, torch.int16, torch.float16), (1, 3), ("RGB", "L"), [(1, 1), (7, 13)]):
        for channels in (1, 3, 2):
            assert_call_parity(rgb_to_grayscale, tv_functional.rgb_to_grayscale, leaf, channels)
        assert_call_parity(grayscale_to_rgb, tv_functional.grayscale_to_rgb, leaf)
    for shape in ((0, 3, 4, 4), (3, 0, 4), (1, 4, 0), (2, 4, 4), (4, 4, 4)):
        for image in (torch.zeros(shape), torch.zeros(shape, dtype=torch.uint8)):
            assert_call_parity(rgb_to_grayscale, tv_functional.rgb_to_grayscale, image, 1)
            assert_call_parity(grayscale_to_rgb, tv_functional.grayscale_to_rgb, image)


def test_images_of_several_shapes_each_keep_their_channels():
    sample = [tv_tensors.Image(make_image((8, 9))), tv_tensors.Image(make_image((5, 6), channels=1))]
    with pytest.raises(ValueError, match="multiple CxHxW"):
        v2.RandomGrayscale(1.0)(sample)
    for given, result in zip(sample, RandomGrayscale(1.0)(sample), strict=True):
        assert_same(result.as_subclass(torch.Tensor), v2.RandomGrayscale(1.0)(given).as_subclass(torch.Tensor), "")
