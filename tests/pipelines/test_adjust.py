"""Brightness, contrast, saturation, hue and gamma as functionals, against torchvision."""

from __future__ import annotations

import pytest
import torch
from functionals import MODES, assert_call_parity, assert_functional_parity

from augserve_pipelines.transforms import adjust
from oracle import tv_functional

OTHERS = (torch.float64, torch.float16, torch.bfloat16, torch.int8, torch.int16, torch.int32)
ALL_MODES = (*MODES, "RGBA", "LA", "CMYK", "HSV", "YCbCr", "P", "1", "I", "F")
FACTORS = {
    "adjust_brightness": (0.0, 0.7, 1.0, 2.5),
    "adjust_contrast": (0.0, 0.7, 1.0, 2.5),
    "adjust_saturation": (0.0, 0.7, 1.0, 2.5),
    "adjust_hue": (-0.5, -0.1, 0.0, 0.3),
    "adjust_gamma": (0.0, 0.5, 1.0, 2.2, 3),
}
PAIRS = [(name, factor) for name, factors in FACTORS.items() for factor in factors]


@pytest.mark.parametrize(("name", "factor"), PAIRS)
def test_it_matches(name: str, factor: float) -> None:
    assert_functional_parity(getattr(adjust, name), getattr(tv_functional, name), factor)


@pytest.mark.parametrize("name", FACTORS)
def test_every_mode_of_pictures_gives_the_same_or_fails_there_too(name: str) -> None:
    ours, theirs = getattr(adjust, name), getattr(tv_functional, name)
    assert_functional_parity(ours, theirs, 0.4, dtypes=(), modes=ALL_MODES, sizes=((7, 13),))


@pytest.mark.parametrize("dtype", OTHERS)
@pytest.mark.parametrize("name", FACTORS)
def test_other_dtypes_match(name: str, dtype: torch.dtype) -> None:
    ours, theirs = getattr(adjust, name), getattr(tv_functional, name)
    assert_functional_parity(ours, theirs, 0.4, dtypes=(dtype,), modes=(), sizes=((7, 13), (41, 30)))


@pytest.mark.parametrize("gain", [0.0, 0.5, 1, 1.7])
def test_gamma_with_a_gain_matches(gain: float) -> None:
    assert_functional_parity(adjust.adjust_gamma, tv_functional.adjust_gamma, 0.8, gain)


@pytest.mark.parametrize("name", FACTORS)
def test_a_factor_out_of_range_is_refused_as_there(name: str) -> None:
    ours, theirs = getattr(adjust, name), getattr(tv_functional, name)
    assert_functional_parity(ours, theirs, -0.6, sizes=((7, 13),), modes=() if name != "adjust_hue" else MODES)


@pytest.mark.parametrize("name", FACTORS)
@pytest.mark.parametrize("shape", [(2, 4, 4), (4, 4, 4), (0, 4, 4), (3, 0, 5), (1, 5, 0), (0, 3, 5, 5)], ids=str)
def test_odd_shapes_are_as_there(name: str, shape: tuple[int, ...]) -> None:
    for dtype in (torch.uint8, torch.float32):
        assert_call_parity(getattr(adjust, name), getattr(tv_functional, name), torch.ones(shape, dtype=dtype), 0.4)


def test_a_number_of_channels_that_is_refused_is_named() -> None:
    with pytest.raises(TypeError, match="an image of 1 or 3 channels is needed; got one of 4"):
        adjust.adjust_hue(torch.zeros(4, 4, 4), 0.4)


def test_a_factor_for_each_sample_is_taken() -> None:
    images = torch.randint(0, 256, (3, 3, 8, 9), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    factors = torch.tensor([0.2, 1.0, 1.9])
    rows = zip(images, factors.tolist(), strict=True)
    expected = torch.stack([tv_functional.adjust_contrast(one, factor) for one, factor in rows])
    assert torch.equal(adjust.adjust_contrast(images, factors), expected)
