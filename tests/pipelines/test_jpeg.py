"""JPEG against torchvision's own codec where it can be loaded, and against libjpeg-turbo by way of simplejpeg."""

from __future__ import annotations

import io
from collections.abc import Iterator

import numpy as np
import pytest
import simplejpeg
import torch
from functionals import assert_call_parity, make_leaves
from PIL import Image as Picture
from targets import assert_target_parity

import torchvision_codec
from augserve_pipelines import Pipeline
from augserve_pipelines.errors import InvalidInput
from augserve_pipelines.transforms.jpeg import JPEG, jpeg, jpeg_image
from factories import make_image, make_noise, make_picture
from oracle import tv_functional, v2
from pipelines.parity import SEEDS, assert_parity, assert_same, channels_last, make_images

QUALITIES = (1, 2, 10, 30, 50, 75, 90, 99, 100)
SIZES = ((1, 1), (1, 17), (17, 1), (7, 13), (8, 8), (64, 64), (100, 151))


@pytest.fixture(scope="module")
def codec() -> Iterator[None]:
    """torchvision's codec."""
    if not torchvision_codec.can_load():
        pytest.skip("torchvision's codec needs a torch with CUDA, or a C compiler to stand in for that")
    with torchvision_codec.codec():
        yield


@pytest.mark.usefixtures("codec")
@pytest.mark.parametrize("quality", QUALITIES)
def test_the_codec_of_torchvision_gives_the_same_pixels(quality):
    for leaf in make_leaves((torch.uint8,), (1, 3), (), SIZES):
        assert_call_parity(jpeg, tv_functional.jpeg, leaf, quality)


@pytest.mark.usefixtures("codec")
@pytest.mark.parametrize("quality", [50, (20, 90), [1, 100], (70, 70)])
def test_it_matches(quality):
    images = make_images(sizes=[(1, 1), (7, 13), (64, 64), (31, 290)])
    images += make_images(channels=1, sizes=[(7, 13), (41, 30)])
    assert_parity(JPEG(quality), v2.JPEG(quality), images, SEEDS[::2])


@pytest.mark.usefixtures("codec")
def test_every_kind_of_input_matches():
    assert_target_parity(JPEG((10, 90)), v2.JPEG((10, 90)))


@pytest.mark.usefixtures("codec")
def test_what_torchvision_refuses_is_refused():
    for image in (torch.zeros(2, 5, 5), torch.zeros(4, 5, 5), torch.zeros(0, 3, 5, 5)):
        assert_call_parity(jpeg, tv_functional.jpeg, image.byte(), 50)
    for quality in (-1, 0, 101):
        assert_call_parity(jpeg, tv_functional.jpeg, make_image((8, 8)), quality)
    assert_parity(JPEG(50), v2.JPEG(50), [torch.zeros(3, 5, 5), torch.zeros(4, 5, 5).byte()], SEEDS[:1])


@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK", "YCbCr", "1", "RGBA", "P", "F"])
def test_pictures_match(mode):
    for quality in (5, 60, 100):
        assert_call_parity(jpeg, tv_functional.jpeg, make_picture(size=(41, 30), mode=mode), quality)


@pytest.mark.parametrize("quality", [96, 98, 100])
@pytest.mark.parametrize("make", [make_image, make_noise])
def test_it_is_the_library_with_its_defaults(make, quality):
    """Below 96 simplejpeg encodes with a faster transform, whatever it is told."""
    for size in SIZES:
        image = make(size)
        pixels = np.ascontiguousarray(image.permute(1, 2, 0).numpy())
        file = simplejpeg.encode_jpeg(pixels, quality, "RGB", "420", fastdct=False)
        decoded = simplejpeg.decode_jpeg(file, "RGB", fastdct=False, fastupsample=False)
        expected = torch.from_numpy(decoded).permute(2, 0, 1)
        for given in (image, channels_last(image)):
            assert_same(jpeg_image(given, quality), expected, f"{size} at {quality}")


def test_it_is_what_pillow_saves_and_opens():
    picture, file = make_picture(size=(64, 80)), io.BytesIO()
    picture.save(file, "JPEG", quality=40)
    expected = torch.from_numpy(np.array(Picture.open(file))).permute(2, 0, 1)
    assert_same(jpeg_image(make_image((64, 80)), 40), expected, "by Pillow")


def test_leading_dimensions_share_a_quality():
    images = torch.stack([make_image((9, 8)), make_noise((9, 8))])
    expected = torch.stack([jpeg_image(image, 30) for image in images])
    assert_same(jpeg_image(images.unsqueeze(1), 30), expected.unsqueeze(1), "batch")


def test_what_can_never_work_is_refused_with_the_cure():
    with pytest.raises(
        InvalidInput, match=r"JPEG takes uint8, got float32: ToDtype\(uint8, scale=True\) goes before it"
    ):
        Pipeline([JPEG(50)])([torch.zeros(3, 4, 4)], [0])
    with pytest.raises(InvalidInput, match="JPEG takes images of 1 or 3 channels; got one of 4"):
        Pipeline([JPEG(50)])([torch.zeros(4, 4, 4, dtype=torch.uint8)], [0])


def test_an_image_that_is_too_long_for_a_file_is_refused():
    with pytest.raises(InvalidInput, match="JPEG cannot hold 65501 x 1 pixels of mode L: "):
        Pipeline([JPEG(50)])([torch.zeros(1, 1, 65501, dtype=torch.uint8)], [0])


def test_an_image_that_pillow_takes_for_a_bomb_is_compressed(monkeypatch):
    monkeypatch.setattr(Picture, "MAX_IMAGE_PIXELS", 10)
    assert jpeg_image(make_image((8, 8)), 50).shape == (3, 8, 8)


@pytest.mark.parametrize(
    ("quality", "message"),
    [
        (0, "0 is less than 1"),
        ((50, 101), r"quality\[1\]: 101 is greater than 100"),
        ((60, 50), r"\[60, 50\] is not \[low, high\]: 60 is greater than 50"),
        (50.5, "50.5 is not an integer or two integers"),
        (True, "True is not an integer|true is not an integer"),
        ((1, 2, 3), r"\[1, 2, 3\] is not an integer or two integers"),
    ],
)
def test_a_quality_that_is_none_is_refused(quality, message):
    with pytest.raises(ValueError, match=message):
        JPEG(quality)
