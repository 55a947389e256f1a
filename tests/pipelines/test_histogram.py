"""Equalize and autocontrast against torchvision."""

from __future__ import annotations

import pytest
import torch
from functionals import assert_call_parity, assert_functional_parity
from targets import assert_target_parity

from augserve_pipelines.errors import InvalidInput
from augserve_pipelines.kernels.histogram import autocontrast_reference, equalize_reference
from augserve_pipelines.transforms.histogram import (
    RandomAutocontrast,
    RandomEqualize,
    autocontrast,
    autocontrast_image,
    equalize,
    equalize_image,
)
from oracle import tv_functional, v2
from pipelines.parity import SEEDS, assert_parity, assert_same, channels_last, make_images

DTYPES = (torch.uint8, torch.float32)
OTHERS = (torch.float64, torch.float16, torch.bfloat16, torch.int8, torch.int16, torch.int32, torch.int64)
MODES = ("RGB", "L", "RGBA", "LA", "CMYK", "P", "1", "I", "F")
CLASSES = [(RandomEqualize, v2.RandomEqualize), (RandomAutocontrast, v2.RandomAutocontrast)]
FUNCTIONALS = [(equalize, tv_functional.equalize), (autocontrast, tv_functional.autocontrast)]
named = pytest.mark.parametrize(("ours", "theirs"), FUNCTIONALS, ids=["equalize", "autocontrast"])


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("p", [0.0, 0.5, 1.0])
@pytest.mark.parametrize(("ours", "theirs"), CLASSES)
def test_it_matches(ours, theirs, p, dtype):
    images = make_images(dtype)[::2] + make_images(dtype, channels=1)[::3]
    assert_parity(ours(p), theirs(p), images, SEEDS[:8])


@pytest.mark.parametrize(("ours", "theirs"), CLASSES)
def test_every_kind_of_input_matches(ours, theirs):
    assert_target_parity(ours(0.5), theirs(0.5))


@named
def test_the_functional_matches(ours, theirs):
    assert_functional_parity(ours, theirs)


@named
def test_every_mode_of_pictures_gives_the_same_or_fails_there_too(ours, theirs):
    assert_functional_parity(ours, theirs, dtypes=(), modes=MODES, sizes=((7, 13),))


@pytest.mark.parametrize("dtype", OTHERS)
@named
def test_other_dtypes_match(ours, theirs, dtype):
    assert_functional_parity(ours, theirs, dtypes=(dtype,), modes=())


@pytest.mark.parametrize("shape", [(2, 9, 9), (4, 9, 9), (0, 4, 4), (3, 0, 5), (1, 5, 0), (0, 3, 5, 5)], ids=str)
@named
def test_odd_shapes_are_as_there(ours, theirs, shape):
    for dtype in DTYPES:
        generator = torch.Generator().manual_seed(0)
        image = torch.randint(0, 256, shape, dtype=torch.uint8, generator=generator)
        assert_call_parity(ours, theirs, image if dtype == torch.uint8 else image / 255)


@pytest.mark.parametrize("lay", [torch.Tensor.contiguous, channels_last])
def test_flat_and_two_valued_channels_match(lay):
    generator = torch.Generator().manual_seed(0)
    for low, high in ((0, 0), (255, 255), (7, 7), (0, 1), (254, 255), (0, 255), (100, 101)):
        channels = [torch.full((40, 31), low), torch.randint(low, high + 1, (40, 31), generator=generator)]
        image = lay(torch.stack([*channels, torch.full((40, 31), high)]).byte())
        for ours, theirs in FUNCTIONALS:
            assert_call_parity(ours, theirs, image)
            assert_call_parity(ours, theirs, image / 255)


@pytest.mark.parametrize("dtype", DTYPES)
def test_the_arithmetic_for_other_devices_gives_the_same(dtype):
    for image in make_images(dtype, sizes=[(1, 1), (7, 13), (64, 64), (213, 160)]):
        batch = torch.stack([image, image.flip(-1)])
        if dtype == torch.uint8:
            assert_same(equalize_reference(batch), equalize_image(batch), "equalize")
        maximum = 255 if dtype == torch.uint8 else 1
        assert_same(autocontrast_reference(batch, maximum), autocontrast_image(batch), "autocontrast")


def test_other_numbers_of_channels_are_refused_where_it_fires():
    image = torch.zeros(4, 5, 5, dtype=torch.uint8)
    assert_parity(RandomAutocontrast(0.5), v2.RandomAutocontrast(0.5), [image], SEEDS[:8])
    with pytest.raises(InvalidInput, match="RandomAutocontrast takes images of 1 or 3 channels; got one of 4"):
        RandomAutocontrast(1.0)(image)


def test_the_input_is_left_alone():
    for image in (*make_images(sizes=[(7, 13)]), *make_images(torch.float32, sizes=[(7, 13)])):
        before = image.clone()
        for transform in (RandomEqualize(1.0), RandomAutocontrast(1.0)):
            transform(image)
        assert torch.equal(image, before)
